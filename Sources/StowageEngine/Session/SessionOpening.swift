// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// A session that is being resumed: what is known of it before its pages are.
struct SessionImage {
  var root: SessionRoot
  var head: SessionHead
  /// By number among the head's tiers: the level that the tier has now.
  var levels: [Int?]
  /// Slots of head and tail.
  var slots: [UInt32]
}

/// Opening the tiers of a store with a session.
extension Engine {
  /// The session's tier first, as it tells which epochs the others begin with.
  func openTiers(_ session: SessionTables, _ keeper: SessionKeeper) throws(StoreError) -> SessionImage? {
    try openTier(at: session.level - 1, epoch: UInt32(session.level))
    try prepare(keeper.context, level: session.level)
    let root = try readRoot()
    keeper.root = root
    switch keeper.configuration.start {
    case .create(let isReplacing):
      try checkBeginning(root, session, isReplacing: isReplacing)
      for (index, tier) in chain.enumerated() where tier != nil && index + 1 != session.level {
        try openTier(at: index, epoch: UInt32(index + 1))
      }
      try refuseSessions()
      // Far enough from the last one that the first checkpoint's limit leaves some to later runs.
      pages.setLimit(Place.generationMax / 2)
      try beginSession(root, keeper, session)
      return nil
    case .resume(let isForced):
      return try openTiers(of: try image(root, keeper, session, isForced: isForced), keeper, session)
    case .alter:
      return try openTiers(of: try image(root, keeper, session, isForced: true), keeper, session)
    case .inspect:
      let image = try image(root, keeper, session, isForced: true)
      guard !keeper.describes else {
        keeper.description = describe(image)
        return nil
      }
      return try openTiers(of: image, keeper, session)
    }
  }

