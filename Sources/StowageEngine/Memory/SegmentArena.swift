// SPDX-License-Identifier: Apache-2.0

/// A segment's number in the arena.
typealias SegmentIndex = UInt32
let noSegment = SegmentIndex.max

/// What a segment is used for now.
enum SegmentState: UInt8 {
  /// On the free list, or never used.
  case free
  /// Being appended to, by the one context (or the store's puts) that opened it.
  case open
  /// Full, or closed for appending; waits in its level's list.
  case sealed
  /// Out of its list, in the hands of one piece of engine work.
  case claimed
  /// Empty, but a load begun before may still read it.
  case limbo
  /// Scratch of one piece of engine work; holds no page.
  case scratch
}

/// The head of one segment. All fields are guarded by the engine's lock.
struct Segment {
  var level: UInt8 = 0
  var state: SegmentState = .free
  /// Puts that are copying into it and I/O that reads from it: while there are any it is not reused.
  var pins: UInt16 = 0
  /// Bytes appended (frames: frames appended).
  var used: UInt32 = 0
  /// Bytes of live chunks, their headers not counted (frames: bytes of live frames).
  var live: UInt32 = 0
  /// Live chunks, or live frames.
  var count: UInt32 = 0
  var discardable: UInt32 = 0
  var next: SegmentIndex = noSegment
  var previous: SegmentIndex = noSegment
  /// Object ids in chunk headers count from here.
  var idBase: UInt64 = 0
  /// The readers' epoch when it was opened, from its release on the one at its release. A release moves that epoch on, so
  /// no two uses of a segment have the same. 0: scratch.
  var stamp: UInt64 = 0
  /// Order of entry into its level's list, for flush.
  var sequence: UInt64 = 0
  /// The number of its chunks' codec.
  var codec: UInt8 = 0
}

/// The RAM of all levels: equal segments in one reserved region, handed out and taken back by number.
///
/// Everything but the contents of segments is guarded by the engine's lock.
struct SegmentArena: @unchecked Sendable {
  let segmentSize: Int
  let capacity: Int
  private let region: Region
  private let heads: Region
  private let freeList: Region
  private let dormantList: Region
  private let counts: UnsafeMutablePointer<Counts>
  private let locks: Bool

  private struct Counts {
    var free = 0
    var fresh = 0
    var dormant = 0
    var inUse = 0
    /// Reserved, their RAM being made present.
    var preparing = 0
    var lockFailed = false
  }

  init(segmentSize: Int, capacity: Int, locks: Bool) throws(StoreError) {
    self.segmentSize = segmentSize
    self.capacity = capacity
    region = try Region(byteCount: segmentSize * capacity)
    heads = try Region(byteCount: MemoryLayout<Segment>.stride * capacity)
    freeList = try Region(byteCount: 4 * capacity)
    dormantList = try Region(byteCount: 4 * capacity)
    counts = .allocate(capacity: 1)
    counts.initialize(to: Counts())
    self.locks = locks
  }

  func unmap() {
    region.unmap()
    heads.unmap()
    freeList.unmap()
    dormantList.unmap()
    counts.deallocate()
  }

  @inline(__always) func head(_ index: SegmentIndex) -> UnsafeMutablePointer<Segment> {
    heads.base.assumingMemoryBound(to: Segment.self) + Int(index)
  }

  @inline(__always) func bytes(_ index: SegmentIndex) -> UnsafeMutableRawPointer {
    region.base + Int(index) &* segmentSize
  }

  private var list: UnsafeMutablePointer<SegmentIndex> {
    freeList.base.assumingMemoryBound(to: SegmentIndex.self)
  }

  private var dormant: UnsafeMutablePointer<SegmentIndex> {
    dormantList.base.assumingMemoryBound(to: SegmentIndex.self)
  }

  /// Segments handed out now.
  var inUse: Int { counts.pointee.inUse }
  /// Segments whose RAM is present, or about to be, handed out or not.
  var present: Int { counts.pointee.inUse + counts.pointee.free + counts.pointee.preparing }
  /// Those of them that are free.
  var ready: Int { counts.pointee.free + counts.pointee.preparing }
  var lockFailed: Bool { counts.pointee.lockFailed }
  /// RAM of heads and list.
  var tableBytes: Int { counts.pointee.fresh * (MemoryLayout<Segment>.stride + 4) }

  /// Hands out a segment, warm ones first (last in, first out); nil when all are taken.
  func take() -> SegmentIndex? {
    if counts.pointee.free > 0 {
      counts.pointee.free -= 1
      counts.pointee.inUse += 1
      return list[counts.pointee.free]
    }
    guard let index = addFresh() else { return nil }
    counts.pointee.inUse += 1
    return index
  }

  /// Takes a free segment back.
  func give(_ index: SegmentIndex) {
    head(index).pointee = Segment()
    list[counts.pointee.free] = index
    counts.pointee.free += 1
    counts.pointee.inUse -= 1
  }

  /// Makes one more segment's RAM present on the free list; false when there is none.
  func prepareOne() -> Bool {
    guard let index = reserveOne() else { return false }
    addPrepared(index, isLocked: prepare(index))
    return true
  }

  /// A segment without RAM, which nobody else gets, for `prepare` and then `addPrepared`; nil when there is none.
  func reserveOne() -> SegmentIndex? {
    guard let index = takeAbsent() else { return nil }
    counts.pointee.preparing += 1
    return index
  }

  /// Makes the RAM of a reserved segment present: tens of microseconds, without the engine's lock. False when it was to be
  /// locked and the system did not let us.
  func prepare(_ index: SegmentIndex) -> Bool {
    region.populate(Int(index) * segmentSize, segmentSize)
    return !locks || region.lock(Int(index) * segmentSize, segmentSize)
  }

  /// A reserved segment is present: it goes to the free list.
  func addPrepared(_ index: SegmentIndex, isLocked: Bool) {
    if !isLocked { counts.pointee.lockFailed = true }
    counts.pointee.preparing -= 1
    list[counts.pointee.free] = index
    counts.pointee.free += 1
  }

  /// Returns the RAM of free segments until at most `target` are present.
  func shrink(to target: Int) {
    while present > target, counts.pointee.free > 0 {
      counts.pointee.free -= 1
      let index = list[counts.pointee.free]
      if locks { region.unlock(Int(index) * segmentSize, segmentSize) }
      region.release(Int(index) * segmentSize, segmentSize)
      dormant[counts.pointee.dormant] = index
      counts.pointee.dormant += 1
    }
  }

  /// A segment without RAM: one whose RAM was returned, else a never used one; its RAM is made present.
  private func addFresh() -> SegmentIndex? {
    guard let index = takeAbsent() else { return nil }
    if !prepare(index) { counts.pointee.lockFailed = true }
    return index
  }

  private func takeAbsent() -> SegmentIndex? {
    let index: SegmentIndex
    if counts.pointee.dormant > 0 {
      counts.pointee.dormant -= 1
      index = dormant[counts.pointee.dormant]
    } else {
      guard counts.pointee.fresh < capacity else { return nil }
      index = SegmentIndex(counts.pointee.fresh)
      counts.pointee.fresh += 1
      head(index).initialize(to: Segment())
    }
    return index
  }
}
