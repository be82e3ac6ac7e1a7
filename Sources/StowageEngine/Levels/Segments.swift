// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Segments and the levels' lists of them. All functions here expect the engine's lock to be held.
extension Engine {
  @inline(__always) func level(_ index: Int) -> UnsafeMutablePointer<LevelState> { levels + index }

  /// The number of what a level encodes with now; of `rawCodec` itself.
  @inline(__always) func codecNumber(_ index: Int) -> UInt8 {
    index == Int(FrameRecord.rawCodec) ? FrameRecord.rawCodec : levels[index].codec
  }

  /// A new open segment at the young end of a level; nil when the arena has none.
  func openSegment(_ index: Int) -> SegmentIndex? {
    guard let segment = arena.take() else { return nil }
    let head = arena.head(segment)
    head.pointee = Segment()
    head.pointee.level = UInt8(index)
    head.pointee.state = .open
    head.pointee.codec = codecNumber(index)
    head.pointee.stamp = state.pointee.readerEpoch
    link(segment, to: index, before: noSegment)
    levels[index].segments += 1
    notePeak()
    return segment
  }

  /// Puts a segment into a level's list before another one (`noSegment`: at the young end).
  func link(_ segment: SegmentIndex, to index: Int, before next: SegmentIndex) {
    let head = arena.head(segment)
    let previous = next == noSegment ? levels[index].tail : arena.head(next).pointee.previous
    head.pointee.next = next
    head.pointee.previous = previous
    head.pointee.sequence = state.pointee.nextSequence
    state.pointee.nextSequence += 1
    if previous == noSegment {
      levels[index].head = segment
    } else {
      arena.head(previous).pointee.next = segment
    }
    if next == noSegment {
      levels[index].tail = segment
    } else {
      arena.head(next).pointee.previous = segment
    }
  }

  func unlink(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    let index = Int(head.pointee.level)
    let (previous, next) = (head.pointee.previous, head.pointee.next)
    if previous == noSegment {
      levels[index].head = next
    } else {
      arena.head(previous).pointee.next = next
    }
    if next == noSegment {
      levels[index].tail = previous
    } else {
      arena.head(next).pointee.previous = previous
    }
    head.pointee.next = noSegment
    head.pointee.previous = noSegment
  }

  /// No more appends. An empty one is released at once.
  func seal(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    head.pointee.state = .sealed
    levels[Int(head.pointee.level)].sealed += 1
    if head.pointee.count == 0, head.pointee.pins == 0 { releaseSealed(segment) }
  }

  func releaseSealed(_ segment: SegmentIndex) {
    let index = Int(arena.head(segment).pointee.level)
    unlink(segment)
    levels[index].sealed -= 1
    toLimbo(segment)
  }

  /// Takes a sealed segment out of its list for a piece of work.
  func claim(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    let index = Int(head.pointee.level)
    unlink(segment)
    head.pointee.state = .claimed
    levels[index].sealed -= 1
    levels[index].claimed += 1
    if head.pointee.sequence < levels[index].flushBelow { levels[index].flushClaimed += 1 }
  }

  /// Ends a claim: what still holds pages goes back to its place in the order.
  func unclaim(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    let index = Int(head.pointee.level)
    levels[index].claimed -= 1
    if head.pointee.sequence < levels[index].flushBelow { levels[index].flushClaimed -= 1 }
    if head.pointee.count == 0, head.pointee.pins == 0 { return toLimbo(segment) }
    let sequence = head.pointee.sequence
    var next = levels[index].head
    while next != noSegment, arena.head(next).pointee.sequence < sequence {
      next = arena.head(next).pointee.next
    }
    link(segment, to: index, before: next)
    head.pointee.sequence = sequence
    head.pointee.state = .sealed
    levels[index].sealed += 1
  }

  /// Out of use: reused once every load begun before now has ended.
  func toLimbo(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    levels[Int(head.pointee.level)].segments -= 1
    head.pointee.state = .limbo
    head.pointee.stamp = state.pointee.readerEpoch
    head.pointee.next = noSegment
    state.pointee.readerEpoch += 1
    if state.pointee.limboTail == noSegment {
      state.pointee.limboHead = segment
    } else {
      arena.head(state.pointee.limboTail).pointee.next = segment
    }
    state.pointee.limboTail = segment
    reclaimLimbo()
  }

