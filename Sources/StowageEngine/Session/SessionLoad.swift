// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Bringing a session's pages and frames into the tables, before any thread of the store runs.
extension Engine {
  func load(_ image: SessionImage) throws(StoreError) {
    guard let session, let keeper, let port = ports[session.level] else { return }
    var loader = SessionLoader(self, session, keeper, image)
    do throws(StreamFault) {
      try loader.run()
      guard (loader.slots + image.slots).allSatisfy({ port.slots.adopt(Int($0)) }) else {
        throw .damaged(slot: image.root.pages.top.slot, "two things are said to be in one slot")
      }
    } catch {
      throw sessionError(error, session)
    }
    if let codec = loader.lacking { throw lacking(codec, image) }
    forgetUnused(image)
    try lock.withLock { () throws(StoreError) in
      keeper.keptSlots = loader.slots
      keeper.headSlots = image.slots
      keeper.wholeBytes = Int(image.root.pages.length + image.root.frames.length + image.root.places.length)
      keeper.deltaBytes = image.root.deltas.reduce(0) { $0 + Int($1.length) }
      keeper.needsWhole = false
      try rebalance(force: true)
      try checkRoom()
    }
    if keeper.configuration.start == .inspect {
      lock.withLock { state.pointee.rests = true }
    } else {
      try begin(image, session, keeper, port)
    }
  }

  /// Numbers of codecs and transform sets that nothing has any more are free for others: there are few, and every run may
  /// need new ones.
  private func forgetUnused(_ image: SessionImage) {
    var sets = Set(image.root.deltas.map(\.transforms))
    for stream in [image.root.tail, image.root.pages, image.root.frames, image.root.places] {
      sets.insert(stream.transforms)
    }
    var codecs = Set((0..<levelCount).map { levels[$0].codec })
    for frame in 0..<frames.count {
      let record = frames.record(FrameIndex(frame))
      guard record.pointee.count > 0 else { continue }
      sets.insert(record.pointee.transforms)
      codecs.insert(record.pointee.codec)
    }
    for number in 1..<max(1, epochs.count) where !sets.contains(UInt8(number)) { epochs.forgetSet(UInt8(number)) }
    for number in 1..<EpochTable.codecsMax where !codecs.contains(UInt8(number)) { epochs.setCodec(number, Codec()) }
  }

  private func lacking(_ number: UInt8, _ image: SessionImage) -> StoreError {
    guard let codec = image.head.codecs.first(where: { $0.number == number }) else {
      return .session(.damaged, "the session's index is damaged: a frame names a codec that the session does not have")
    }
    return missing(image.head.tiers[Int(codec.tier)])
  }

  /// Records, before anything is given out, that this run gives out nothing that an earlier one could have.
  private func begin(
    _ image: SessionImage, _ session: SessionTables, _ keeper: SessionKeeper, _ port: BackingPort
  ) throws(StoreError) {
    var root = image.root
    guard root.generationLimit <= Place.generationMax else {
      throw .session(.tier, "the session's handles are used up; take its pages over to a new one")
    }
    pages.setFloor(root.generationLimit)
    state.pointee.nextFrameID = root.frameIDLimit
    root.generationLimit = pages.nextLimit
    root.frameIDLimit += Self.frameIDReserve
    root.chunkIDReserve += Self.chunkIDReserve
    root.epochLimit = nextEpoch
    if root.flags.contains(.once) { root.flags.insert(.used) }
    root.flags.remove(.suspended)
    let new = root.encoded()
    guard (try? SessionRoot(decoding: new)) != nil else {
      throw .session(.tier, "the session's numbers are used up; take its pages over to a new one")
    }
    let result = port.swapRoot(keeper.root ?? [], by: new)
    guard result == STOWAGE_OK else {
      throw .unavailable(
        tier: plan.levels[session.level].name, reason: "its root cannot be replaced: \(port.lastFailure(result))")
    }
    keeper.root = new
    keeper.last = root
    lock.withLock {
      pages.setLimit(root.generationLimit)
      noteLimits(keeper)
    }
  }
}

/// Reads the index and fills the tables.
private struct SessionLoader {
  private let engine: Engine
  private let session: SessionTables
  private let root: SessionRoot
  private let head: SessionHead
  private var reader: StreamReader
  /// A slot to name when the index contradicts itself.
  private let named: UInt32

  var slots: [UInt32] { reader.slots }
  /// The number of a codec that frames have and whose tier is not in the chain.
  private(set) var lacking: UInt8?

  init(_ engine: Engine, _ session: SessionTables, _ keeper: SessionKeeper, _ image: SessionImage) {
    self.engine = engine
    self.session = session
    root = image.root
    head = image.head
    named = image.root.pages.top.slot
    reader = StreamReader(
      engine, keeper.context, level: session.level, sidecars: Int(image.root.sidecarLength))
  }

