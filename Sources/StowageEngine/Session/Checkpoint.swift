// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Glibc

/// One checkpoint, from its beginning to the root that makes it hold. docs/architecture.md tells how and why.
///
/// 1. Pages in RAM get copies in the session's tier, while they are used.
/// 2. Frames above that tier come down to it.
/// 3. If the whole index is to be written: record after record as each is at that moment, its change mark cleared. If
///    deltas are to be merged: the records that they have, likewise, but marks stay.
/// 4. The cut: puts are held, the last few pages get their copies, and under the lock the records of all that is marked
///    are taken down and the marks cleared. With what step 3 wrote they are the index as it is at this instant.
/// 5. They are written, everything is synced, and the root is replaced.
///
/// An error before 5 is over leaves the last checkpoint as it is, and everything marked that it does not have; or, when the
/// whole index was being written, makes the next one write it too.
struct CheckpointRun {
  let engine: Engine
  let keeper: SessionKeeper
  let session: SessionTables
  let isLast: Bool
  /// The last one follows: what that would have to write of the index is written now.
  let endsSoon: Bool

  private var saver: PageSaver
  private var root = SessionRoot()
  private(set) var writing = IndexWriting.delta
  private var isWhole: Bool { writing == .whole }
  private var indexBytes = 0
  /// Slots of the new index: what later deltas leave as it is, and the rest.
  private(set) var newKept: [UInt32] = []
  private var newHead: [UInt32] = []
  /// How many deltas are merged, and what comes in their place.
  private var deltasMerged = 0
  var merged = (note: DeltaNote(), place: StreamPlace())
  /// What is taken down at the cut.
  private var delta = ByteWriter()
  private var note = DeltaNote()
  /// Slots that the new index does not need, and the last one does.
  private var replaced: [UInt32] = []
  private var isCut = false

  /// Marked pages without copies of which the cut itself takes care.
  private static let leftForCut = 512

  /// - Parameter isLast: nothing is to be given out any more when it holds.
  init(_ engine: Engine, _ keeper: SessionKeeper, _ session: SessionTables, isLast: Bool, endsSoon: Bool = false) {
    self.engine = engine
    self.keeper = keeper
    self.session = session
    self.isLast = isLast
    self.endsSoon = endsSoon
    saver = PageSaver(engine, session, keeper, keeper.context, keeper.space)
  }

  private var port: BackingPort { engine.ports[session.level].unsafelyUnwrapped }
  private var tierName: String { engine.plan.levels[session.level].name }

  mutating func run() throws(StoreError) -> CheckpointReport {
    let began = engine.environment.now()
    let states = try engine.savedStates()
    if keeper.root == nil { keeper.root = try engine.readRoot() }
    beginPassing()
    defer { endPassing() }
    do throws(StoreError) {
      try savePages()
      try writeAhead()
      try cut(states)
      try writeRest(states)
      try commit()
    } catch {
      abandon()
      throw error
    }
    let (saved, written) = engine.lock.withLock { (keeper.pass.saved, keeper.pass.bytesWritten) }
    return CheckpointReport(
      sequence: root.sequence, pages: Int(root.livePages), pagesWritten: saved, bytesWritten: written + indexBytes,
      indexBytes: indexBytes, isWhole: isWhole, deltasMerged: deltasMerged, duration_ns: engine.environment.now() &- began)
  }

  /// Only gives pages in RAM their copies: how many got one, and the bytes written. They stay copies whatever comes after.
  mutating func saveAhead() throws(StoreError) -> (pages: Int, bytes: Int) {
    // What would refuse the checkpoint refuses before anything is written, or anybody waits.
    _ = try engine.savedStates()
    if keeper.root == nil { keeper.root = try engine.readRoot() }
    beginPassing()
    defer { endPassing() }
    try savePages()
    return engine.lock.withLock { (keeper.pass.saved, keeper.pass.bytesWritten) }
  }

  private func beginPassing() {
    engine.lock.withLock {
      engine.state.pointee.passesToSession = true
      keeper.pass = SavePass(savers: keeper.pass.savers)
    }
  }

  private func endPassing() { engine.lock.withLock { engine.state.pointee.passesToSession = false } }

