// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Frames on their way to a backing, with the segments that hold their bytes. Who began it ends it.
struct FrameWrite {
  enum Beginning {
    case begun
    /// A tier failed, or there are no slots.
    case failed
    /// Nothing was done: there is no memory for what transforms give.
    case noMemory
  }

  /// The frames are the first `count` of its `outgoing`, which are theirs until the end.
  let space: JobSpace
  let count: Int
  let level: Int
  fileprivate(set) var scratches = (noSegment, noSegment)
  /// What the requests keep pinned.
  fileprivate(set) var holder = noSegment
  /// Nanoseconds in the beginning and the waiting; what is done between them is no cost of the level.
  fileprivate var spent: UInt64 = 0
  /// Of the port: requests under way, how many frames are in them or done, and what went wrong first.
  var started: RequestPointer?
  var first = 0
  var outcome = STOWAGE_OK

  /// Whether all of it was begun. Until then `end` may have to wait for requests of others: who holds any must not.
  var isUnderWay: Bool { first == count }

  init(space: JobSpace, count: Int, level: Int) {
    self.space = space
    self.count = count
    self.level = level
  }
}

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
    var write = FrameWrite(space: space, count: count, level: route.target)
    guard begin(&write, context, route, scratchPinned: source) == .begun else { return false }
    return end(&write, context)
  }

  /// Encodes frames and begins to write them; `end` has to follow, after whatever else there is to do. What is to be in RAM
  /// is there at once.
  func begin(
    _ write: inout FrameWrite, _ context: Context, _ route: Route, scratchPinned source: SegmentIndex
  ) -> FrameWrite.Beginning {
    let (space, count) = (write.space, write.count)
    guard takeScratches(&write, route) else { return .noMemory }
    guard markTransforms(space, count, route) else { return failed(&write) }
    var holder = source
    var useFirst = true
    for index in 0..<levelCount where route.transforms & plan.levels[index].transformBit != 0 {
      var output: UnsafeMutableRawPointer
      if index == route.target {
        output = arena.bytes(context.pointee.open[index]) + context.pointee.cursor[index]
      } else {
        holder = useFirst ? write.scratches.0 : write.scratches.1
        useFirst.toggle()
        output = arena.bytes(holder)
      }
      guard encodeFrames(context, space, count, level: index, output) else { return failed(&write) }
    }
    sumFrames(space, count, isUnchanged: route.transforms == 0)
    guard plan.levels[route.target].role == .backing else {
      placeInRam(context, space, count, route.target)
      return .begun
    }
    return beginWriting(&write, context, holder) ? .begun : failed(&write)
  }

  private func failed(_ write: inout FrameWrite) -> FrameWrite.Beginning {
    giveScratches(&write)
    return .failed
  }

  /// Waits until frames are where they were sent, as `transfer` says.
  func end(_ write: inout FrameWrite, _ context: Context) -> Bool {
    defer { giveScratches(&write) }
    return ports[write.level] == nil || endWriting(&write, context)
  }

  /// One for what the last transform gives, and one more when there are several.
  private func takeScratches(_ write: inout FrameWrite, _ route: Route) -> Bool {
    var count = 0
    for index in 0..<levelCount
    where route.transforms & plan.levels[index].transformBit != 0 && index != route.target { count += 1 }
    guard count > 0 else { return true }
    return lock.withLock {
      guard let first = takeScratch(level: route.target) else { return false }
      write.scratches.0 = first
      guard count > 1 else { return true }
      guard let second = takeScratch(level: route.target) else {
        giveScratch(first)
        write.scratches.0 = noSegment
        return false
      }
      write.scratches.1 = second
      return true
    }
  }

  private func giveScratches(_ write: inout FrameWrite) {
    guard write.scratches.0 != noSegment else { return }
    lock.lock()
    giveScratch(write.scratches.0)
    if write.scratches.1 != noSegment { giveScratch(write.scratches.1) }
    lock.unlock()
    write.scratches = (noSegment, noSegment)
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

  private func beginWriting(_ write: inout FrameWrite, _ context: Context, _ holder: SegmentIndex) -> Bool {
    guard let port = ports[write.level] else { return false }
    let (space, count) = (write.space, write.count)
    let got = lock.withLock { port.slots.allocate(count) { space.outgoing[$0].position = UInt32($1) } }
    guard got == count else {
      lock.withLock {
        // Another worker took the last ones: no failure of the tier.
        for index in 0..<got { port.slots.free(Int(space.outgoing[index].position)) }
      }
      return false
    }
    write.holder = holder
    let began = environment.now()
    port.beginWrite(
      &write, context, pin: { lock.withLock { arena.head(holder).pointee.pins += 1 } }, epochs: { epochs.set($0).sum })
    write.spent = environment.now() &- began
    return true
  }

  private func endWriting(_ write: inout FrameWrite, _ context: Context) -> Bool {
    guard let port = ports[write.level] else { return false }
    let (space, count, level, holder) = (write.space, write.count, write.level, write.holder)
    let began = environment.now()
    let result = port.endWrite(
      &write, context, pin: { lock.withLock { arena.head(holder).pointee.pins += 1 } }, epochs: { epochs.set($0).sum })
    let elapsed = write.spent &+ environment.now() &- began
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