  mutating func run() throws(StreamFault) {
    let pageBytes = try reader.read(root.pages)
    let frameBytes = try reader.read(root.frames)
    let placeBytes = try reader.read(root.places)
    var deltas: [[UInt8]] = []
    for place in root.deltas { deltas.append(try reader.read(place)) }
    let (pageCount, frameCount) = try counts(deltas)
    try makeRoom(pageCount, frameCount)
    do throws(ByteShortage) {
      try fill(pageBytes, frameBytes, placeBytes)
      for delta in deltas { try apply(delta) }
      try finish()
    } catch {
      throw .damaged(slot: named, "its records contradict each other")
    }
  }

  /// Entries of the tables: as the last delta has them.
  private func counts(_ deltas: [[UInt8]]) throws(StreamFault) -> (Int, Int) {
    do throws(ByteShortage) {
      guard let last = deltas.last else { return (Int(root.pageCount), Int(root.frameCount)) }
      var reader = ByteReader(last)
      let counts = (try reader.number(UInt64.self), try reader.number(UInt64.self))
      // What came after the whole index has a record in a delta, of 20 bytes at least.
      let more = UInt64(deltas.reduce(0) { $0 + $1.count } / 20)
      guard counts.0 >= root.pageCount, counts.0 <= root.pageCount + more, counts.1 >= root.frameCount,
        counts.1 <= root.frameCount + more, counts.0 < 1 << 31, counts.1 < UInt64(FrameTable.capacity)
      else { throw ByteShortage() }
      return (Int(counts.0), Int(counts.1))
    } catch {
      throw .damaged(slot: named, "its counts contradict each other")
    }
  }

  private func makeRoom(_ pageCount: Int, _ frameCount: Int) throws(StreamFault) {
    engine.lock.lock()
    defer { engine.lock.unlock() }
    let isRoom = engine.frames.extend(to: frameCount, places: Int(root.placeCount))
      && (pageCount == 0 || engine.pages.extend(to: pageCount))
    guard isRoom else { throw .unavailable(level: session.level, "the tables have no room for so many pages") }
    engine.growSums(entries: 1)
    for index in 0..<pageCount { engine.pages.restore(UInt32(index), tag: 0, Place.free(next: 0).with(generation: 1)) }
  }

  private func fill(_ pageBytes: [UInt8], _ frameBytes: [UInt8], _ placeBytes: [UInt8]) throws(ByteShortage) {
    guard placeBytes.count == Int(root.placeCount) * IndexRecords.placeBytes else { throw ByteShortage() }
    placeBytes.withUnsafeBytes {
      if let base = $0.baseAddress { engine.frames.placeBase.copyMemory(from: base, byteCount: $0.count) }
    }
    var reader = ByteReader(frameBytes)
    for frame in 0..<Int(root.frameCount) { try readFrame(FrameIndex(frame), &reader, isWhole: true) }
    guard reader.left == 0 else { throw ByteShortage() }
    reader = ByteReader(pageBytes)
    for page in 0..<Int(root.pageCount) { try readPage(UInt32(page), &reader) }
    guard reader.left == 0 else { throw ByteShortage() }
  }

  private func apply(_ delta: [UInt8]) throws(ByteShortage) {
    var reader = ByteReader(delta)
    let pageCount = try reader.number(UInt64.self)
    let frameCount = try reader.number(UInt64.self)
    let (changedPages, changedFrames) = (try reader.number(UInt32.self), try reader.number(UInt32.self))
    guard pageCount <= UInt64(engine.pages.table.count), frameCount <= UInt64(engine.frames.count) else { throw ByteShortage() }
    for _ in 0..<changedPages {
      let page = try reader.number(UInt32.self)
      guard UInt64(page) < pageCount else { throw ByteShortage() }
      try readPage(page, &reader)
    }
    for _ in 0..<changedFrames {
      let frame = try reader.number(UInt32.self)
      guard UInt64(frame) < frameCount else { throw ByteShortage() }
      try readFrame(frame, &reader, isWhole: false)
    }
    guard reader.left == 0 else { throw ByteShortage() }
  }

  private func readPage(_ index: UInt32, _ reader: inout ByteReader) throws(ByteShortage) {
    let first = try reader.number(UInt32.self)
    let tag = try reader.number(UInt64.self)
    let value = try reader.number(UInt64.self)
    let generation = first & Place.generationMax
    // A word's number is given when all records are read: until then its place is in the frame table's number space.
    let entry = engine.pages.entry(index)
    if entry.pointee.place.state == .word { engine.words.remove(Int(entry.pointee.place.value)) }
    var place = Place.free(next: 0)
    switch first >> 24 {
    case IndexRecords.free: break
    case IndexRecords.framed:
      guard value >> 8 < UInt64(engine.frames.count) else { throw ByteShortage() }
      place = .framed(FrameIndex(value >> 8), ordinal: Int(value & 255), discardable: false)
    case IndexRecords.word:
      guard let number = engine.words.add(value) else { throw ByteShortage() }
      place = .word(number, discardable: false)
    default: throw ByteShortage()
    }
    guard generation > 0 || place.state == .free else { throw ByteShortage() }
    engine.pages.restore(index, tag: tag, place.with(generation: generation))
    if let sums = engine.pageSums {
      sums.address(Int(index)).storeBytes(of: try reader.number(UInt64.self), as: UInt64.self)
    }
  }

