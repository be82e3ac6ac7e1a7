// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Sending frames along a route: through its transforms, to a segment of a frame level or to slots of a backing.
extension Engine {
  /// How many frames can be sent at once along a route; opens a segment at its target if need be. 0 when there is
  /// none left. Without the lock.
  func roomForFrames(_ context: Context, _ route: Route, from source: Int) -> Int {
    let level = route.target
    guard plan.levels[level].role == .frame else {
      return lock.withLock { max(0, min(framesPerSegment, slotLimit(level, from: source) - usedSlots(level))) }
    }
    let left =
      context.pointee.open[level] == noSegment
      ? 0 : (segmentSize - context.pointee.cursor[level]) / pageSize
    if left > 0 { return left }
    return reopen(context, level, id: 0, before: noSegment) ? framesPerSegment : 0
  }

  /// Sends `space.outgoing[..<count]`. On success each has its position, checksum and transforms, and its sidecars
  /// are in `space.sidecars`. On failure nothing has changed, and the tier that failed is degraded. Without the lock.
  ///
  /// - Parameter source: the segment that holds the frames' bytes; pinned while I/O reads from it.
  func transfer(
    _ context: Context, _ space: JobSpace, _ count: Int, _ route: Route, scratchPinned source: SegmentIndex
  ) -> Bool {
    var scratches: (SegmentIndex?, SegmentIndex?) = (nil, nil)
    defer {
      if scratches.0 != nil || scratches.1 != nil {
        lock.lock()
        if let scratch = scratches.0 { giveScratch(scratch) }
        if let scratch = scratches.1 { giveScratch(scratch) }
        lock.unlock()
      }
    }
    guard markTransforms(space, count, route) else { return false }
    var holder = source
    var useFirst = true
    for index in 0..<levelCount where route.transforms & plan.levels[index].transformBit != 0 {
      var output: UnsafeMutableRawPointer
      if index == route.target {
        output = arena.bytes(context.pointee.open[index]) + context.pointee.cursor[index]
      } else {
        let scratch = useFirst ? scratches.0 : scratches.1
        guard let scratch = scratch ?? lock.withLock({ takeScratch(level: index) }) else { return false }
        if useFirst { scratches.0 = scratch } else { scratches.1 = scratch }
        useFirst.toggle()
        holder = scratch
        output = arena.bytes(scratch)
      }
      guard encodeFrames(context, space, count, level: index, output) else { return false }
    }
    sumFrames(space, count, isUnchanged: route.transforms == 0)
    if plan.levels[route.target].role == .backing {
      return writeFrames(context, space, count, route.target, holder)
    }
    placeInRam(context, space, count, route.target)
    return true
  }

  private func encodeFrames(
    _ context: Context, _ space: JobSpace, _ count: Int, level: Int, _ output: UnsafeMutableRawPointer
  ) -> Bool {
    let tier = calls[level].unsafelyUnwrapped
    let plan = plan.levels[level]
    let began = environment.now()
    for index in 0..<count {
      let sent = space.outgoing + index
      var object = frameObject(sent.pointee.id, tier.epoch, sent.pointee.kind)
      var length = 0
      let sidecar = space.sidecars + index * space.sidecarLength + plan.sidecarOffset
      let target = output + index * pageSize
      let result = tier.encode(
        context.pointee.tiers[level], &object, sent.pointee.address, target, room: pageSize, length: &length,
        sidecar: plan.sidecarLength > 0 ? sidecar : nil)
      guard result == STOWAGE_OK, length == pageSize else {
        let reason = result == STOWAGE_OK ? "gave \(length) bytes for \(pageSize)" : tierMessage(result)
        lock.withLock { degrade(level, reason) }
        return false
      }
      sent.pointee.address = UnsafeRawPointer(target)
    }
    let elapsed = environment.now() &- began
    lock.withLock {
      levels[level].countEncodes(count, nanoseconds: elapsed)
      recovered(level)
    }
    return true
  }

  func frameObject(_ id: UInt64, _ epoch: UInt32, _ kind: ObjectKind) -> stowage_object {
    stowage_object(id: id, epoch: epoch, length: UInt32(pageSize), flags: kind.flags, reserved: 0)
  }

  /// Notes which transforms the frames will have gone through.
  private func markTransforms(_ space: JobSpace, _ count: Int, _ route: Route) -> Bool {
    guard route.transforms != 0 else { return true }
    lock.lock()
    defer { lock.unlock() }
    for index in 0..<count {
      guard let number = transformSet(space.outgoing[index].transforms, adding: route.transforms) else {
        degrade(route.target, "there are no numbers left for more ways to encode a frame; close the store and open it anew")
        return false
      }
      space.outgoing[index].transforms = number
    }
    return true
  }

