// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport

@testable import StowageNBD

/// An NBD client that says exactly what a test wants it to, right or wrong.
///
/// Its calls have time limits, so the kernel does not begin them anew when they are interrupted. No signal is needed for
/// that: a ring of io_uring that a thread has used interrupts it once more some milliseconds after the ring was closed.
final class RawClient {
  let descriptor: Int32
  private var nextCookie: UInt64 = 1

  /// Connects; nothing is said yet. Calls that take longer than `patience` seconds fail.
  init(_ path: String, patience: Int = 30) throws {
    guard let address = SocketAddress(path: path) else { throw TestFailure("no address: \(path)") }
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    // From here on the deinitialiser closes it, whatever is thrown.
    guard descriptor >= 0 else { throw TestFailure("no socket") }
    var time = timeval(tv_sec: patience, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] { setsockopt(descriptor, SOL_SOCKET, option, &time, 16) }
    while address.withPointer({ connect(descriptor, $0, $1) }) != 0 {
      guard errno == EAGAIN || errno == EINTR else {
        throw TestFailure("connect: \(String(cString: strerror(errno)))")
      }
      usleep(1000)
    }
  }

  deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

  // MARK: Bytes

  func send(_ bytes: [UInt8]) throws {
    guard trySend(bytes) else { throw TestFailure("send: \(String(cString: strerror(errno)))") }
  }

