// SPDX-License-Identifier: Apache-2.0

/// A frame's number in the frame table.
typealias FrameIndex = UInt32

/// Where a frame is, what it went through and what is in it, in 28 bytes; its chunks' places stand in the place pool,
/// its sidecars behind it.
struct FrameRecord {
  private var idLow: UInt32 = 0
  private var idHigh: UInt16 = 0
  /// Live chunks, and chunks in all.
  var live: UInt8 = 0
  var count: UInt8 = 0
  /// The counter from which the chunks' ids count, in steps of `ChunkCodec.baseStep`.
  private var base: UInt32 = 0
  /// In RAM: segment * frames per segment + place in the segment. In a backing: the slot.
  var position: UInt32 = 0
  /// Over id, epochs and the bytes as they are at its position.
  var checksum: UInt32 = 0
  /// The first of its places in the place pool.
  var places: UInt32 = 0
  /// 6 bits of level, 6 of codec (all set: raw), 4 of flags.
  private var levelCodecFlags: UInt16 = 0
  /// Which frame transforms encoded it: the number of a `TransformSet`.
  var transforms: UInt8 = 0
  /// Loads under way from its slot (at most as many as there are contexts); while there are any, the slot is not freed.
  var pins: UInt8 = 0

  /// The object id of the frame: 48 bits of a counter.
  var id: UInt64 {
    get { UInt64(idHigh) << 32 | UInt64(idLow) }
    set {
      idLow = UInt32(truncatingIfNeeded: newValue)
      idHigh = UInt16(truncatingIfNeeded: newValue >> 32)
    }
  }

  var level: UInt8 {
    get { UInt8(levelCodecFlags & 63) }
    set { levelCodecFlags = levelCodecFlags & ~63 | UInt16(newValue) }
  }

  /// The number of the codec of its chunks; `rawCodec` when they are raw pages.
  var codec: UInt8 {
    get {
      let bits = UInt8(levelCodecFlags >> 6 & 63)
      return bits == 63 ? Self.rawCodec : bits
    }
    set { levelCodecFlags = levelCodecFlags & ~(63 << 6) | UInt16(newValue & 63) << 6 }
  }

  var flags: UInt8 {
    get { UInt8(levelCodecFlags >> 12) }
    set { levelCodecFlags = levelCodecFlags & 0xFFF | UInt16(newValue & 15) << 12 }
  }

  /// The chunks' ids count from here; `space` is their codec's.
  func chunkBase(space: UInt8) -> UInt64 {
    UInt64(base) * ChunkCodec.baseStep | (codec == Self.rawCodec ? 0 : UInt64(space) << 56)
  }

  mutating func setChunkBase(_ id: UInt64) {
    base = UInt32(truncatingIfNeeded: (id & (1 << 56 - 1)) / ChunkCodec.baseStep)
  }

  /// The base as it is kept, in steps.
  var baseSteps: UInt32 {
    get { base }
    set { base = newValue }
  }

  /// Whether a record can name a base: counters up to 2^44 have one, as many encodings as no store makes.
  static func canName(_ base: UInt64) -> Bool { (base & (1 << 56 - 1)) / ChunkCodec.baseStep <= UInt64(UInt32.max) }

  static let discardable: UInt8 = 1
  /// Without live chunks; freed by the last pin.
  static let dying: UInt8 = 2
  /// Being moved to another level by one piece of engine work.
  static let moving: UInt8 = 4
  /// A read of its slot was set aside past its deadline and has not returned.
  static let stuck: UInt8 = 8
  static let rawCodec: UInt8 = 255

  var isDiscardable: Bool { flags & Self.discardable != 0 }
}

/// One chunk in a frame: whose, how long, which id. Chunks lie in a frame in this order without gaps.
struct FramePlace {
  var owner: UInt32
  var lengthAndID: UInt32
}

/// All frames. Guarded by the engine's lock.
struct FrameTable: @unchecked Sendable {
  private let table: BlockTable
  private let places: BlockTable
  private let state: UnsafeMutablePointer<State>
  /// Heads of the free lists of place runs, by length.
  private let freeRuns: UnsafeMutablePointer<UInt32>
  let sidecarLength: Int

  private struct State {
    var free: UInt64 = 0
    var live = 0
    /// While a session is resumed: frames below are not all read yet, their live chunks not counted.
    var unsettled: FrameIndex = 0
  }

  static let chunksMax = 255
  /// Frame numbers have 29 bits.
  static let capacity = 1 << 29

  /// - Parameter sidecarLength: of all frame transforms together, rounded up to 4.
  init(sidecarLength: Int) throws(StoreError) {
    self.sidecarLength = sidecarLength
    table = try BlockTable(
      stride: MemoryLayout<FrameRecord>.stride + sidecarLength, capacity: Self.capacity)
    places = try BlockTable(stride: MemoryLayout<FramePlace>.stride, capacity: 1 << 31)
    state = .allocate(capacity: 1)
    state.initialize(to: State())
    freeRuns = .allocate(capacity: Self.chunksMax + 1)
    freeRuns.initialize(repeating: .max, count: Self.chunksMax + 1)
  }

