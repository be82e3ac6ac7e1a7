// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// Pages coming to places and leaving them. All functions here expect the engine's lock to be held, unless they
/// say otherwise.
extension Engine {
  /// Lets a page begin or go on at a place in a segment.
  @inline(__always) func occupy(_ place: Place, length: Int) {
    let head = arena.head(place.segment)
    head.pointee.live += UInt32(truncatingIfNeeded: length)
    head.pointee.count += 1
    let level = levels + Int(head.pointee.level)
    level.pointee.pages += 1
    level.pointee.liveBytes += length
    if place.isDiscardable {
      head.pointee.discardable += 1
      level.pointee.discardable += 1
    }
  }

  /// Frees what a page had at a place; its entry is the caller's to change.
  @inline(__always) func vacate(_ place: Place) {
    switch place.state {
    case .pooled: vacatePooled(place)
    case .framed: vacateFramed(place)
    case .word:
      words.remove(Int(place.value))
      state.pointee.sameFilled -= 1
    case .free: break
    }
  }

  @inline(__always) private func vacatePooled(_ place: Place) {
    let segment = place.segment
    let head = arena.head(segment)
    let length = codec.length(header(segment, Int(place.unit) << unitShift).pointee.lengthAndID)
    head.pointee.live -= UInt32(truncatingIfNeeded: length)
    head.pointee.count -= 1
    let level = levels + Int(head.pointee.level)
    level.pointee.pages -= 1
    level.pointee.liveBytes -= length
    if place.isDiscardable {
      head.pointee.discardable -= 1
      level.pointee.discardable -= 1
    }
    if head.pointee.count == 0, head.pointee.state == .sealed, head.pointee.pins == 0 {
      releaseSealed(segment)
      if wakesPuts { space.notify() }
    }
  }

  private func vacateFramed(_ place: Place) {
    let record = frames.record(place.frame)
    let level = levels + Int(record.pointee.level)
    guard !frames.isUnsettled(place.frame) else {
      level.pointee.pages -= 1
      return leaveUnsettled(record, frames.place(record, place.ordinal).pointee.owner)
    }
    if isSparse(record) { level.pointee.sparseFrames -= 1 }
    record.pointee.live -= 1
    if isSparse(record) {
      level.pointee.sparseFrames += 1
      level.pointee.sparseRestUntil = 0
    }
    level.pointee.pages -= 1
    if place.isDiscardable { level.pointee.discardable -= 1 }
    if record.pointee.live == 0 { endFrame(place.frame) }
  }

  /// A frame in a slot that is worth taking apart when slots run out: a quarter of its chunks or more are dead.
  @inline(__always) func isSparse(_ record: UnsafeMutablePointer<FrameRecord>) -> Bool {
    let live = record.pointee.live
    return live > 0 && Int(live) * 4 <= Int(record.pointee.count) * 3 && record.pointee.codec != FrameRecord.rawCodec
      && ports[Int(record.pointee.level)] != nil
  }

  /// A frame without live chunks: its room is free, at the latest when the last load of it has ended.
  func endFrame(_ frame: FrameIndex) {
    let record = frames.record(frame)
    noteFrame(frame)
    guard record.pointee.pins == 0, record.pointee.flags & FrameRecord.moving == 0 else {
      record.pointee.flags |= FrameRecord.dying
      return
    }
    let index = Int(record.pointee.level)
    levels[index].frames -= 1
    if let port = ports[index] {
      leaveSlot(record, index, port)
    } else {
      vacateFrameRoom(record.pointee.position)
    }
    frames.release(frame)
  }

  /// A frame's slot in a backing becomes free.
  func leaveSlot(_ record: UnsafeMutablePointer<FrameRecord>, _ index: Int, _ port: BackingPort) {
    port.slots.free(Int(record.pointee.position))
    levels[index].slots -= 1
    if let session, index == session.level { session.count(record.pointee, by: -1) }
    levels[index].liveBytes -= pageSize
    if record.pointee.id < levels[index].flushBelow { levels[index].flushLeft -= 1 }
  }

