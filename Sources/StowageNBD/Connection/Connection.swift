// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine
internal import Synchronization

/// One client in the transmission phase: a thread that reads requests and answers them, and helpers for those that take
/// long.
final class Connection: @unchecked Sendable {
  /// Counters of one connection, written by its threads and read by any.
  struct Counters: ~Copyable {
    let requests = Atomic<Int>(0)
    let bytesRead = Atomic<Int>(0)
    let bytesWritten = Atomic<Int>(0)
    let errors = Atomic<Int>(0)
  }

  /// Refused payloads up to here are read and thrown away; a longer one ends the connection.
  private static let refusedBytesMax = 64 << 20
  /// Replies are sent at the latest when so many bytes were collected, so that the client has something to do.
  private static let eagerBytes = 128 << 10

  let negotiated: Negotiated
  let counters = Counters()
  private let transport: Transport
  private let sending = Monitor()

  init(_ transport: Transport, _ negotiated: Negotiated) {
    self.transport = transport
    self.negotiated = negotiated
  }

  deinit { sending.deallocate() }

  /// Serves until the client goes. The transport stays open.
  func run() {
    let (export, transport, sending) = (negotiated.export, transport, sending)
    guard
      var writer = try? ReplyWriter(
        transport, sending: sending, pageSize: export.pageSize, roomBytes: ReplyWriter.roomBytes),
      var input = try? InputBuffer(transport, pageSize: export.pageSize)
    else { return }
    let helpers = HelperThreads(
      makeWriter: { () throws(StoreError) in
        try ReplyWriter(
          transport, sending: sending, pageSize: export.pageSize,
          roomBytes: HelperThreads.readBytesMax + 2 * export.pageSize)
      },
      serve: { [unowned self] request, writer in serveLate(request, &writer) })
    serve(export, &input, &writer, helpers)
    if writer.hasFailed { transport.interrupt(keepsSending: false) }
    helpers.end()
    writer.flush()
  }

  private func serve(
    _ export: Export, _ input: inout InputBuffer, _ writer: inout ReplyWriter, _ helpers: HelperThreads
  ) {
    while true {
      while input.available < NBD.requestBytes {
        writer.flush()
        guard !writer.hasFailed, input.fill() else { return }
      }
      guard let request = Request(input.bytes) else { return }
      input.consume(NBD.requestBytes)
      counters.requests.wrappingAdd(1, ordering: .relaxed)
      let status = request.check(export, negotiated)
      switch request.command {
      case NBD.Command.write:
        guard let status = write(export, request, status, &input, &writer) else { return }
        finish(request, status, &writer, helpers)
      case NBD.Command.disconnect: return
      case _ where status != .ok: refuse(request, status, &writer)
      case NBD.Command.read: read(export, request, &writer, helpers)
      default: change(export, request, &writer, helpers)
      }
      if writer.used > Self.eagerBytes { writer.flush() }
      guard !writer.hasFailed else { return }
    }
  }

  // MARK: Requests

  @inline(__always) private func read(
    _ export: Export, _ request: Request, _ writer: inout ReplyWriter, _ helpers: HelperThreads
  ) {
    counters.bytesRead.wrappingAdd(request.length, ordering: .relaxed)
    if request.length <= HelperThreads.readBytesMax, !export.isInMemory(request.range), helpers.take(request) { return }
    read(export, request, &writer)
  }

  @inline(__always) private func read(_ export: Export, _ request: Request, _ writer: inout ReplyWriter) {
    if negotiated.hasStructuredReplies {
      writer.readStructured(export, request)
    } else {
      writer.readSimple(export, request)
    }
  }

  /// Takes the payload page by page as it comes.
  /// - Returns: nil when the client went, or sends what cannot be waited for.
  @inline(__always) private func write(
    _ export: Export, _ request: Request, _ found: NBDStatus, _ input: inout InputBuffer, _ writer: inout ReplyWriter
  ) -> NBDStatus? {
    guard found == .ok || request.length <= Self.refusedBytesMax else { return nil }
    var status = found
    var done = 0
    while done < request.length {
      let at = request.offset &+ done
      let start = at & (export.pageSize - 1)
      let count = min(export.pageSize - start, request.length - done)
      while input.available < count {
        writer.flush()
        guard !writer.hasFailed, input.fill() else { return nil }
      }
      if status == .ok {
        let block = at >> export.pageShift
        status = count == export.pageSize
          ? export.writeBlock(block, UnsafeRawBufferPointer(start: input.bytes, count: count))
          : export.writePart(block, start..<start + count, from: input.bytes, scratch: writer.scratch.whole)
      }
      input.consume(count)
      done += count
    }
    counters.bytesWritten.wrappingAdd(request.length, ordering: .relaxed)
    return status
  }

  private func change(
    _ export: Export, _ request: Request, _ writer: inout ReplyWriter, _ helpers: HelperThreads
  ) {
    switch request.command {
    case NBD.Command.flush:
      finish(request, .ok, &writer, helpers)
    case NBD.Command.trim:
      export.trim(request.range)
      finish(request, .ok, &writer, helpers)
    case NBD.Command.writeZeroes:
      let status = export.writeZeroes(
        request.range, keepsRoom: request.flags & NBD.CommandFlag.noHole != 0, scratch: writer.scratch.whole)
      finish(request, status, &writer, helpers)
    case NBD.Command.cache:
      export.prefetch(request.range)
      answer(request, .ok, &writer)
    default:
      writer.blockStatus(negotiated, request)
    }
  }

  /// Answers a change, once it is as durable as it is to be.
  @inline(__always) private func finish(
    _ request: Request, _ status: NBDStatus, _ writer: inout ReplyWriter, _ helpers: HelperThreads
  ) {
    guard status == .ok else { return refuse(request, status, &writer) }
    let isCommit = request.command == NBD.Command.flush || request.isFUA
    guard isCommit, negotiated.export.commits != nil else { return answer(request, .ok, &writer) }
    if !helpers.take(request) { answer(request, negotiated.export.commit(), &writer) }
  }

  /// On a helper: a read of pages that are not in RAM, or the end of a change.
  private func serveLate(_ request: Request, _ writer: inout ReplyWriter) {
    if request.command == NBD.Command.read { return read(negotiated.export, request, &writer) }
    answer(request, negotiated.export.commit(), &writer)
  }

  @inline(__always) private func answer(_ request: Request, _ status: NBDStatus, _ writer: inout ReplyWriter) {
    guard status == .ok else { return refuse(request, status, &writer) }
    writer.simple(.ok, request.cookie)
  }

  private func refuse(_ request: Request, _ status: NBDStatus, _ writer: inout ReplyWriter) {
    counters.errors.wrappingAdd(1, ordering: .relaxed)
    if negotiated.hasStructuredReplies {
      writer.error(status, request.cookie)
    } else {
      writer.simple(status, request.cookie)
    }
  }
}
