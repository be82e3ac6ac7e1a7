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
/// A large pool grows by a huge page's worth of segments at a time, so that a chunk at random is no miss in the processor's
/// own tables. The RAM of segments is given back one by one: then that stretch is not mapped by a huge page any more, as
/// the system would fill the hole.
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
  /// Segments of a huge page, and for each such stretch whether it is mapped by one.
  private let perStretch: Int
  private let isHuge: UnsafeMutableBufferPointer<Bool>

  /// The pool grows in huge pages from so much RAM on: what it takes too early is a sixteenth at most.
  private static let hugeFrom = 32 << 20
  /// Stretches that may be mapped so: each is a mapping of its own at worst, of which a process has some 65,000.
  private static let stretchesMax = 16384

  /// Segments that one piece of growth makes present.
  struct Growth {
    let first: SegmentIndex
    var count = 1
  }

  private struct Counts {
    var free = 0
    var fresh = 0
    var dormant = 0
    var inUse = 0
    /// Reserved, their RAM being made present.
    var preparing = 0
    var lockFailed = false
    /// Segments that may be present, as `shrink` was told last.
    var allowed = 0
  }

  init(segmentSize: Int, capacity: Int, locks: Bool) throws(StoreError) {
    self.segmentSize = segmentSize
    self.capacity = capacity
    region = try Region(byteCount: segmentSize * capacity, isAligned: true)
    heads = try Region(byteCount: MemoryLayout<Segment>.stride * capacity)
    freeList = try Region(byteCount: 4 * capacity)
    dormantList = try Region(byteCount: 4 * capacity)
    counts = .allocate(capacity: 1)
    counts.initialize(to: Counts())
    self.locks = locks
    perStretch = max(1, Region.hugePage / segmentSize)
    isHuge = .allocate(capacity: min(capacity / perStretch, Self.stretchesMax))
    isHuge.initialize(repeating: false)
  }

  func unmap() {
    region.unmap()
    heads.unmap()
    freeList.unmap()
    dormantList.unmap()
    counts.deallocate()
    isHuge.deallocate()
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

  /// Makes more segments' RAM present on the free list; false when there is none.
  func prepareOne() -> Bool {
    guard let growth = reserve() else { return false }
    addPrepared(growth, isLocked: prepare(growth))
    return true
  }

  /// Segments without RAM, which nobody else gets, for `prepare` and then `addPrepared`; nil when there is none.
  func reserve() -> Growth? {
    guard let growth = takeAbsent() else { return nil }
    counts.pointee.preparing += growth.count
    return growth
  }

  /// Makes the RAM of reserved segments present: tens of microseconds, without the engine's lock. False when it was to be
  /// locked and the system did not let us.
  func prepare(_ growth: Growth) -> Bool {
    let (offset, length) = (Int(growth.first) * segmentSize, growth.count * segmentSize)
    if growth.count > 1 { region.useHugePages(offset, length) }
    region.populate(offset, length)
    return !locks || region.lock(offset, length)
  }

  /// Reserved segments are present: they go to the free list.
  func addPrepared(_ growth: Growth, isLocked: Bool) {
    if !isLocked { counts.pointee.lockFailed = true }
    counts.pointee.preparing -= growth.count
    addFree(growth, from: 0)
  }

  /// The first of them is handed out first.
  private func addFree(_ growth: Growth, from start: Int) {
    for place in stride(from: growth.count - 1, through: start, by: -1) {
      list[counts.pointee.free] = growth.first + SegmentIndex(place)
      counts.pointee.free += 1
    }
  }

  /// Returns the RAM of free segments until at most `target` are present.
  func shrink(to target: Int) {
    counts.pointee.allowed = target
    while present > target, counts.pointee.free > 0 {
      counts.pointee.free -= 1
      let index = list[counts.pointee.free]
      if locks { region.unlock(Int(index) * segmentSize, segmentSize) }
      endStretch(of: index)
      region.release(Int(index) * segmentSize, segmentSize)
      dormant[counts.pointee.dormant] = index
      counts.pointee.dormant += 1
    }
  }

  private func endStretch(of index: SegmentIndex) {
    let stretch = Int(index) / perStretch
    guard stretch < isHuge.count, isHuge[stretch] else { return }
    isHuge[stretch] = false
    region.useHugePages(stretch * perStretch * segmentSize, perStretch * segmentSize, false)
  }

  /// A segment without RAM: one whose RAM was returned, else a never used one; its RAM is made present.
  private func addFresh() -> SegmentIndex? {
    guard let growth = takeAbsent() else { return nil }
    if !prepare(growth) { counts.pointee.lockFailed = true }
    addFree(growth, from: 1)
    return growth.first
  }

  private func takeAbsent() -> Growth? {
    if counts.pointee.dormant > 0 {
      counts.pointee.dormant -= 1
      return Growth(first: dormant[counts.pointee.dormant])
    }
    guard counts.pointee.fresh < capacity else { return nil }
    var growth = Growth(first: SegmentIndex(counts.pointee.fresh))
    if growsByStretch {
      growth.count = perStretch
      isHuge[counts.pointee.fresh / perStretch] = true
    }
    for place in 0..<growth.count { head(growth.first + SegmentIndex(place)).initialize(to: Segment()) }
    counts.pointee.fresh += growth.count
    return growth
  }

  /// Whether the next segments to be used for the first time are a huge page's worth: far from the limit only, as tables
  /// may have grown since it was told.
  private var growsByStretch: Bool {
    let fresh = counts.pointee.fresh
    return perStretch > 1 && !locks && fresh % perStretch == 0 && fresh / perStretch < isHuge.count
      && present * segmentSize >= Self.hugeFrom && present + 2 * perStretch <= counts.pointee.allowed
  }
}
