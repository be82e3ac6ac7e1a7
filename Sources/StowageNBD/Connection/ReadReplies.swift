// SPDX-License-Identifier: Apache-2.0

/// Answers to reads. Pages go from the store straight into the bytes that are sent.
extension ReplyWriter {
  /// Answers in the simple form. One that does not fit into the buffer goes in pieces; when a page of it cannot be read
  /// then, all that is left by the protocol is to end the connection.
  @inline(__always) mutating func readSimple(_ export: Export, _ request: Request) {
    let total = NBD.simpleReplyBytes + request.length
    guard total <= buffer.count else { return readInPieces(export, request) }
    reserve(total)
    let mark = used
    simple(.ok, request.cookie)
    let status = copy(export, request.offset, request.length)
    guard status != .ok else { return }
    rewind(to: mark)
    simple(status, request.cookie)
  }

  private mutating func readInPieces(_ export: Export, _ request: Request) {
    beginPieces()
    simple(.ok, request.cookie)
    var done = 0
    while done < request.length, !hasFailed {
      let at = request.offset + done
      // Pieces end where pages do.
      let count = min(request.length - done, buffer.count / 2 - (at & (export.pageSize - 1)))
      reserve(count)
      if copy(export, at, count) != .ok { fail() }
      done += count
    }
    endPieces()
  }

  /// Copies bytes of the export to the end of the buffer, where there is room for them.
  @inline(__always) private mutating func copy(_ export: Export, _ offset: Int, _ length: Int) -> NBDStatus {
    var at = offset
    let last = offset + length
    while at < last {
      let start = at & (export.pageSize - 1)
      let count = min(export.pageSize - start, last - at)
      let status: NBDStatus
      if count == export.pageSize {
        status = export.readBlock(at >> export.pageShift, into: UnsafeMutableRawBufferPointer(start: end, count: count))
      } else {
        status = export.readPart(at >> export.pageShift, start..<start + count, into: end, scratch: scratch.whole)
      }
      guard status == .ok else { return status }
      advance(count)
      at += count
    }
    return .ok
  }

  /// Answers in chunks: stretches of data, and holes, which cost no bytes.
  mutating func readStructured(_ export: Export, _ request: Request) {
    if request.length == 0 {
      reserve(NBD.structuredReplyBytes)
      return chunk(NBD.Chunk.none, isLast: true, request.cookie, payload: 0)
    }
    let isWhole = request.flags & NBD.CommandFlag.df != 0
    let head = NBD.structuredReplyBytes + 8
    guard !isWhole || request.length + head <= buffer.count else { return error(.overflow, request.cookie) }
    let end = request.offset + request.length
    var at = request.offset
    while at < end, !hasFailed {
      let (stretch, isHole) = isWhole ? (end, false) : stretch(export, from: at, to: end)
      let status =
        isHole
        ? hole(request, at, stretch, isLast: stretch == end)
        : data(export, request, at, stretch, isLast: stretch == end)
      guard status == .ok else { return error(status, request.cookie, offset: UInt64(at)) }
      at = stretch
    }
  }

  private mutating func hole(_ request: Request, _ at: Int, _ end: Int, isLast: Bool) -> NBDStatus {
    reserve(NBD.structuredReplyBytes + 12)
    chunk(NBD.Chunk.offsetHole, isLast: isLast, request.cookie, payload: 12)
    self.end.setBig(UInt64(at), at: 0)
    self.end.setBig(UInt32(end - at), at: 8)
    advance(12)
    return .ok
  }

  /// Nothing is left of it when it fails.
  @inline(__always) private mutating func data(
    _ export: Export, _ request: Request, _ at: Int, _ end: Int, isLast: Bool
  ) -> NBDStatus {
    reserve(NBD.structuredReplyBytes + 8 + end - at)
    let mark = used
    chunk(NBD.Chunk.offsetData, isLast: isLast, request.cookie, payload: 8 + end - at)
    self.end.setBig(UInt64(at), at: 0)
    advance(8)
    let status = copy(export, at, end - at)
    if status != .ok { rewind(to: mark) }
    return status
  }

  /// Where a stretch ends that is all holes, or data and short enough for a chunk. What it is is asked once: another
  /// client may change it meanwhile.
  @inline(__always) private func stretch(_ export: Export, from offset: Int, to end: Int) -> (end: Int, isHole: Bool) {
    let isHole = export.map.load(offset >> export.pageShift).isHole
    let most = isHole ? end : min(end, (offset + buffer.count / 2) & ~(export.pageSize - 1))
    var block = offset >> export.pageShift + 1
    while block << export.pageShift < most, export.map.load(block).isHole == isHole { block += 1 }
    return (min(most, block << export.pageShift), isHole)
  }
}
