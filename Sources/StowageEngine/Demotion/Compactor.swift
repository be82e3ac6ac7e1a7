// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Squeezing out what taken pages leave behind.
extension Engine {
  /// Copies the live chunks of neighbouring segments, in order, into fewer; `space.segments[..<count]` are claimed. Ids and
  /// encodings stay.
  func compactSegments(_ context: Context, _ space: JobSpace, _ level: Int, segments count: Int) {
    let sequence = arena.head(space.segments[0]).pointee.sequence
    var released = 0
    var isShort = false
    let before = lock.withLock { arena.inUse }
    withOwnSegment(context, level) {
      while released < count, !isShort,
        copyAll(context, space, space.segments[released], to: level, sequence: sequence)
      {
        // Each is released as soon as it is empty, so that compaction needs little room of its own; while loads may still
        // read those, the rest waits.
        lock.withLock {
          unclaim(space.segments[released])
          isShort = arena.inUse > before + JobSpace.segmentsMax
        }
        released += 1
      }
    }
    lock.lock()
    for index in released..<count { unclaim(space.segments[index]) }
    lock.unlock()
  }

  /// Copies the live chunks of one segment. False when there was no segment to copy to: the rest stays.
  private func copyAll(
    _ context: Context, _ space: JobSpace, _ segment: SegmentIndex, to level: Int, sequence: UInt64
  ) -> Bool {
    let used = Int(arena.head(segment).pointee.used)
    var offset = 0
    while offset < used {
      var none: [DroppedPage] = []
      lock.lock()
      let batch = gather(
        segment, from: &offset, to: used, into: space.items, room: JobSpace.batchMax, drop: nil, &none)
      lock.unlock()
      var copied = 0
      while copied < batch, copyChunk(context, space.items + copied, to: level, sequence: sequence) { copied += 1 }
      publishCopies(context, space.items, copied, level)
      guard copied == batch else { return false }
    }
    return true
  }

  /// Appends a copy of a chunk to the context's open segment of `level`, which is kept in order by its sequence.
  func copyChunk(_ context: Context, _ item: UnsafeMutablePointer<Item>, to level: Int, sequence: UInt64) -> Bool {
    let length = Int(item.pointee.length)
    let open = context.pointee.open[level]
    let fits =
      open != noSegment
      && context.pointee.cursor[level] + ChunkHeader.byteCount + length <= segmentSize
      && (level == 0 || codec.fits(item.pointee.id, base: arena.head(open).pointee.idBase))
    if !fits {
      guard reopenAt(context, level, item, sequence: sequence) else { return false }
    }
    let base = arena.head(context.pointee.open[level]).pointee.idBase
    appendAddress(context, level).copyMemory(from: item.pointee.address, byteCount: length)
    item.pointee.target = append(
      context, level, length: length, owner: item.pointee.owner, id: level == 0 ? base : item.pointee.id,
      checksum: item.pointee.checksum, discardable: item.pointee.place.isDiscardable)
    return true
  }

  /// A new open segment of `level` at its place in the order.
  private func reopenAt(_ context: Context, _ level: Int, _ item: UnsafeMutablePointer<Item>, sequence: UInt64) -> Bool {
    reopenAt(context, level, sequence: sequence, idBase: codec.base(for: item.pointee.id), codec: item.pointee.codec)
  }

