// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// The index of a session that has been resumed, brought into the tables while the store is used already.
///
/// What a call needs of a page is read when the call comes; the rest is read in the background, piece by piece. Until all
/// is there nothing is written to the session's tier, as it is not known which slots are free; frames of the session do
/// not end, as it is not known which of their chunks are live; and entries that were free are not used. When all records
/// are there, live chunks are counted, frames are settled and what is free is linked, in short sections under the lock.
///
/// Who advances it holds `gate`, and with it the session's context.
final class IndexLoad: @unchecked Sendable {
  enum Stage: Int { case pages, frames, places, slots, count, settle, runs, done }

  unowned let engine: Engine
  let session: SessionTables
  /// Which has it.
  unowned let keeper: SessionKeeper
  let root: SessionRoot
  /// One reader of the index at a time.
  let gate: FutexLock
  /// Calls that wait for the gate: the background lets them go first.
  let demands = Atomic(0)

  // Guarded by the gate.
  var stage = Stage.pages
  /// Where the stage is.
  var cursor = 0
  /// Why it cannot be brought to an end.
  var failure: StoreError?
  let reader: StreamReader
  var pages: SessionStream
  var frames: SessionStream
  var places: SessionStream
  /// By chunk: what is in the tables.
  private var hasPages: [Bool]
  private var hasFrames: [Bool]
  private var hasPlaces: [Bool]
  /// What deltas have, and the whole index has not as it was last.
  let patchedPages: ChangeMap
  let patchedFrames: ChangeMap
  /// Slots of the whole index, and what the deltas have.
  var slots: [UInt32] = []
  var deltas: [DeltaNote] = []
  /// Places that frames have, a bit each.
  var usedPlaces: [UInt64] = []
  /// Entries of the tables when it began; those behind came later.
  private(set) var pageCount = 0
  private(set) var frameCount = 0
  private(set) var placeCount = 0
  /// Pages among the records that are in the tables.
  var livePages = 0

  /// Records that are read together.
  let chunk: Int
  /// Bytes that the background reads together: enough for several reads at once, little for a call that waits meanwhile.
  private static let bytesAhead = 512 << 10

  init(_ engine: Engine, _ session: SessionTables, _ keeper: SessionKeeper, _ image: SessionImage) throws(StreamFault) {
    self.engine = engine
    self.session = session
    self.keeper = keeper
    root = image.root
    // In a simulation small ones, so that much happens between them.
    chunk = engine.isManual ? 16 : 512
    reader = StreamReader(engine, keeper.context, level: session.level, sidecars: Int(image.root.sidecarLength))
    pages = try reader.stream(root.pages)
    frames = try reader.stream(root.frames)
    places = try reader.stream(root.places)
    func chunks(_ records: UInt64) -> [Bool] { Array(repeating: false, count: (Int(records) + chunk - 1) / chunk) }
    hasPages = []
    (hasFrames, hasPlaces) = ([], [])
    do throws(StoreError) {
      patchedPages = try ChangeMap(capacity: 1 << 31)
      patchedFrames = try ChangeMap(capacity: FrameTable.capacity)
    } catch {
      throw .unavailable(level: session.level, "\(error)")
    }
    // From here on `deinit` frees it, whatever fails.
    gate = FutexLock()
    let named = root.pages.top.slot
    guard pages.length == Int(root.pageCount) * pageBytes, frames.length == Int(root.frameCount) * frameBytes,
      places.length == Int(root.placeCount) * IndexRecords.placeBytes
    else { throw .damaged(slot: named, "its lengths contradict its counts") }
    hasPages = chunks(root.pageCount)
    hasFrames = chunks(root.frameCount)
    hasPlaces = chunks(root.placeCount)
    try begin(named)
  }

  deinit {
    gate.deallocate()
    patchedPages.unmap()
    patchedFrames.unmap()
  }

  var pageBytes: Int { IndexRecords.pageBytes(sums: engine.pageSums != nil) }
  var frameBytes: Int { IndexRecords.frameBytes + engine.frames.sidecarLength }

  /// Room in the tables, and what the deltas say.
  private func begin(_ named: UInt32) throws(StreamFault) {
    var found: [(bytes: [UInt8], slots: [UInt32])] = []
    for place in root.deltas { found.append(try reader.all(of: place)) }
    do throws(ByteShortage) {
      (pageCount, frameCount) = try counts(found.last?.bytes)
      try makeRoom()
      for delta in found {
        var note = try apply(delta.bytes)
        note.slots = delta.slots
        deltas.append(note)
      }
      try finishPatches()
    } catch {
      throw .damaged(slot: named, "its records contradict each other")
    }
    placeCount = engine.frames.placeCount
  }

  /// Entries of the tables: as the last delta has them.
  private func counts(_ last: [UInt8]?) throws(ByteShortage) -> (Int, Int) {
    guard let last else { return (Int(root.pageCount), Int(root.frameCount)) }
    var reader = ByteReader(last)
    let counts = (try reader.number(UInt64.self), try reader.number(UInt64.self))
    // Each page more than the whole index has stands in a delta.
    let most = root.deltas.reduce(UInt64(0)) { $0 + $1.length / 16 }
    guard counts.0 >= root.pageCount, counts.1 >= root.frameCount, counts.0 <= root.pageCount + most,
      counts.1 <= root.frameCount + most
    else { throw ByteShortage() }
    return (Int(counts.0), Int(counts.1))
  }

