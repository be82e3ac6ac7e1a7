// SPDX-License-Identifier: Apache-2.0

/// Squeezing out what frames leave behind that have ended, in levels of frames in RAM.
extension Engine {
  /// Moves the frames of neighbouring segments, in order, into fewer; `space.segments[..<count]` are claimed. They stay as
  /// they are encoded.
  func closeFrameHoles(_ context: Context, _ space: JobSpace, _ level: Int, segments count: Int) {
    let sequence = arena.head(space.segments[0]).pointee.sequence
    var released = 0
    withOwnSegment(context, level) {
      while released < count, moveTogether(context, space, space.segments[released], level, sequence) {
        // Each is released as soon as it is empty, so that this needs little room of its own.
        lock.withLock { unclaim(space.segments[released]) }
        released += 1
      }
    }
    lock.withLock { for index in released..<count { unclaim(space.segments[index]) } }
  }

  /// Moves the frames of one segment. False when there was no segment to move them to: the rest stays.
  private func moveTogether(
    _ context: Context, _ space: JobSpace, _ segment: SegmentIndex, _ level: Int, _ sequence: UInt64
  ) -> Bool {
    let frameCount = Int(arena.head(segment).pointee.used) / pageSize
    var index = 0
    while index < frameCount {
      // Frames go on ending meanwhile.
      guard lock.withLock({ frameOwner(segment, index).pointee != .max }) else {
        index += 1
        continue
      }
      var open = context.pointee.open[level]
      if open == noSegment || context.pointee.cursor[level] + pageSize > segmentSize {
        // In the place of those that are emptied: what is oldest stays so.
        guard reopenAt(context, level, sequence: sequence) else { return false }
        open = context.pointee.open[level]
      }
      let room = (segmentSize - context.pointee.cursor[level]) / pageSize
      let first = Int(open) * framesPerSegment + context.pointee.cursor[level] / pageSize
      let target = arena.bytes(open) + context.pointee.cursor[level]
      var count = 0
      lock.lock()
      while index < frameCount, count < min(room, JobSpace.batchMax) {
        let frame = frameOwner(segment, index).pointee
        if frame != .max, frames.record(frame).pointee.flags & FrameRecord.moving == 0 {
          let address = UnsafeRawPointer(arena.bytes(segment) + index * pageSize)
          frames.record(frame).pointee.flags |= FrameRecord.moving
          space.outgoing[count] = Outgoing(
            id: frames.record(frame).pointee.id, address: address, frame: frame, position: UInt32(first + count))
          frameOwner(open, first % framesPerSegment + count).pointee = .max
          count += 1
        }
        index += 1
      }
      lock.unlock()
      for moved in 0..<count {
        (target + moved * pageSize).copyMemory(from: space.outgoing[moved].address, byteCount: pageSize)
      }
      context.pointee.cursor[level] += count * pageSize
      lock.lock()
      noteFrameCursor(context, level)
      for moved in 0..<count { settle(space.outgoing[moved], in: open, level) }
      unpinUnpublished(context)
      lock.unlock()
    }
    return true
  }

  /// A frame is at its new place, unless it ended meanwhile. With the lock.
  private func settle(_ moved: Outgoing, in segment: SegmentIndex, _ level: Int) {
    let record = frames.record(moved.frame)
    record.pointee.flags &= ~FrameRecord.moving
    guard record.pointee.live > 0 else { return endFrame(moved.frame) }
    vacateFrameRoom(record.pointee.position)
    record.pointee.position = moved.position
    frameOwner(segment, Int(moved.position) % framesPerSegment).pointee = moved.frame
    arena.head(segment).pointee.count += 1
    arena.head(segment).pointee.live += UInt32(pageSize)
    levels[level].liveBytes += pageSize
  }
}