  /// Frames that move without being encoded again keep their checksums.
  private func sumFrames(_ space: JobSpace, _ count: Int, isUnchanged: Bool) {
    for index in 0..<count {
      let sent = space.outgoing + index
      guard !isUnchanged || sent.pointee.frame == .max else { continue }
      sent.pointee.checksum = checksum(
        sent.pointee.address, pageSize, id: sent.pointee.id, epoch: epochs.set(sent.pointee.transforms).sum)
    }
  }

  private func placeInRam(_ context: Context, _ space: JobSpace, _ count: Int, _ level: Int) {
    let segment = context.pointee.open[level]
    let first = Int(segment) * framesPerSegment + context.pointee.cursor[level] / pageSize
    for index in 0..<count { space.outgoing[index].position = UInt32(first + index) }
    // Until they are published, no frame is known to be there.
    for index in 0..<count { frameOwner(segment, context.pointee.cursor[level] / pageSize + index).pointee = .max }
    context.pointee.cursor[level] += count * pageSize
  }

  /// With the lock: the tables learn how far the context's open segment of a frame level is filled.
  func noteFrameCursor(_ context: Context, _ level: Int) {
    if plan.levels[level].role == .frame { noteCursor(context, level) }
  }

  private func writeFrames(
    _ context: Context, _ space: JobSpace, _ count: Int, _ level: Int, _ holder: SegmentIndex
  ) -> Bool {
    guard let port = ports[level] else { return false }
    let got = lock.withLock { port.slots.allocate(count) { space.outgoing[$0].position = UInt32($1) } }
    guard got == count else {
      lock.withLock {
        // Another worker took the last ones: no failure of the tier.
        for index in 0..<got { port.slots.free(Int(space.outgoing[index].position)) }
      }
      return false
    }
    let began = environment.now()
    let result = port.write(
      context, space, count, holder: holder,
      pin: { segment in lock.withLock { arena.head(segment).pointee.pins += 1 } }, epochs: { epochs.set($0).sum })
    let elapsed = environment.now() &- began
    // A tier that refuses may have grown smaller.
    let total = result == STOWAGE_OK ? nil : try? port.readCapacity()
    lock.lock()
    defer { lock.unlock() }
    if let total, total != port.slots.total {
      port.slots.setTotal(total)
      try? rebalance(force: true)
    }
    guard result == STOWAGE_OK else {
      degrade(level, port.lastFailure(result))
      for index in 0..<count where !space.outgoing[index].failed {
        port.slots.free(Int(space.outgoing[index].position))
      }
      return false
    }
    levels[level].countEncodes(count, nanoseconds: elapsed)
    recovered(level)
    if level == session?.level { noteSlotsTaken() }
    return true
  }

  // MARK: Records. All below with the lock.

  func fillRecord(_ record: UnsafeMutablePointer<FrameRecord>, _ sent: Outgoing, target: Int) {
    record.pointee.id = sent.id
    record.pointee.position = sent.position
    record.pointee.checksum = sent.checksum
    record.pointee.level = UInt8(target)
    record.pointee.transforms = sent.transforms
    record.pointee.flags = sent.isDiscardable ? FrameRecord.discardable : 0
    record.pointee.live = 0
    record.pointee.pins = 0
  }

  func copySidecars(_ space: JobSpace, from index: Int, to frame: FrameIndex) {
    guard space.sidecarLength > 0 else { return }
    frames.sidecars(frame).update(
      from: space.sidecars + index * space.sidecarLength, count: space.sidecarLength)
  }

  /// Counts a frame at the position its record names.
  func occupyFrame(_ frame: FrameIndex, _ record: UnsafeMutablePointer<FrameRecord>) {
    let index = Int(record.pointee.level)
    levels[index].frames += 1
    levels[index].liveBytes += pageSize
    if record.pointee.isDiscardable {
      dropQueues[index].push(frame, id: record.pointee.id) { isThere($0, id: $1, index) }
    }
    if let port = ports[index] {
      levels[index].slots += 1
      if let session, index == session.level { session.count(record.pointee, by: 1) }
      if record.pointee.id < levels[index].flushBelow { levels[index].flushLeft += 1 }
      port.queue.push(frame, id: record.pointee.id) { isThere($0, id: $1, index) }
      return
    }
    let position = Int(record.pointee.position)
    let segment = SegmentIndex(position / framesPerSegment)
    frameOwner(segment, position % framesPerSegment).pointee = frame
    arena.head(segment).pointee.count += 1
    arena.head(segment).pointee.live += UInt32(pageSize)
  }

  /// The room of a frame that never came to be there.
  func abandonRoom(_ sent: Outgoing, _ level: Int) {
    ports[level]?.slots.free(Int(sent.position))
  }
}