  private func makeRoom() throws(ByteShortage) {
    engine.lock.lock()
    defer { engine.lock.unlock() }
    guard engine.frames.extend(to: frameCount, places: Int(root.placeCount)),
      engine.pages.extend(to: pageCount, live: Int(root.livePages))
    else { throw ByteShortage() }
    engine.growSums(entries: 1)
    engine.levels[session.level].pages = Int(root.livePages)
  }

  // MARK: Chunks, with the gate

  /// Sees to it that a page's record is in its table, and what it names.
  func need(page index: UInt32) throws(StreamFault) {
    guard stage != .done, Int(index) < pageCount else { return }
    if Int(index) < Int(root.pageCount) { try needPages(Int(index) / chunk, 1) }
    let place = engine.lock.withLock { engine.pages.entry(index).pointee.place }
    guard place.state == .framed, engine.lock.withLock({ engine.frames.isUnsettled(place.frame) }) else { return }
    try need(frame: place.frame)
    let isNamed = engine.lock.withLock {
      // It may have been ended, or brought up, since.
      guard engine.pages.entry(index).pointee.place == place else { return true }
      return engine.names(place, index)
    }
    guard isNamed else {
      throw .damaged(
        slot: pages.slot(at: Int(index) * pageBytes, reader), "a page's record and its frame's contradict each other")
    }
  }

  private func need(frame: FrameIndex) throws(StreamFault) {
    if Int(frame) < Int(root.frameCount) { try needFrames(Int(frame) / chunk, 1) }
    let record = engine.lock.withLock { engine.frames.record(frame).pointee }
    // Places behind those of the whole index came with a delta.
    guard record.count > 0, Int(record.places) < Int(root.placeCount) else { return }
    let last = min(Int(record.places) + Int(record.count), Int(root.placeCount)) - 1
    let first = Int(record.places) / chunk
    try needPlaces(first, last / chunk - first + 1)
  }

  func needPages(_ first: Int, _ count: Int) throws(StreamFault) {
    guard hasPages[first..<first + count].contains(false) else { return }
    let records = first * chunk..<min((first + count) * chunk, Int(root.pageCount))
    let bytes = try pages.read(records.lowerBound * pageBytes..<records.upperBound * pageBytes, reader)
    for index in first..<first + count where !hasPages[index] {
      let part = index * chunk..<min((index + 1) * chunk, records.upperBound)
      do throws(ByteShortage) { try fillPages(part, bytes, from: records.lowerBound) } catch {
        throw .damaged(slot: pages.slot(at: part.lowerBound * pageBytes, reader), "a page's record is impossible")
      }
      hasPages[index] = true
    }
  }

  func needFrames(_ first: Int, _ count: Int) throws(StreamFault) {
    guard hasFrames[first..<first + count].contains(false) else { return }
    let records = first * chunk..<min((first + count) * chunk, Int(root.frameCount))
    let bytes = try frames.read(records.lowerBound * frameBytes..<records.upperBound * frameBytes, reader)
    for index in first..<first + count where !hasFrames[index] {
      let part = index * chunk..<min((index + 1) * chunk, records.upperBound)
      do throws(ByteShortage) { try fillFrames(part, bytes, from: records.lowerBound) } catch {
        throw .damaged(slot: frames.slot(at: part.lowerBound * frameBytes, reader), "a frame's record is impossible")
      }
      hasFrames[index] = true
    }
  }

  func needPlaces(_ first: Int, _ count: Int) throws(StreamFault) {
    guard hasPlaces[first..<first + count].contains(false) else { return }
    let size = IndexRecords.placeBytes
    let records = first * chunk..<min((first + count) * chunk, Int(root.placeCount))
    let bytes = try places.read(records.lowerBound * size..<records.upperBound * size, reader)
    for index in first..<first + count {
      let part = index * chunk..<min((index + 1) * chunk, records.upperBound)
      engine.lock.withLock {
        bytes.withUnsafeBytes {
          guard let base = $0.baseAddress else { return }
          (engine.frames.placeBase + part.lowerBound * size).copyMemory(
            from: base + (part.lowerBound - records.lowerBound) * size, byteCount: part.count * size)
        }
      }
      hasPlaces[index] = true
    }
  }

  /// Reads the next piece of a stage that reads. False when it has them all.
  func readAhead() throws(StreamFault) -> Bool {
    let has = stage == .pages ? hasPages : stage == .frames ? hasFrames : hasPlaces
    while cursor < has.count, has[cursor] { cursor += 1 }
    guard cursor < has.count else { return false }
    // Parts of what calls have asked for are read again: rare, and simple.
    var count = 1
    let size = stage == .pages ? pageBytes : stage == .frames ? frameBytes : IndexRecords.placeBytes
    let most = engine.isManual ? 8 : Self.bytesAhead / (chunk * size)
    while count < most, cursor + count < has.count, !has[cursor + count] { count += 1 }
    switch stage {
    case .pages: try needPages(cursor, count)
    case .frames: try needFrames(cursor, count)
    default: try needPlaces(cursor, count)
    }
    cursor += count
    return true
  }
}