  private func readFrame(_ frame: FrameIndex, _ reader: inout ByteReader, isWhole: Bool) throws(ByteShortage) {
    var record = FrameRecord()
    record.id = try reader.number(UInt64.self)
    record.position = try reader.number()
    record.checksum = try reader.number()
    record.baseSteps = try reader.number()
    record.places = try reader.number()
    record.count = try reader.number()
    let codec = try reader.number(UInt8.self)
    record.codec = codec
    record.transforms = try reader.number()
    _ = try reader.raw(5)
    record.level = UInt8(session.level)
    let sidecars = try reader.raw(engine.frames.sidecarLength)
    if record.count > 0 {
      guard codec == FrameRecord.rawCodec || Int(codec) < EpochTable.codecsMax else { throw ByteShortage() }
      // The backing is shorter than it was: the frame's pages are lost, the others are not.
      if Int(record.position) >= engine.ports[session.level]?.slots.total ?? 0 {
        record.position = UInt32(SlotAllocator.nowhere)
      }
      if isWhole {
        guard Int(record.places) + Int(record.count) <= Int(root.placeCount) else { throw ByteShortage() }
      } else {
        try readPlaces(&record, &reader)
      }
    }
    engine.frames.record(frame).pointee = record
    sidecars.withUnsafeBytes {
      guard let base = $0.baseAddress else { return }
      UnsafeMutableRawPointer(engine.frames.sidecars(frame)).copyMemory(from: base, byteCount: $0.count)
    }
  }

  private func readPlaces(_ record: inout FrameRecord, _ reader: inout ByteReader) throws(ByteShortage) {
    let count = Int(record.count)
    let bytes = try reader.raw(count * IndexRecords.placeBytes)
    guard let first = engine.frames.appendPlaces(count) else { throw ByteShortage() }
    record.places = first
    bytes.withUnsafeBytes {
      (engine.frames.placeBase + Int(first) * IndexRecords.placeBytes).copyMemory(
        from: $0.baseAddress!, byteCount: $0.count)
    }
  }

  // MARK: When all records are there

  private mutating func finish() throws(ByteShortage) {
    try countChunks()
    try placeFrames()
    guard engine.frames.linkFree() else { throw ByteShortage() }
    engine.pages.linkFree()
    guard engine.pages.live == Int(root.livePages) else { throw ByteShortage() }
  }

  /// Each page's chunk is one of its frame's, and its own.
  private func countChunks() throws(ByteShortage) {
    for index in 0..<engine.pages.table.count {
      let place = engine.pages.entry(UInt32(index)).pointee.place
      switch place.state {
      case .framed:
        let record = engine.frames.record(place.frame)
        guard place.ordinal < Int(record.pointee.count),
          engine.frames.place(record, place.ordinal).pointee.owner == UInt32(index)
        else { throw ByteShortage() }
        record.pointee.live += 1
        engine.levels[session.level].pages += 1
      case .word: engine.state.pointee.sameFilled += 1
      case .free: break
      case .pooled: throw ByteShortage()
      }
    }
  }

  /// Frames with pages are there, the others are not.
  private mutating func placeFrames() throws(ByteShortage) {
    guard let port = engine.ports[session.level] else { return }
    for frame in 0..<engine.frames.count {
      let record = engine.frames.record(FrameIndex(frame))
      guard record.pointee.count > 0 else { continue }
      guard record.pointee.live > 0 else {
        // What the index says of it is not true any more.
        record.pointee.count = 0
        session.frameChanges.mark(FrameIndex(frame))
        continue
      }
      let transforms = record.pointee.transforms
      guard transforms == 0 || engine.epochs.set(transforms).mask != 0 else { throw ByteShortage() }
      try checkPlaces(record)
      let codec = record.pointee.codec
      if codec != FrameRecord.rawCodec, engine.epochs.codec(Int(codec)).level == 0 { lacking = codec }
      let slot = Int(record.pointee.position)
      guard slot == SlotAllocator.nowhere || port.slots.adopt(slot) else { throw ByteShortage() }
      engine.occupyFrame(FrameIndex(frame), record)
      if engine.isSparse(record) { engine.levels[session.level].sparseFrames += 1 }
    }
  }

  /// A frame's chunks fill no more than a page.
  private func checkPlaces(_ record: UnsafeMutablePointer<FrameRecord>) throws(ByteShortage) {
    var bytes = 0
    for ordinal in 0..<Int(record.pointee.count) {
      let place = engine.frames.place(record, ordinal).pointee
      bytes += engine.codec.length(place.lengthAndID)
      guard Int(place.owner) < engine.pages.table.count else { throw ByteShortage() }
    }
    guard bytes <= engine.pageSize else { throw ByteShortage() }
  }
}