  /// False when the other side is not there any more.
  @discardableResult func trySend(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  func receive(_ count: Int) throws -> [UInt8] {
    guard let bytes = tryReceive(count) else { throw TestFailure("the server closed the connection, or is silent") }
    return bytes
  }

  func tryReceive(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + done, count - done, 0) }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      done += got
    }
    return bytes
  }

  /// Whether the server closes the connection, whatever it sends before.
  func isClosed() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 65536)
    while true {
      let got = recv(descriptor, &bytes, bytes.count, 0)
      if got < 0, errno == EINTR { continue }
      if got == 0 || (got < 0 && errno == ECONNRESET) { return true }
      if got < 0 { return false }
    }
  }

  func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) throws -> Number {
    try receive(MemoryLayout<Number>.size).withUnsafeBytes { $0.baseAddress!.big(0, as: type) }
  }

  static func bytes(_ fill: (inout MessageBytes) -> Void) -> [UInt8] {
    var message = MessageBytes()
    fill(&message)
    return message.bytes
  }

  // MARK: Handshake

  func greet(flags: UInt32 = 3) throws {
    guard try number(UInt64.self) == NBD.magic, try number(UInt64.self) == NBD.optionMagic else {
      throw TestFailure("no greeting")
    }
    _ = try number(UInt16.self)
    try send(Self.bytes { $0.append(flags) })
  }

  func sendOption(_ option: UInt32, _ data: [UInt8] = []) throws {
    try send(
      Self.bytes {
        $0.append(NBD.optionMagic)
        $0.append(option)
        $0.append(UInt32(data.count))
      } + data)
  }

  struct OptionReply: Equatable {
    var type: UInt32
    var data: [UInt8]
    var text: String { String(decoding: data, as: UTF8.self) }
  }

  /// Sends an option and takes in replies up to the final one.
  func option(_ option: UInt32, _ data: [UInt8] = []) throws -> [OptionReply] {
    try sendOption(option, data)
    var replies: [OptionReply] = []
    while true {
      guard try number(UInt64.self) == NBD.optionReplyMagic, try number(UInt32.self) == option else {
        throw TestFailure("no reply to option \(option)")
      }
      let type = try number(UInt32.self)
      replies.append(OptionReply(type: type, data: try receive(Int(try number(UInt32.self)))))
      if type == NBD.OptionReply.ack || type & 1 << 31 != 0 { return replies }
    }
  }

  static func exportData(_ name: String, items: [UInt16] = []) -> [UInt8] {
    bytes {
      $0.append(UInt32(name.utf8.count))
      $0.append(text: name)
      $0.append(UInt16(items.count))
      for item in items { $0.append(item) }
    }
  }

  static func contextData(_ name: String, _ queries: [String]) -> [UInt8] {
    bytes {
      $0.append(UInt32(name.utf8.count))
      $0.append(text: name)
      $0.append(UInt32(queries.count))
      for query in queries {
        $0.append(UInt32(query.utf8.count))
        $0.append(text: query)
      }
    }
  }

  private(set) var isStructured = false

  /// The whole handshake.
  @discardableResult
  func enter(_ name: String, structured: Bool = true, contexts: [String] = []) throws -> [OptionReply] {
    try greet()
    if structured {
      guard try option(NBD.Option.structuredReply).last?.type == NBD.OptionReply.ack else { throw TestFailure("not structured") }
      isStructured = true
    }
    if !contexts.isEmpty { _ = try option(NBD.Option.setMetaContext, Self.contextData(name, contexts)) }
    let replies = try option(NBD.Option.go, Self.exportData(name))
    guard replies.last?.type == NBD.OptionReply.ack else { throw TestFailure("refused: \(replies.last?.text ?? "?")") }
    return replies
  }

  // MARK: Requests

  static func request(
    _ command: UInt16, flags: UInt16 = 0, cookie: UInt64 = 1, offset: UInt64 = 0, length: UInt32 = 0,
    magic: UInt32 = NBD.requestMagic
  ) -> [UInt8] {
    bytes {
      $0.append(magic)
      $0.append(flags)
      $0.append(command)
      $0.append(cookie)
      $0.append(offset)
      $0.append(length)
    }
  }

  /// Sends a request and takes in its answer.
  /// - Parameter length: of the range; nil: the payload's.
  @discardableResult
  func ask(_ command: UInt16, flags: UInt16 = 0, offset: Int = 0, length: Int? = nil, payload: [UInt8] = []) throws -> Answer {
    let cookie = nextCookie
    nextCookie += 1
    let length = length ?? payload.count
    try send(
      Self.request(command, flags: flags, cookie: cookie, offset: UInt64(offset), length: UInt32(length)) + payload)
    return try answer(to: cookie, offset: offset, length: command == NBD.Command.read ? length : 0)
  }

  struct Answer {
    var status: UInt32 = 0
    var data: [UInt8] = []
    /// Descriptors by context.
    var blocks: [UInt32: [(length: UInt32, state: UInt32)]] = [:]
    /// Chunks of data and of holes.
    var dataChunks = 0
    var holeChunks = 0
    /// Bytes that came.
    var wireBytes = 0
  }

  func answer(to cookie: UInt64, offset: Int, length: Int) throws -> Answer {
    var answer = Answer(data: [UInt8](repeating: 0xA5, count: length))
    while true {
      let magic = try number(UInt32.self)
      if magic == NBD.simpleReplyMagic {
        answer.status = try number(UInt32.self)
        guard try number(UInt64.self) == cookie else { throw TestFailure("a reply to something else") }
        answer.wireBytes += 16
        if answer.status == 0, length > 0 { answer.data = try receive(length) }
        return answer
      }
      guard magic == NBD.structuredReplyMagic else { throw TestFailure("no reply: \(magic)") }
      let (flags, type) = (try number(UInt16.self), try number(UInt16.self))
      guard try number(UInt64.self) == cookie else { throw TestFailure("a chunk of something else") }
      let payload = try receive(Int(try number(UInt32.self)))
      answer.wireBytes += 20 + payload.count
      payload.withUnsafeBytes { read(chunk: type, $0, offset, &answer) }
      if flags & NBD.Chunk.done != 0 { return answer }
    }
  }

  private func read(chunk type: UInt16, _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ answer: inout Answer) {
    let base = bytes.baseAddress
    switch type {
    case NBD.Chunk.offsetData:
      let at = Int(base!.big(0, as: UInt64.self)) - offset
      answer.data.replaceSubrange(at..<at + bytes.count - 8, with: bytes[8...])
      answer.dataChunks += 1
    case NBD.Chunk.offsetHole:
      let at = Int(base!.big(0, as: UInt64.self)) - offset
      let count = Int(base!.big(8, as: UInt32.self))
      answer.data.replaceSubrange(at..<at + count, with: repeatElement(0, count: count))
      answer.holeChunks += 1
    case NBD.Chunk.blockStatus:
      let context = base!.big(0, as: UInt32.self)
      answer.blocks[context, default: []] += stride(from: 4, to: bytes.count, by: 8).map {
        (base!.big($0, as: UInt32.self), base!.big($0 + 4, as: UInt32.self))
      }
    case NBD.Chunk.error, NBD.Chunk.errorOffset: answer.status = base!.big(0, as: UInt32.self)
    default: break
    }
  }
}
