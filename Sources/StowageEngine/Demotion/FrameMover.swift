// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Moving frames further down: from a segment of a frame level, or from slots of a backing.
extension Engine {
  /// Sends the frames of a claimed segment along the route.
  func moveFrames(_ context: Context, _ space: JobSpace, _ work: Work, _ segment: SegmentIndex) {
    // What a terminal level holds is decoded before it goes on.
    var decoded: SegmentIndex? = nil
    if plan.levels[work.level].isTerminal {
      decoded = lock.withLock { takeScratch(level: work.level) }
      guard decoded != nil else { return lock.withLock { unclaim(segment) } }
    }
    let frameCount = Int(arena.head(segment).pointee.used) / pageSize
    var index = 0
    while index < frameCount {
      var dropped = discardList(when: passesDiscardPoint(from: work.level, to: work.route.target))
      let room = roomForFrames(context, work.route, from: work.level)
      guard room > 0 else { break }
      lock.lock()
      var count = 0
      while index < frameCount, count < room, dropped.count <= Self.dropsMax - FrameTable.chunksMax {
        let frame = frameOwner(segment, index).pointee
        let address = UnsafeRawPointer(arena.bytes(segment) + index * pageSize)
        index += 1
        guard frame != .max, take(frame, address, space, count, work, &dropped) else { continue }
        count += 1
      }
      lock.unlock()
      if !dropped.isEmpty { deliver(dropped) }
      guard count > 0 else { continue }
      guard sendExisting(context, space, &count, work, source: segment, decoded: decoded) else { break }
    }
    lock.lock()
    if let decoded { giveScratch(decoded) }
    unclaim(segment)
    lock.unlock()
  }

  /// Sends the oldest frames of a backing along the route.
  func moveSlots(_ context: Context, _ space: JobSpace, _ work: Work) {
    guard let port = ports[work.level], let hold = lock.withLock({ takeScratch(level: work.level) }) else { return }
    defer { lock.withLock { giveScratch(hold) } }
    let room = roomForFrames(context, work.route, from: work.level)
    var dropped = discardList(when: passesDiscardPoint(from: work.level, to: work.route.target))
    var count = 0
    lock.lock()
    while count < min(room, framesPerSegment), dropped.count <= Self.dropsMax - FrameTable.chunksMax,
      let frame = port.queue.pop({ verdict($0, id: $1, work.level) })
    {
      let address = UnsafeRawPointer(arena.bytes(hold) + count * pageSize)
      if take(frame, address, space, count, work, &dropped) { count += 1 }
    }
    lock.unlock()
    if !dropped.isEmpty { deliver(dropped) }
    count = readBack(context, space, count, port)
    guard count > 0 else { return }
    if !sendExisting(context, space, &count, work, source: hold, decoded: nil) {
      lock.withLock { for index in 0..<count { requeue(space.outgoing[index], port) } }
    }
  }

  /// Whether a queued frame is still at that level, and whole. With the lock.
  func isThere(_ frame: FrameIndex, id: UInt32, _ level: Int) -> Bool {
    let record = frames.record(frame)
    return UInt32(truncatingIfNeeded: record.pointee.id) == id && record.pointee.live > 0
      && Int(record.pointee.level) == level
  }

  /// Whether a queued frame can be moved: one that is on its way is queued again when it stays after all, one whose read
  /// hangs would only let another read hang. With the lock.
  private func verdict(_ frame: FrameIndex, id: UInt32, _ level: Int) -> FrameQueue.Verdict {
    let flags = frames.record(frame).pointee.flags
    guard isThere(frame, id: id, level), flags & FrameRecord.moving == 0 else { return .gone }
    return flags & FrameRecord.stuck == 0 ? .take : .later
  }

  private func requeue(_ sent: Outgoing, _ port: BackingPort) {
    port.queue.push(sent.frame, id: sent.id) { isThere($0, id: $1, port.level) }
  }

  /// Reads the frames in hand into their buffers. A damaged one is dropped; when the backing cannot give one now, that one
  /// and the rest stay. The count of those that were read, at the front.
  private func readBack(_ context: Context, _ space: JobSpace, _ count: Int, _ port: BackingPort) -> Int {
    var kept = 0
    for index in 0..<count {
      let sent = space.outgoing[index]
      let result = readFrame(context, sent, port)
      if result == STOWAGE_OK {
        keep(space, index, sent, as: &kept)
      } else if TierResult.isDamage(result) {
        dropDamaged(sent)
      } else {
        lock.lock()
        degrade(port.level, port.lastFailure(result))
        for rest in index..<count {
          stay(space.outgoing[rest])
          requeue(space.outgoing[rest], port)
        }
        lock.unlock()
        break
      }
    }
    return kept
  }