  private func prepare(_ context: Context, level: Int) throws(StoreError) {
    guard let tier = calls[level] else { return }
    do throws(ContextFailure) {
      try context.pointee.prepare(level, tier, use: UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE))
    } catch {
      throw .configuration("tier '\(plan.levels[level].name)' cannot be used: \(error.reason)")
    }
  }

  private func checkBeginning(_ root: [UInt8], _ session: SessionTables, isReplacing: Bool) throws(StoreError) {
    let known = try? SessionRoot(decoding: root)
    guard !root.isEmpty, !isReplacing, known?.sequence != 0 else { return }
    let whose = known.map { "a session of \($0.livePages) pages" } ?? "something that is not a session of this version"
    throw .session(
      .exists, "'\(plan.levels[session.level].name)' holds \(whose) already; resume that, or have it replaced")
  }

  /// A new session, once all tiers are open: what the backing held is given up now, as its slots are about to be written.
  private func beginSession(_ root: [UInt8], _ keeper: SessionKeeper, _ session: SessionTables) throws(StoreError) {
    keeper.identity = (environment.random(), environment.random())
    guard !root.isEmpty, let port = ports[session.level] else { return }
    var empty = SessionRoot()
    empty.identity = keeper.identity
    empty.pageSize = UInt32(pageSize)
    let new = empty.encoded()
    let result = port.swapRoot(root, by: new)
    guard result == STOWAGE_OK else {
      throw .unavailable(
        tier: plan.levels[session.level].name, reason: "its root cannot be replaced: \(port.lastFailure(result))")
    }
    keeper.root = new
  }

  /// A backing that holds a session is not written over by a store that does not go on with it.
  func refuseSessions() throws(StoreError) {
    for level in 1..<max(levelCount, 1) where level != session?.level {
      guard let port = ports[level], calls[level]?.backing?.root_read != nil else { continue }
      let answer = port.readRoot()
      guard answer.code == STOWAGE_OK, !answer.root.isEmpty else { continue }
      if let root = try? SessionRoot(decoding: answer.root), root.sequence == 0 { continue }
      throw .session(
        .exists,
        "'\(plan.levels[level].name)' holds a session, which this store would write over; resume it, or erase it first")
    }
  }

  // MARK: Resuming

  private func image(
    _ bytes: [UInt8], _ keeper: SessionKeeper, _ session: SessionTables, isForced: Bool
  ) throws(StoreError) -> SessionImage {
    let name = plan.levels[session.level].name
    let root = try decodedRoot(bytes, name)
    try checkFit(root, keeper, name)
    let (head, slots) = try readHead(root, keeper, session)
    try check(head, root, keeper, isForced: isForced)
    // All of it together is in slots: a file of few bytes does not make this process use many.
    let length = ([root.head, root.tail] + root.deltas).reduce(UInt64(0)) {
      $0.addingReportingOverflow($1.length).partialValue
    }
    guard length <= UInt64(ports[session.level]?.slots.total ?? 0) * UInt64(pageSize) else {
      throw sessionError(.damaged(slot: root.tail.top.slot, "its parts are longer than there is room"), session)
    }
    keeper.last = root
    keeper.identity = root.identity
    keeper.sequence = root.sequence
    keeper.attempts = root.sequence
    let levels = head.tiers.map { tier in
      chain.firstIndex { $0?.name == tier.name && $0?.table.name == tier.plugin }.map { $0 + 1 }
    }
    return SessionImage(root: root, head: head, levels: levels, slots: slots)
  }

  private func decodedRoot(_ bytes: [UInt8], _ name: String) throws(StoreError) -> SessionRoot {
    guard !bytes.isEmpty else { throw .session(.none, "'\(name)' holds no session: no checkpoint was ever completed") }
    let root: SessionRoot
    do throws(RootFault) { root = try SessionRoot(decoding: bytes) } catch {
      throw .session(.damaged, "the session in '\(name)' \(error.reason)")
    }
    guard root.sequence > 0 else {
      throw .session(.none, "'\(name)' holds no session: it was begun, but no checkpoint was completed")
    }
    return root
  }

  /// Whether this store is made as the one that kept the session.
  private func checkFit(_ root: SessionRoot, _ keeper: SessionKeeper, _ name: String) throws(StoreError) {
    guard Int(root.pageSize) == pageSize else {
      throw .session(
        .foreign, "the session in '\(name)' has pages of \(root.pageSize) bytes, this store has \(pageSize)")
    }
    // Nothing but the head is read to describe it.
    guard !keeper.describes else { return }
    guard root.flags.contains(.sums) == (pageSums != nil) else {
      let how = pageSums == nil ? "with" : "without"
      throw .session(
        .foreign,
        "the session in '\(name)' was kept \(how) end-to-end checksums; open the store \(how) them too")
    }
    guard Int(root.sidecarLength) == frames.sidecarLength else {
      throw .session(
        .tier,
        "the session in '\(name)' has \(root.sidecarLength) bytes beside each frame, this chain would have "
          + "\(frames.sidecarLength): its ciphers are not those that wrote it")
    }
  }

  private func readHead(
    _ root: SessionRoot, _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) -> (head: SessionHead, slots: [UInt32]) {
    let reader = StreamReader(self, keeper.context, level: session.level, sidecars: Int(root.sidecarLength))
    do throws(StreamFault) {
      let read = try reader.all(of: root.head)
      guard let head = try? SessionHead(decoding: read.bytes) else {
        throw .damaged(slot: root.head.top.slot, "it is not a session's head")
      }
      return (head, read.slots)
    } catch {
      throw sessionError(error, session)
    }
  }

  private func describe(_ image: SessionImage) -> SessionDescription {
    func hex(_ word: UInt64) -> String {
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    let root = image.root
    return SessionDescription(
      name: image.head.name, attributes: image.head.attributes, isOnce: root.flags.contains(.once),
      isUsed: root.flags.contains(.used), isSuspended: root.flags.contains(.suspended),
      identity: hex(root.identity.0) + hex(root.identity.1), sequence: root.sequence, time: image.head.time,
      pageSize: Int(root.pageSize), pages: Int(root.livePages), hasEndToEndChecksums: root.flags.contains(.sums),
      indexBytes: Int(root.pages.length + root.frames.length + root.places.length),
      deltaBytes: root.deltas.reduce(0) { $0 + Int($1.length) },
      tiers: image.head.tiers.map {
        .init(
          name: $0.name, plugin: $0.plugin, version: $0.version, isMandatory: $0.isMandatory,
          options: $0.secrets.options)
      })
  }

  /// What reading the index failed with, for people.
  func sessionError(_ fault: StreamFault, _ session: SessionTables) -> StoreError {
    switch fault {
    case .damaged(let slot, let reason):
      .session(
        .damaged,
        "the session in '\(plan.levels[session.level].name)' is damaged: slot \(slot) of its index: \(reason)")
    case .unavailable(let level, let reason): .unavailable(tier: plan.levels[level].name, reason: reason)
    }
  }

  private func check(
    _ head: SessionHead, _ root: SessionRoot, _ keeper: SessionKeeper, isForced: Bool
  ) throws(StoreError) {
    guard !isForced else { return }
    let own = keeper.configuration
    guard head.name == own.name else {
      throw .session(.foreign, "the session is named '\(head.name)', not '\(own.name)'; give that name, or force it")
    }
    for key in Set(head.attributes.keys).union(own.attributes.keys).sorted()
    where head.attributes[key] != own.attributes[key] {
      func said(_ value: String?) -> String { value.map { "'\($0)'" } ?? "not given" }
      throw .session(
        .foreign,
        "the session '\(head.name)' was kept with \(key) \(said(head.attributes[key])), now it is "
          + "\(said(own.attributes[key])); force it if they fit all the same")
    }
    guard !root.flags.contains(.used) else {
      throw .session(
        .used,
        "the session '\(head.name)' was to be resumed once, and was: what it belongs to has moved on since; "
          + "force it to have it again")
    }
  }

  /// Opens the tiers with what they need to decode what the session holds: mandatory ones first, as what the others need
  /// went through them.
  private func openTiers(
    of found: SessionImage, _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) -> SessionImage {
    var image = found
    nextEpoch = image.root.epochLimit
    try placeCodecs(image)
    try openMandatoryTiers(of: image, keeper, session)
    try placeSets(image)
    let root = image.root
    for stream in [root.tail, root.pages, root.frames, root.places] + root.deltas
    where !stream.isEmpty && !passesMandatory(stream.transforms) {
      throw sessionError(
        .damaged(slot: stream.top.slot, "it is said not to have gone through a tier that is mandatory"), session)
    }
    let openings = try readTail(&image, keeper, session)
    for (index, tier) in chain.enumerated() where tier != nil && instances[index] == nil {
      let number = image.levels.firstIndex(of: index + 1)
      try openTier(
        at: index, continuing: number.map { image.head.tiers[$0] }, number.flatMap { openings[$0] } ?? .init())
    }
    try refuseSessions()
    return image
  }

  private func openMandatoryTiers(
    of image: SessionImage, _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) {
    for (number, tier) in image.head.tiers.enumerated() where tier.isMandatory {
      guard let level = image.levels[number] else { throw missing(tier) }
      guard instances[level - 1] == nil else {
        throw sessionError(
          .damaged(slot: image.root.head.top.slot, "it names '\(tier.name)' as what it is not"), session)
      }
      try openTier(at: level - 1, continuing: tier, tier.secrets)
      try prepare(keeper.context, level: level)
    }
  }

  /// By number among the head's tiers: what it takes to open those that are not mandatory.
  private func readTail(
    _ image: inout SessionImage, _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) -> [Int: SessionHead.Opening] {
    let stream = image.root.tail
    let reader = StreamReader(self, keeper.context, level: session.level, sidecars: Int(image.root.sidecarLength))
    var bytes: ByteReader
    do throws(StreamFault) {
      let read = try reader.all(of: stream)
      bytes = ByteReader(read.bytes)
      image.slots += read.slots
    } catch {
      throw sessionError(error, session)
    }
    var openings: [Int: SessionHead.Opening] = [:]
    let seal: SessionSeal
    do throws(ByteShortage) {
      seal = try SessionSeal(&bytes)
      while bytes.left > 0 {
        let number = Int(try bytes.number(UInt8.self))
        openings[number] = try SessionHead.Opening(&bytes)
      }
    } catch {
      throw sessionError(.damaged(slot: stream.top.slot, "it is not a session's tail"), session)
    }
    guard seal.fits(image.root, head: image.head) else {
      throw sessionError(
        .damaged(slot: stream.top.slot, "root and head are not those that it was written with"), session)
    }
    return openings
  }

  func missing(_ tier: SessionHead.Tier) -> StoreError {
    .session(
      .tier,
      "the session was written with tier '\(tier.name)' (plug-in \(tier.plugin) \(tier.version)), which is not in "
        + "this chain; add it")
  }

  /// A tier that has no state and the options that it had encodes on as it did; any other one begins an epoch.
  private func openTier(
    at place: Int, continuing old: SessionHead.Tier?, _ opening: SessionHead.Opening
  ) throws(StoreError) {
    guard let tier = chain[place] else { return }
    let level = place + 1
    let isSame = old != nil && !opening.hasState && opening.options == textOptions(of: tier)
      && tier.table.descriptor.pointee.state_save == nil && old?.version == tier.table.version
    let epoch: UInt32
    if isSame, let old {
      epoch = old.epoch
    } else {
      epoch = nextEpoch
      nextEpoch += 1
    }
    if plan.levels[level].role == .page { try chooseCodec(level, old, epoch) }
    try openTier(at: place, epoch: epoch, state: opening.hasState ? opening.state : nil)
  }

  /// Options that were given and are no secrets.
  func textOptions(of tier: ChainTier) -> [String: String] {
    var texts: [String: String] = [:]
    for option in tier.table.options where !option.isSecret {
      switch tier.options[option.key] {
      case .number(let number): texts[option.key] = String(number)
      case .text(let text): texts[option.key] = text
      case .secret, nil: break
      }
    }
    return texts
  }

  // MARK: Numbers

  /// What the session's numbers of codecs stand for in this chain. Those that no frame has are free: there are few, and
  /// every run may need new ones.
  private func placeCodecs(_ image: SessionImage) throws(StoreError) {
    for index in 1..<EpochTable.codecsMax { epochs.setCodec(index, Codec()) }
    keeper?.spaces = Set(image.head.codecs.map(\.space) + image.head.tiers.map { UInt8($0.nextID >> 56) })
    for codec in image.head.codecs where codec.number > 0 && codec.frames > 0 {
      guard let level = image.levels[Int(codec.tier)], plan.levels[level].role == .page else {
        throw missing(image.head.tiers[Int(codec.tier)])
      }
      epochs.setCodec(Int(codec.number), Codec(level: UInt8(level), space: codec.space, epoch: codec.epoch))
    }
    for (number, tier) in image.head.tiers.enumerated() {
      guard let level = image.levels[number] else { continue }
      levels[level].nextID = tier.nextID &+ image.root.chunkIDReserve
    }
  }

  /// The number of what a level encodes with in this run: one of the session's, or a new one.
  private func chooseCodec(_ level: Int, _ old: SessionHead.Tier?, _ epoch: UInt32) throws(StoreError) {
    let all = (1..<EpochTable.codecsMax).map { (number: $0, codec: epochs.codec($0)) }
    if old == nil {
      // Ids in a space of their own.
      guard let keeper, let space = (1...255).first(where: { !keeper.spaces.contains(UInt8($0)) }) else {
        throw noNumbers()
      }
      keeper.spaces.insert(UInt8(space))
      levels[level].nextID = UInt64(space) << 56 | 1
    }
    let space = UInt8(levels[level].nextID >> 56)
    let wanted = Codec(level: UInt8(level), space: space, epoch: epoch)
    guard
      let number = all.first(where: { $0.codec == wanted })?.number ?? all.first(where: { $0.codec.level == 0 })?.number
    else { throw noNumbers() }
    levels[level].codec = UInt8(number)
    epochs.setCodec(number, wanted)
  }

  private func noNumbers() -> StoreError {
    .session(
      .tier,
      "the session has been resumed with other tiers too often for its numbers; take its pages over to a new one")
  }

  /// What the session's numbers of transform sets stand for in this chain.
  private func placeSets(_ image: SessionImage) throws(StoreError) {
    let root = image.root
    let ofIndex = Set(([root.tail, root.pages, root.frames, root.places] + root.deltas).map(\.transforms))
    // Likewise, those that neither a frame nor the index has.
    for record in image.head.sets where record.frames > 0 || ofIndex.contains(record.number) {
      var set = TransformSet()
      for member in record.members {
        let tier = image.head.tiers[Int(member.tier)]
        guard let level = image.levels[Int(member.tier)], plan.levels[level].role == .frame else { throw missing(tier) }
        guard plan.levels[level].sidecarOffset == Int(tier.sidecarOffset),
          plan.levels[level].sidecarLength == Int(tier.sidecarLength)
        else {
          throw .session(
            .tier,
            "tier '\(tier.name)' keeps its bytes beside each frame elsewhere than when the session was written; "
              + "put the ciphers in the order that they had")
        }
        set.set(plan.levels[level].transformBit, epoch: member.epoch)
      }
      set.sum = record.sum
      guard epochs.restore(set, as: record.number) else { throw noNumbers() }
    }
  }
}