  /// Until few are left: while pages are put fast, each pass is shorter than the one before.
  private mutating func savePages() throws(StoreError) {
    for _ in 0..<8 {
      let (saved, put) = engine.lock.withLock { (keeper.pass.saved, engine.state.pointee.pagesPut) }
      try saver.pass()
      let (savedNow, putNow) = engine.lock.withLock { (keeper.pass.saved, engine.state.pointee.pagesPut) }
      if min(savedNow - saved, putNow - put) <= Self.leftForCut { break }
    }
    try engine.sendFramesDown(to: session.level)
  }

  /// What of the index is not taken down at the cut.
  private mutating func writeAhead() throws(StoreError) {
    writing = choosesWriting()
    switch writing {
    case .delta: break
    case .merged(let first):
      deltasMerged = keeper.deltas.count - first
      try writeMerged(from: first)
    case .whole: try writeWhole()
    }
  }

  // MARK: The whole index

  private mutating func writeWhole() throws(StoreError) {
    keeper.needsWhole = true
    let pageCount = engine.lock.withLock { engine.pages.table.count }
    root.pages = try stream(isKept: true) { engine, session, writer throws(StoreError) in
      var bytes = ByteWriter()
      bytes.reserve(512 * 28)
      for first in stride(from: 0, to: pageCount, by: 512) {
        bytes.removeAll()
        engine.lock.withLock {
          for index in first..<min(first + 512, pageCount) {
            if engine.putPageRecord(UInt32(index), session, &bytes) { session.pageChanges.clear(UInt32(index)) }
          }
        }
        try writer.put(bytes.bytes)
      }
    }
    let frameCount = engine.lock.withLock { engine.frames.count }
    root.frames = try stream(isKept: true) { engine, session, writer throws(StoreError) in
      var bytes = ByteWriter()
      bytes.reserve(256 * (IndexRecords.frameBytes + engine.frames.sidecarLength))
      for first in stride(from: 0, to: frameCount, by: 256) {
        bytes.removeAll()
        engine.lock.withLock {
          for frame in first..<min(first + 256, frameCount) {
            let isThere = engine.putFrameRecord(FrameIndex(frame), session, &bytes)
            if isThere { session.frameChanges.clear(FrameIndex(frame)) }
          }
        }
        try writer.put(bytes.bytes)
      }
    }
    // After the frames: what a frame has that was not marked since its record was written does not change any more.
    let placeCount = engine.lock.withLock { engine.frames.placeCount }
    root.places = try stream(isKept: true) { engine, _, writer throws(StoreError) in
      var bytes = ByteWriter()
      for first in stride(from: 0, to: placeCount, by: 1024) {
        bytes.removeAll()
        let count = min(1024, placeCount - first)
        engine.lock.withLock {
          bytes.put(
            raw: engine.frames.placeBase + first * IndexRecords.placeBytes, count * IndexRecords.placeBytes)
        }
        try writer.put(bytes.bytes)
      }
    }
    root.placeCount = UInt64(placeCount)
    root.pageCount = UInt64(pageCount)
    root.frameCount = UInt64(frameCount)
  }