  func unmap() {
    table.unmap()
    places.unmap()
    state.deallocate()
    freeRuns.deallocate()
  }

  var byteCount: Int { table.byteCount + places.byteCount }
  var live: Int { state.pointee.live }
  /// Frames ever numbered; those below are addressable.
  var count: Int { table.count }
  /// RAM of the live frames themselves.
  var recordBytes: Int { table.stride }

  @inline(__always) func record(_ frame: FrameIndex) -> UnsafeMutablePointer<FrameRecord> {
    table.address(Int(frame)).assumingMemoryBound(to: FrameRecord.self)
  }

  /// All sidecars of a frame, one frame transform after the other.
  @inline(__always) func sidecars(_ frame: FrameIndex) -> UnsafeMutablePointer<UInt8> {
    (table.address(Int(frame)) + MemoryLayout<FrameRecord>.stride).assumingMemoryBound(to: UInt8.self)
  }

  @inline(__always) func place(_ record: UnsafeMutablePointer<FrameRecord>, _ ordinal: Int)
    -> UnsafeMutablePointer<FramePlace>
  {
    places.address(Int(record.pointee.places) + ordinal).assumingMemoryBound(to: FramePlace.self)
  }

  /// A frame with room for `chunks` places; nil when all numbers are used.
  func allocate(chunks: Int) -> FrameIndex? {
    guard let run = allocateRun(chunks) else { return nil }
    let index: FrameIndex
    if state.pointee.free != 0 {
      index = FrameIndex(truncatingIfNeeded: state.pointee.free - 1)
      state.pointee.free = record(index).pointee.id
    } else {
      guard let appended = table.append() else {
        freeRun(run, chunks)
        return nil
      }
      index = FrameIndex(appended)
    }
    state.pointee.live += 1
    record(index).pointee.places = run
    record(index).pointee.count = UInt8(chunks)
    return index
  }

  func release(_ frame: FrameIndex) {
    let record = record(frame)
    freeRun(record.pointee.places, Int(record.pointee.count))
    record.pointee.count = 0
    record.pointee.live = 0
    record.pointee.id = state.pointee.free
    state.pointee.free = UInt64(frame) + 1
    state.pointee.live -= 1
  }

  /// RAM of the places from the first on.
  var placeBase: UnsafeMutableRawPointer { places.address(0) }
  var placeCount: Int { places.count }

  private func allocateRun(_ count: Int) -> UInt32? {
    let head = freeRuns[count]
    if head != .max {
      freeRuns[count] = places.address(Int(head)).load(as: UInt32.self)
      return head
    }
    return places.append(count).map { UInt32($0) }
  }

  private func freeRun(_ first: UInt32, _ count: Int) {
    places.address(Int(first)).storeBytes(of: freeRuns[count], as: UInt32.self)
    freeRuns[count] = first
  }
}

/// Frames of a session that is resumed: they are read one after the other while others are used. Until one is *settled*,
/// its live chunks are not all counted, and it does not end.
extension FrameTable {
  /// Makes an empty table one of `count` frames and `places` places.
  func extend(to count: Int, places placeCount: Int) -> Bool {
    guard count == 0 || table.append(count, isPresent: false) != nil,
      placeCount == 0 || places.append(placeCount, isPresent: false) != nil
    else { return false }
    state.pointee.unsettled = FrameIndex(count)
    return true
  }

  @inline(__always) func isUnsettled(_ frame: FrameIndex) -> Bool { frame < state.pointee.unsettled }

  /// Frames below are not settled yet.
  var unsettled: FrameIndex { state.pointee.unsettled }

  /// Places behind those of `extend`.
  func appendPlaces(_ count: Int) -> UInt32? { places.append(count).map { UInt32($0) } }

  /// The next frame, downwards, is as any other from here on; a number without a frame is free. Its places are noted in
  /// `used`. Nil when another frame has one of them.
  func settleOne(_ used: inout [UInt64]) -> FrameIndex? {
    let frame = state.pointee.unsettled - 1
    state.pointee.unsettled = frame
    let record = record(frame)
    guard record.pointee.count > 0 else {
      record.pointee.id = state.pointee.free
      state.pointee.free = UInt64(frame) + 1
      return frame
    }
    state.pointee.live += 1
    for place in Int(record.pointee.places)..<Int(record.pointee.places) + Int(record.pointee.count) {
      let bit: UInt64 = 1 << UInt64(place & 63)
      guard used[place >> 6] & bit == 0 else { return nil }
      used[place >> 6] |= bit
    }
    return frame
  }

  /// Looks at some places from `first` on, below `end`, and frees a run that no frame has noted. Where to go on.
  func freeUnused(from first: Int, below end: Int, _ used: [UInt64]) -> Int {
    func isUsed(_ place: Int) -> Bool { used[place >> 6] >> UInt64(place & 63) & 1 != 0 }
    var start = first
    let most = min(end, first + Self.chunksMax)
    while start < most, isUsed(start) { start += 1 }
    guard start < most else { return start }
    var count = 0
    while start + count < end, count < Self.chunksMax, !isUsed(start + count) { count += 1 }
    if count > 0 { freeRun(UInt32(start), count) }
    return start + count
  }
}