  /// Reads one frame, damage once more: the second time it counts. The frame is pinned meanwhile, so that a read that hangs
  /// is known to, and is not begun again.
  private func readFrame(_ context: Context, _ sent: Outgoing, _ port: BackingPort) -> Int32 {
    let buffer = UnsafeMutableRawPointer(mutating: sent.address)
    var result = STOWAGE_OK
    for _ in 0..<2 {
      lock.withLock { frames.record(sent.frame).pointee.pins += 1 }
      let read = port.read(
        context, slot: UInt64(sent.position), id: sent.id, sent.kind, frame: sent.frame,
        into: buffer)
      lock.withLock { if read.isSetAside { markStuck(sent.frame) } else { unpinFrame(sent.frame) } }
      result = read.code
      if result == STOWAGE_OK {
        if checksum(buffer, pageSize, id: sent.id, epoch: epochs.set(sent.transforms).sum) == sent.checksum { break }
        HostTable.clearError()
        result = STOWAGE_CORRUPT
      }
      guard TierResult.isDamage(result), !read.isSetAside else { break }
    }
    return result
  }

  /// Frame `index` of those in hand goes on, with its sidecars, as the next of those that are kept.
  private func keep(_ space: JobSpace, _ index: Int, _ sent: Outgoing, as kept: inout Int) {
    space.outgoing[kept] = sent
    if kept != index, space.sidecarLength > 0 {
      (space.sidecars + kept * space.sidecarLength).update(
        from: space.sidecars + index * space.sidecarLength, count: space.sidecarLength)
    }
    kept += 1
  }

  /// Takes a frame in hand, or drops its pages at a discard point. With the lock.
  private func take(
    _ frame: FrameIndex, _ address: UnsafeRawPointer, _ space: JobSpace, _ index: Int, _ work: Work,
    _ dropped: inout [DroppedPage]
  ) -> Bool {
    let record = frames.record(frame)
    if record.pointee.isDiscardable, passesDiscardPoint(from: work.level, to: work.route.target) {
      dropFrame(frame, .discardPoint, &dropped)
      return false
    }
    record.pointee.flags |= FrameRecord.moving
    space.outgoing[index] = Outgoing(
      id: record.pointee.id, address: address, frame: frame, isDiscardable: record.pointee.isDiscardable,
      checksum: record.pointee.checksum, position: record.pointee.position, transforms: record.pointee.transforms)
    if space.sidecarLength > 0 {
      (space.sidecars + index * space.sidecarLength).update(
        from: frames.sidecars(frame), count: space.sidecarLength)
    }
    return true
  }

  /// Drops every live page of a frame, at most `FrameTable.chunksMax`. With the lock.
  func dropFrame(_ frame: FrameIndex, _ reason: DropReason, _ dropped: inout [DroppedPage]) {
    dropCopies(in: frame)
    let record = frames.record(frame)
    // With its last page the frame ends, and its places are others'.
    for ordinal in 0..<Int(record.pointee.count) where record.pointee.live > 0 {
      let owner = frames.place(record, ordinal).pointee.owner
      let place = pages.entry(owner).pointee.place
      guard place.state == .framed, place.frame == frame, place.ordinal == ordinal else { continue }
      dropped.append(dropPage(owner, reason))
    }
  }

  private func sendExisting(
    _ context: Context, _ space: JobSpace, _ count: inout Int, _ work: Work, source: SegmentIndex,
    decoded: SegmentIndex?
  ) -> Bool {
    checkFrames(context, space, &count, work, decoded)
    guard count > 0 else { return true }
    guard transfer(context, space, count, work.route, scratchPinned: decoded ?? source) else {
      lock.withLock { for index in 0..<count { stay(space.outgoing[index]) } }
      return false
    }
    lock.lock()
    noteFrameCursor(context, work.route.target)
    var moved = 0
    for index in 0..<count { moved += arrive(space, index, work) }
    unpinUnpublished(context)
    levels[work.level].demoted += moved
    levels[work.route.target].entered += moved
    countSkipped(work.route, pages: moved)
    lock.unlock()
    return true
  }