  /// Writes a stream through the mandatory transforms (or in the clear), and notes its slots.
  mutating func stream(
    isKept: Bool, isClear: Bool = false,
    _ body: (Engine, SessionTables, inout StreamWriter) throws(StoreError) -> Void
  ) throws(StoreError) -> StreamPlace {
    var route = engine.sessionRoute(session, codec: Int(FrameRecord.rawCodec))
    if isClear { route.transforms = 0 }
    var writer = try StreamWriter(engine, keeper.context, keeper.space, route)
    defer {
      if isKept { newKept += writer.slots } else { newHead += writer.slots }
      indexBytes += writer.slots.count * engine.pageSize
    }
    do throws(StoreError) {
      try body(engine, session, &writer)
      return try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }

  // MARK: The cut

  private mutating func cut(_ states: [SessionHead.Opening?]) throws(StoreError) {
    let (pages, frames) = engine.lock.withLock {
      (
        session.pageChanges.count(below: engine.pages.table.count),
        session.frameChanges.count(below: engine.frames.count)
      )
    }
    delta.reserve(pages * 32 + frames * 128 + 65536)
    note.pages.reserveCapacity(pages + 512)
    note.frames.reserveCapacity(frames + 512)
    replaced = replacedSlots
    defer { letPutsGo() }
    for _ in 0..<64 {
      engine.lock.withLock { engine.state.pointee.holdsPuts = true }
      try saver.pass()
      if engine.lock.withLock({ takeDown() }) {
        isCut = true
        return
      }
      try engine.sendFramesDown(to: session.level)
      waitForPuts()
    }
    throw .timedOut("the checkpoint found no moment to make its cut: too many pages moved meanwhile")
  }

  /// Puts that had begun end; new ones wait.
  private func waitForPuts() {
    for _ in 0..<2000 {
      let ticket = engine.quiet.ticket
      guard engine.lock.withLock({ engine.state.pointee.puts > 0 }) else { return }
      engine.quiet.wait(ticket, timeout: 1_000_000)
    }
  }

  private func letPutsGo() {
    // At a suspend who stopped everything lets it go.
    guard !isLast else { return }
    engine.lock.withLock { engine.state.pointee.holdsPuts = false }
    engine.space.notify()
  }

  /// Under the lock: the records of everything that is marked. False when one cannot be written yet.
  private mutating func takeDown() -> Bool {
    // A put between its two sections has an entry that is no page yet.
    guard engine.state.pointee.puts == 0 else { return false }
    delta.removeAll()
    note.pages.removeAll(keepingCapacity: true)
    note.frames.removeAll(keepingCapacity: true)
    let (pageCount, frameCount) = (engine.pages.table.count, engine.frames.count)
    delta.put(UInt64(pageCount))
    delta.put(UInt64(frameCount))
    delta.put(UInt32(session.pageChanges.count(below: pageCount)))
    delta.put(UInt32(session.frameChanges.count(below: frameCount)))
    var cursor = 0
    while let index = session.pageChanges.next(from: cursor, below: pageCount) {
      delta.put(index)
      guard engine.putPageRecord(index, session, &delta) else { return false }
      note.pages.append(index)
      cursor = Int(index) + 1
    }
    cursor = 0
    while let frame = session.frameChanges.next(from: cursor, below: frameCount) {
      engine.putFrame(frame, session, &delta)
      note.frames.append(frame)
      cursor = Int(frame) + 1
    }
    for index in note.pages { session.pageChanges.clear(index) }
    for frame in note.frames { session.frameChanges.clear(frame) }
    noteTables()
    holdSlots()
    // A number of its own, as the root of an attempt that seemed to fail may turn up after a crash.
    keeper.attempts += 1
    root.sequence = keeper.attempts
    engine.environment.atCut?(root.sequence)
    return true
  }

  private mutating func noteTables() {
    root.livePages = UInt64(engine.pages.live - engine.state.pointee.discardablePages)
    root.generationLimit = engine.pages.nextLimit
    // From here on, as this root may hold sooner than anyone here knows.
    engine.pages.lowerLimit(to: root.generationLimit)
    if isLast { engine.state.pointee.rests = true }
    root.frameIDLimit = engine.state.pointee.nextFrameID + Engine.frameIDReserve
    root.chunkIDReserve = Engine.chunkIDReserve
    // The index itself may be the first to go through the mandatory transforms as they are now.
    _ = engine.transformSet(0, adding: engine.mandatoryTransforms)
    headTiers = engine.headTiers()
    (headCodecs, headSets) = engine.headEpochs(headTiers)
  }

  private var headTiers: [SessionHead.Tier] = []
  private var headCodecs: [SessionHead.CodecRecord] = []
  private var headSets: [SessionHead.SetRecord] = []

  /// What every index replaces is nobody's any more; the checkpoint under way needs all else that is in use, but for what
  /// this one replaces.
  private func holdSlots() {
    for slot in keeper.headSlots + keeper.doubtfulSlots { port.slots.free(Int(slot)) }
    keeper.headSlots = []
    keeper.doubtfulSlots = []
    port.slots.beginHolding()
    for slot in replaced { port.slots.leaveToLast(Int(slot)) }
  }

  // MARK: The rest, and the root

  private mutating func writeRest(_ states: [SessionHead.Opening?]) throws(StoreError) {
    let bytes = delta.bytes
    let slotsBefore = newKept.count
    let place = try stream(isKept: true) { _, _, writer throws(StoreError) in try writer.put(bytes) }
    note.bytes = bytes.count
    note.slots = Array(newKept[slotsBefore...])
    note.shrink()
    root.deltas = deltaPlaces(keeper.last, place)
    if !isWhole, let last = keeper.last {
      (root.pages, root.frames, root.places) = (last.pages, last.frames, last.places)
      (root.pageCount, root.frameCount, root.placeCount) = (last.pageCount, last.frameCount, last.placeCount)
    }
    var head = SessionHead()
    head.name = keeper.configuration.name
    head.attributes = keeper.configuration.attributes
    head.time = UInt64(max(0, time(nil)))
    head.tiers = headTiers
    (head.codecs, head.sets) = (headCodecs, headSets)
    for index in head.tiers.indices where head.tiers[index].isMandatory {
      head.tiers[index].secrets = states[Int(head.tiers[index].level)] ?? .init()
    }
    let headBytes = head.encoded()
    root.head = try stream(isKept: false, isClear: true) { _, _, writer throws(StoreError) in try writer.put(headBytes) }
    root.identity = keeper.identity
    root.flags = isLast ? [.suspended] : []
    if keeper.configuration.isOnce { root.flags.insert(.once) }
    if keeper.configuration.start == .alter, let last = keeper.last {
      root.flags = last.flags.intersection([.suspended, .once, .used])
    }
    if engine.pageSums != nil { root.flags.insert(.sums) }
    root.pageSize = UInt32(engine.pageSize)
    root.sidecarLength = UInt32(engine.frames.sidecarLength)
    root.epochLimit = engine.nextEpoch
    let tailBytes = tail(head, headBytes, states)
    root.tail = try stream(isKept: false) { _, _, writer throws(StoreError) in try writer.put(tailBytes) }
  }

  /// Last, as it says of the root what that is.
  private func tail(_ head: SessionHead, _ headBytes: [UInt8], _ states: [SessionHead.Opening?]) -> [UInt8] {
    var tail = ByteWriter()
    SessionSeal(of: root, head: headBytes).put(&tail)
    for (index, tier) in head.tiers.enumerated() where !tier.isMandatory {
      guard let opening = states[Int(tier.level)] else { continue }
      tail.put(UInt8(index))
      opening.put(&tail)
    }
    return tail.bytes
  }

  private mutating func commit() throws(StoreError) {
    let synced = port.sync(keeper.context)
    guard synced == STOWAGE_OK else {
      throw .unavailable(tier: tierName, reason: "sync failed: \(port.lastFailure(synced))")
    }
    let new = root.encoded()
    switch port.swapRoot(keeper.root ?? [], by: new) {
    case STOWAGE_OK: complete(new)
    case STOWAGE_GONE:
      throw .unavailable(tier: tierName, reason: "its root was replaced by somebody else; the session is not this store's any more")
    case let code:
      doubt()
      throw .unavailable(tier: tierName, reason: "the root could not be replaced: \(port.lastFailure(code))")
    }
  }

  private func complete(_ new: [UInt8]) {
    keeper.root = new
    if isWhole {
      keeper.wholeBytes = Int(root.pages.length + root.frames.length + root.places.length)
      keeper.keptSlots = Array(newKept.dropLast(note.slots.count))
    }
    keeper.deltas = deltas(note)
    keeper.headSlots = newHead
    keeper.needsWhole = false
    engine.lock.withLock {
      keeper.sequence = root.sequence
      keeper.last = root
      session.noteDeltas(keeper.deltas)
      keeper.slotsFreed = port.slots.endHolding(completed: true) + replaced.count
      for slot in replaced { port.slots.free(Int(slot)) }
      engine.pages.setLimit(root.generationLimit)
      engine.noteLimits(keeper)
      try? engine.rebalance()
    }
    engine.work.notify()
    engine.space.notify()
  }

  /// Either root may turn up after a crash: what either needs is kept.
  private mutating func doubt() {
    keeper.root = nil
    keeper.doubtfulSlots += newKept + newHead
    (newKept, newHead) = ([], [])
    engine.lock.withLock { _ = port.slots.endHolding(completed: false, keepsBoth: true) }
  }

  /// What was written for nothing is free; the last checkpoint keeps what it had, and what changed since is marked.
  private mutating func abandon() {
    if isWhole { keeper.needsWhole = true }
    engine.lock.withLock {
      if deltasMerged > 0 { keeper.merges.failed += 1 }
      for slot in newKept + newHead { port.slots.free(Int(slot)) }
      port.slots.endHolding(completed: false)
    }
    if isCut { markAgain(note) }
  }
}