  /// A frame's place in a segment of a frame level becomes free.
  func vacateFrameRoom(_ position: UInt32) {
    let segment = position / UInt32(framesPerSegment)
    let head = arena.head(segment)
    frameOwner(segment, Int(position) % framesPerSegment).pointee = .max
    head.pointee.count -= 1
    head.pointee.live -= UInt32(pageSize)
    levels[Int(head.pointee.level)].liveBytes -= pageSize
    if head.pointee.count == 0, head.pointee.state == .sealed, head.pointee.pins == 0 {
      releaseSealed(segment)
      if wakesPuts { space.notify() }
    }
  }

  /// Ends a page: its handle is stale from here on.
  @inline(__always) func endPage(_ index: UInt32, _ entry: UnsafeMutablePointer<PageEntry>) {
    let place = entry.pointee.place
    if place.isDiscardable { state.pointee.discardablePages -= 1 }
    vacate(place)
    noteChange(index)
    dropCopy(index)
    pages.release(index)
  }

  /// The level that a place is in.
  func levelIndex(of place: Place) -> Int {
    switch place.state {
    case .pooled: Int(arena.head(place.segment).pointee.level)
    case .framed: Int(frames.record(place.frame).pointee.level)
    case .word, .free: 0
    }
  }

  /// Ends a page that its owner did not end; the destructor is called later, by `deliverDrops`.
  func dropPage(_ index: UInt32, _ reason: DropReason) -> DroppedPage {
    let entry = pages.entry(index)
    let place = entry.pointee.place
    let level = levelIndex(of: place)
    let dropped = DroppedPage(
      handle: Handle(index: index, generation: place.generation), tag: entry.pointee.tag,
      kind: place.isDiscardable ? .discardable : .persistent, level: plan.listedIndex(of: level), reason: reason)
    levels[level].dropped += 1
    state.pointee.dropCount += 1
    endPage(index, entry)
    return dropped
  }

  /// Pages dropped in one section under the lock, at most; those that are added are few enough for that.
  static let dropsMax = 512

  /// Where the pages that are dropped in one section are noted. Made without the lock, so that nothing is allocated with
  /// it; nothing at all unless some are to be dropped.
  func dropList(when drops: Bool) -> [DroppedPage] {
    var list: [DroppedPage] = []
    if drops { list.reserveCapacity(Self.dropsMax) }
    return list
  }

  /// The same for discardable pages that pass a discard point: a store that holds none allocates nothing for them.
  func discardList(when drops: Bool) -> [DroppedPage] {
    dropList(when: drops && lock.withLock { state.pointee.discardablePages > 0 })
  }

  /// Calls destructors. Without the lock, on an engine thread (or, when manually scheduled, in `step`).
  func deliver(_ drops: [DroppedPage]) {
    guard let destructor else { return }
    for drop in drops { destructor(drop) }
  }

  /// Leaves a drop that a caller's thread found to an engine thread. Without the lock.
  func postpone(_ drop: DroppedPage) {
    pendingDrops.withLock { $0.append(drop) }
    hasPendingDrops.store(true, ordering: .releasing)
    work.notify()
  }

  func takePendingDrops() -> [DroppedPage] {
    pendingDrops.withLock { drops in
      hasPendingDrops.store(false, ordering: .relaxed)
      defer { drops = [] }
      return drops
    }
  }

  /// Over an object's id, the epoch of its encoding, and its bytes. XXH3, cut to 32 bits. Needs no lock.
  @inline(__always) func checksum(_ bytes: UnsafeRawPointer, _ length: Int, id: UInt64, epoch: UInt32)
    -> UInt32
  {
    UInt32(truncatingIfNeeded: stowage_hash64(bytes, length, id ^ UInt64(epoch) &* 0x9E37_79B9_7F4A_7C15))
  }
}