  /// Frees the segments of limbo that no load can read any more; true when any was.
  @discardableResult func reclaimLimbo() -> Bool {
    guard state.pointee.limboHead != noSegment else { return false }
    let oldest = oldestReader()
    var freed = false
    while state.pointee.limboHead != noSegment {
      let segment = state.pointee.limboHead
      let head = arena.head(segment)
      guard head.pointee.stamp < oldest, head.pointee.pins == 0 else { break }
      state.pointee.limboHead = head.pointee.next
      if state.pointee.limboHead == noSegment { state.pointee.limboTail = noSegment }
      arena.give(segment)
      freed = true
    }
    if freed { arena.shrink(to: segmentsAllowed) }
    return freed
  }

  private func oldestReader() -> UInt64 {
    var oldest = UInt64.max
    for index in 0..<callers.count {
      let epoch = callers[index].pointee.reading.load(ordering: .acquiring)
      if epoch != 0, epoch < oldest { oldest = epoch }
    }
    for context in workers {
      let epoch = context.pointee.reading.load(ordering: .acquiring)
      if epoch != 0, epoch < oldest { oldest = epoch }
    }
    return oldest
  }

  /// Marks a load: segments released from now on keep their contents until `endReading`.
  @inline(__always) func beginReading(_ context: Context) {
    context.pointee.reading.store(state.pointee.readerEpoch, ordering: .relaxed)
  }

  /// Marks a load that may come on top of earlier ones, whose mark then stays. What would be enough for this one alone, to
  /// be given to `continueReading` when the earlier ones are over. With the lock.
  func beginReadingOn(_ context: Context) -> UInt64 {
    if context.pointee.reading.load(ordering: .relaxed) == 0 { beginReading(context) }
    return state.pointee.readerEpoch
  }

  /// The earlier loads are over. Needs no lock.
  func continueReading(_ context: Context, since mark: UInt64) {
    context.pointee.reading.store(mark, ordering: .releasing)
  }

  /// Needs no lock.
  @inline(__always) func endReading(_ context: Context) {
    context.pointee.reading.store(0, ordering: .releasing)
  }

  /// A segment for one piece of work's own use, within the reserve.
  func takeScratch(level index: Int) -> SegmentIndex? {
    guard let segment = arena.take() else { return nil }
    arena.head(segment).pointee = Segment()
    arena.head(segment).pointee.state = .scratch
    arena.head(segment).pointee.level = UInt8(index)
    state.pointee.scratchSegments += 1
    notePeak()
    return segment
  }

  /// Gives scratch back; when I/O that never returned still reads from it, the last such call's end does.
  func giveScratch(_ segment: SegmentIndex) {
    guard arena.head(segment).pointee.pins == 0 else {
      arena.head(segment).pointee.state = .limbo
      return
    }
    state.pointee.scratchSegments -= 1
    arena.give(segment)
  }

  /// A late call has ended: its segment is free to go.
  func unpin(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    head.pointee.pins -= 1
    guard head.pointee.pins == 0 else { return }
    switch head.pointee.state {
    case .limbo where head.pointee.stamp == 0:
      state.pointee.scratchSegments -= 1
      arena.give(segment)
    case .limbo: reclaimLimbo()
    case .sealed where head.pointee.count == 0: releaseSealed(segment)
    case .free, .open, .sealed, .claimed, .scratch: break
    }
  }

  @inline(__always) func chunkAddress(_ segment: SegmentIndex, _ offset: Int) -> UnsafeMutableRawPointer {
    arena.bytes(segment) + offset
  }

  @inline(__always) func aligned(_ bytes: Int) -> Int { (bytes + unit - 1) & ~(unit - 1) }

  @inline(__always) func place(_ segment: SegmentIndex, _ offset: Int, discardable: Bool) -> Place {
    .pooled(segment, unit: UInt32(truncatingIfNeeded: offset >> unitShift), discardable: discardable)
  }

  @inline(__always) func header(_ segment: SegmentIndex, _ offset: Int) -> UnsafeMutablePointer<ChunkHeader> {
    chunkAddress(segment, offset).assumingMemoryBound(to: ChunkHeader.self)
  }

  func frameOwner(_ segment: SegmentIndex, _ index: Int) -> UnsafeMutablePointer<FrameIndex> {
    frameOwners.base.assumingMemoryBound(to: FrameIndex.self) + Int(segment) * framesPerSegment + index
  }
}