  /// The same; of frames, whose segments have neither.
  func reopenAt(_ context: Context, _ level: Int, sequence: UInt64, idBase: UInt64 = 0, codec: UInt8 = 0) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    sealUnpublished(level, of: context)
    guard let segment = openSegment(level) else { return false }
    unlink(segment)
    link(segment, to: level, before: successor(of: sequence, at: level))
    levels[level].lastInserted = segment
    arena.head(segment).pointee.sequence = sequence
    arena.head(segment).pointee.idBase = idBase
    arena.head(segment).pointee.codec = codec
    context.pointee.open[level] = segment
    context.pointee.cursor[level] = 0
    return true
  }

  /// The first segment behind those up to a sequence number. With the lock.
  private func successor(of sequence: UInt64, at level: Int) -> SegmentIndex {
    var next = levels[level].head
    // Else a thousand segments that are loaded would look at each other.
    let last = levels[level].lastInserted
    if last != noSegment, arena.head(last).pointee.sequence == sequence, Int(arena.head(last).pointee.level) == level,
      arena.head(last).pointee.state == .open || arena.head(last).pointee.state == .sealed
    {
      next = arena.head(last).pointee.next
    }
    while next != noSegment, arena.head(next).pointee.sequence <= sequence { next = arena.head(next).pointee.next }
    return next
  }

  func publishCopies(
    _ context: Context, _ items: UnsafeMutablePointer<Item>, _ count: Int, _ level: Int, keepsCopies: Bool = false
  ) {
    lock.lock()
    noteCursor(context, level)
    for index in 0..<count {
      let item = items[index]
      let entry = pages.entry(item.owner)
      guard entry.pointee.place == item.place else { continue }
      occupy(item.target, length: Int(item.length))
      entry.pointee.place = item.target.with(generation: item.place.generation)
      if keepsCopies, keepAsCopy(item.owner, item.place) { continue }
      vacate(item.place)
      if item.place.state == .framed { noteChange(item.owner) }
      state.pointee.chunksCompacted += 1
    }
    unpinUnpublished(context)
    lock.unlock()
  }

  /// Takes sparse frames of a backing apart: each is read and deciphered, its live chunks go back to the oldest end of the
  /// level that encoded them, and get a new frame from there. A bounded number in one go.
  func compactFrames(_ context: Context, _ space: JobSpace, _ level: Int) {
    for _ in 0..<8 {
      lock.lock()
      guard let frame = nextSparse(level) else { return lock.unlock() }
      let record = frames.record(frame)
      record.pointee.pins += 1
      let first = Place.framed(frame, ordinal: 0, discardable: record.pointee.isDiscardable)
      let view = view(of: first)
      lock.unlock()
      let opened = openFrame(context, view)
      if opened.result == STOWAGE_OK {
        lock.withLock { dropCopies(in: frame) }
        withOwnSegment(context, chunkLevel(view.record.codec)) {
          var count = 0
          lock.withLock { gatherChunks(space, &count, of: frame, UnsafeRawPointer(context.pointee.pageA)) }
          returnChunks(context, space, count, codec: view.record.codec)
        }
      }
      var dropped = dropList(when: TierResult.isDamage(opened.result))
      lock.lock()
      if opened.isPinned { unpinFrame(frame) } else { markStuck(frame) }
      if opened.result != STOWAGE_OK {
        if TierResult.isDamage(opened.result) {
          dropFrame(frame, .unreadable, &dropped)
        } else {
          degrade(level, ports[level]?.lastFailure(opened.result) ?? TierResult.name(opened.result))
        }
        lock.unlock()
        return deliver(dropped)
      }
      state.pointee.framesCompacted += 1
      lock.unlock()
    }
  }

  /// The next sparse frame at a level, from where the last search ended. Looks at a bounded number. With the lock.
  private func nextSparse(_ level: Int) -> FrameIndex? {
    let count = frames.count
    guard levels[level].sparseFrames > 0 else { return nil }
    for _ in 0..<min(count, 65536) {
      let frame = state.pointee.frameCursor
      state.pointee.frameCursor = Int(frame) + 1 < count ? frame + 1 : 0
      let record = frames.record(frame)
      if record.pointee.count > 0, Int(record.pointee.level) == level, record.pointee.flags & ~FrameRecord.discardable == 0,
        isSparse(record)
      {
        levels[level].sparseLooked = 0
        return frame
      }
    }
    levels[level].sparseLooked += min(count, 65536)
    if levels[level].sparseLooked >= count {
      // Those that there are are on their way, or their reads hang.
      levels[level].sparseLooked = 0
      levels[level].sparseRestUntil = environment.now() &+ 50_000_000
    }
    return nil
  }

  /// Chunks that are published in one section under the lock, and segments that may be begun for them.
  private static let returnedTogether = (chunks: 128, segments: 4)

  /// Appends the first `count` of `space.items`, which are of one codec, to the context's open segment of their level. How
  /// many.
  /// - Parameter keepsCopies: what their pages have in the session's tier stays theirs, and there is no need to go on when
  ///   there is no room.
  @discardableResult func returnChunks(
    _ context: Context, _ space: JobSpace, _ count: Int, codec number: UInt8, keepsCopies: Bool = false
  ) -> Int {
    let level = chunkLevel(number)
    var copied = 0
    var published = 0
    for index in 0..<count {
      // Ids far from each other do not share a segment: as many may be begun as there are chunks.
      if copied - published >= Self.returnedTogether.chunks
        || context.pointee.unpublishedCount >= Self.returnedTogether.segments
      {
        publishCopies(context, space.items + published, copied - published, level, keepsCopies: keepsCopies)
        published = copied
        if keepsCopies, !lock.withLock({ hasRoomForPut }) { return copied }
      }
      let item = space.items + index
      let length = Int(item.pointee.length)
      if level > 0 {
        item.pointee.checksum = checksum(
          item.pointee.address, length, id: item.pointee.id, epoch: epochs.codec(Int(number)).epoch)
      }
      // Without a segment the rest stays in the frame.
      guard copyChunk(context, item, to: level, sequence: 0) else { break }
      copied += 1
    }
    publishCopies(context, space.items + published, copied - published, level, keepsCopies: keepsCopies)
    return copied
  }

  /// The level whose encoding chunks of a codec have: the store for raw pages.
  func chunkLevel(_ codec: UInt8) -> Int { codec == FrameRecord.rawCodec ? 0 : Int(epochs.codec(Int(codec)).level) }

  /// The live chunks of an opened frame, whose bytes are given, behind the first `count` of `space.items`. With the lock.
  func gatherChunks(_ space: JobSpace, _ count: inout Int, of frame: FrameIndex, _ bytes: UnsafeRawPointer) {
    let record = frames.record(frame)
    let number = record.pointee.codec == FrameRecord.rawCodec ? 0 : record.pointee.codec
    var offset = 0
    for ordinal in 0..<Int(record.pointee.count) {
      let chunk = frames.place(record, ordinal).pointee
      let length = codec.length(chunk.lengthAndID)
      defer { offset += length }
      let place = pages.entry(chunk.owner).pointee.place
      guard place.state == .framed, place.frame == frame, place.ordinal == ordinal else { continue }
      space.items[count] = Item(
        owner: chunk.owner, length: UInt32(length), place: place,
        id: chunkBase(record) + codec.idOffset(chunk.lengthAndID),
        address: bytes + offset, checksum: 0, bin: -1, codec: number, target: Place(bits: 0))
      count += 1
    }
  }

  /// Drops the discardable pages of one segment, or the oldest few discardable frames of a level, to make room.
  func dropDiscardable(_ work: Work) {
    var dropped = dropList(when: true)
    guard work.segment != noSegment else {
      lock.lock()
      var count = 0
      while count < 8, dropped.count <= Self.dropsMax - FrameTable.chunksMax,
        let frame = dropQueues[work.level].pop({ isThere($0, id: $1, work.level) ? .take : .gone })
      {
        dropFrame(frame, .noRoom, &dropped)
        count += 1
      }
      lock.unlock()
      return deliver(dropped)
    }
    let used = Int(arena.head(work.segment).pointee.used)
    var offset = 0
    while offset < used {
      dropped.removeAll(keepingCapacity: true)
      lock.lock()
      while offset < used, dropped.count < Self.dropsMax {
        let header = header(work.segment, offset).pointee
        let here = place(work.segment, offset, discardable: true)
        if pages.entry(header.owner).pointee.place.bare == here { dropped.append(dropPage(header.owner, .noRoom)) }
        offset += aligned(ChunkHeader.byteCount + codec.length(header.lengthAndID))
      }
      lock.unlock()
      deliver(dropped)
    }
    lock.withLock { unclaim(work.segment) }
  }
}