  /// Frames that are encoded again are checked first, and those of a terminal level decoded; damaged ones are
  /// dropped.
  private func checkFrames(
    _ context: Context, _ space: JobSpace, _ count: inout Int, _ work: Work, _ decoded: SegmentIndex?
  ) {
    let level = plan.levels[work.level]
    guard decoded != nil || work.route.transforms != 0 || level.role == .backing else { return }
    var kept = 0
    for index in 0..<count {
      var sent = space.outgoing[index]
      var result = STOWAGE_OK
      let sum = checksum(sent.address, pageSize, id: sent.id, epoch: epochs.set(sent.transforms).sum)
      if sum != sent.checksum {
        HostTable.clearError()
        result = STOWAGE_CORRUPT
      } else if let decoded, epochs.set(sent.transforms).mask & level.transformBit != 0 {
        result = decodeFrame(
          context, space, index, &sent, work.level, into: arena.bytes(decoded) + index * pageSize)
      }
      if result == STOWAGE_OK {
        keep(space, index, sent, as: &kept)
      } else if TierResult.isDamage(result) {
        dropDamaged(sent)
      } else {
        lock.withLock {
          stay(sent)
          degrade(work.level, tierMessage(result))
        }
      }
    }
    count = kept
  }

  /// Undoes a terminal level's transform; the result is a frame as it came to that level.
  private func decodeFrame(
    _ context: Context, _ space: JobSpace, _ index: Int, _ sent: inout Outgoing, _ level: Int,
    into output: UnsafeMutableRawPointer
  ) -> Int32 {
    let tier = calls[level].unsafelyUnwrapped
    let plan = plan.levels[level]
    var object = frameObject(sent.id, epochs.set(sent.transforms).epoch(plan.transformBit), sent.kind)
    let sidecar = space.sidecars + index * space.sidecarLength + plan.sidecarOffset
    let result = tier.decode(
      context.pointee.tiers[level], &object, sent.address, length: pageSize, output,
      sidecar: plan.sidecarLength > 0 ? UnsafePointer(sidecar) : nil)
    guard result == STOWAGE_OK else { return result }
    sent.address = UnsafeRawPointer(output)
    // A set with fewer transforms has a number, or its frames could not have come here.
    guard let number = lock.withLock({ transformSet(sent.transforms, removing: plan.transformBit) }) else {
      return STOWAGE_RETRY
    }
    sent.transforms = number
    sent.checksum = checksum(output, pageSize, id: sent.id, epoch: epochs.set(number).sum)
    return result
  }

  private func dropDamaged(_ sent: Outgoing) {
    var dropped = dropList(when: true)
    lock.lock()
    frames.record(sent.frame).pointee.flags &= ~FrameRecord.moving
    let frame = sent.frame
    if frames.record(frame).pointee.live == 0 { endFrame(frame) } else { dropFrame(frame, .unreadable, &dropped) }
    lock.unlock()
    deliver(dropped)
  }

  /// A frame that could not be moved stays where it is. With the lock.
  private func stay(_ sent: Outgoing) {
    let record = frames.record(sent.frame)
    record.pointee.flags &= ~FrameRecord.moving
    if record.pointee.live == 0 { endFrame(sent.frame) }
  }

  /// A frame is at its new place; what it had is free. The pages it moved. With the lock.
  private func arrive(_ space: JobSpace, _ index: Int, _ work: Work) -> Int {
    let sent = space.outgoing[index]
    let record = frames.record(sent.frame)
    record.pointee.flags &= ~FrameRecord.moving
    guard record.pointee.live > 0 else {
      abandonRoom(sent, work.route.target)
      endFrame(sent.frame)
      return 0
    }
    if let port = ports[work.level], record.pointee.pins > 0 {
      // A load is reading the slot that it would leave: it stays this time.
      abandonRoom(sent, work.route.target)
      requeue(sent, port)
      return 0
    }
    let live = Int(record.pointee.live)
    if isSparse(record) { levels[work.level].sparseFrames -= 1 }
    leave(record, work.level)
    record.pointee.position = sent.position
    record.pointee.level = UInt8(work.route.target)
    record.pointee.transforms = sent.transforms
    record.pointee.checksum = sent.checksum
    copySidecars(space, from: index, to: sent.frame)
    occupyFrame(sent.frame, record)
    noteFrame(sent.frame)
    if isSparse(record) { levels[work.route.target].sparseFrames += 1 }
    levels[work.level].pages -= live
    levels[work.route.target].pages += live
    if record.pointee.isDiscardable {
      levels[work.level].discardable -= live
      levels[work.route.target].discardable += live
    }
    return live
  }

  /// Frees the room of a frame at the level that it leaves.
  private func leave(_ record: UnsafeMutablePointer<FrameRecord>, _ level: Int) {
    levels[level].frames -= 1
    guard let port = ports[level] else { return vacateFrameRoom(record.pointee.position) }
    leaveSlot(record, level, port)
  }
}
