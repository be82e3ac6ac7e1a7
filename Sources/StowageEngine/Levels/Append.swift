// SPDX-License-Identifier: Apache-2.0

/// Appending chunks to the open segments of a context. Without the lock, which they take where they need it: a
/// context's open segments are its own until they are sealed.
extension Engine {
  /// An object id for an encoding at `level`; ids are set aside in blocks, so that the lock is taken seldom.
  @inline(__always) func nextID(_ context: Context, _ level: Int) -> UInt64 {
    if context.pointee.ids[level].isEmpty { refillIDs(context, level) }
    let ids = context.pointee.ids[level]
    context.pointee.ids[level] = (ids.lowerBound &+ 1)..<ids.upperBound
    return ids.lowerBound
  }

  @inline(never) private func refillIDs(_ context: Context, _ level: Int) {
    lock.lock()
    let first = levels[level].nextID
    levels[level].nextID = first + 256
    lock.unlock()
    context.pointee.ids[level] = first..<first + 256
  }

  /// An open segment of `level` with so much room, into which the id fits; false when there is no segment left.
  @inline(__always) func ensureOpen(_ context: Context, _ level: Int, room: Int, id: UInt64) -> Bool {
    let segment = context.pointee.open[level]
    if segment != noSegment, context.pointee.cursor[level] + room <= segmentSize,
      codec.fits(id, base: arena.head(segment).pointee.idBase)
    {
      return true
    }
    return reopen(context, level, id: id, before: noSegment)
  }

  /// Ends the open segment and begins another one, at the young end or before a given segment.
  @inline(never) func reopen(_ context: Context, _ level: Int, id: UInt64, before next: SegmentIndex) -> Bool {
    lock.lock()
    defer { lock.unlock() }
    sealUnpublished(level, of: context)
    guard let segment = openSegment(level) else { return false }
    if next != noSegment {
      unlink(segment)
      link(segment, to: level, before: next)
      arena.head(segment).pointee.sequence = arena.head(next).pointee.sequence
    }
    arena.head(segment).pointee.idBase = codec.base(for: id)
    context.pointee.open[level] = segment
    context.pointee.cursor[level] = 0
    return true
  }

  /// Ends a context's open segment, which may hold chunks that no page is published to be at yet: until
  /// `unpinUnpublished` it is not reused, whatever happens to the others in it. With the lock.
  func sealUnpublished(_ level: Int, of context: Context) {
    let segment = context.pointee.open[level]
    guard segment != noSegment else { return }
    precondition(context.pointee.unpublishedCount < WorkContext.unpublishedMax)
    arena.head(segment).pointee.pins += 1
    context.pointee.unpublished[context.pointee.unpublishedCount] = segment
    context.pointee.unpublishedCount += 1
    sealOpen(level, of: context)
  }

  /// Everything that the context has appended is published, or given up. With the lock.
  @inline(__always) func unpinUnpublished(_ context: Context) {
    while context.pointee.unpublishedCount > 0 {
      context.pointee.unpublishedCount -= 1
      unpin(context.pointee.unpublished[context.pointee.unpublishedCount])
    }
  }

  /// Runs `body` with no open segment of `level` in the context, seals what it opened, and gives the former one back: chunks
  /// that are put somewhere else than at the young end do not end the segment there. Without the lock.
  func withOwnSegment(_ context: Context, _ level: Int, _ body: () -> Void) {
    let (segment, cursor) = (context.pointee.open[level], context.pointee.cursor[level])
    context.pointee.open[level] = noSegment
    body()
    lock.withLock { sealOpen(level, of: context) }
    context.pointee.open[level] = segment
    context.pointee.cursor[level] = cursor
  }

  /// Where the next chunk's bytes go.
  @inline(__always) func appendAddress(_ context: Context, _ level: Int) -> UnsafeMutableRawPointer {
    chunkAddress(context.pointee.open[level], context.pointee.cursor[level] + ChunkHeader.byteCount)
  }

  /// Writes the header of a chunk whose bytes are at `appendAddress`, and moves on. The place it is at.
  @inline(__always) func append(
    _ context: Context, _ level: Int, length: Int, owner: UInt32, id: UInt64, checksum: UInt32,
    discardable: Bool
  ) -> Place {
    let segment = context.pointee.open[level]
    let offset = context.pointee.cursor[level]
    header(segment, offset).pointee = ChunkHeader(
      owner: owner,
      lengthAndID: codec.pack(length: length, idOffset: id - arena.head(segment).pointee.idBase),
      checksum: checksum)
    context.pointee.cursor[level] = offset + aligned(ChunkHeader.byteCount + length)
    return place(segment, offset, discardable: discardable)
  }
}
