// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One client of an NBD server on a Unix socket: reads or writes of 4 KiB at random, so many under way at a time. The
/// export holds the pages of the file one after the other; each page that is read is compared, and a write writes the very
/// page that belongs there. The same client for every server.
struct NBDLoad {
  private let options: BenchOptions
  private static let optionMagic: UInt64 = 0x4948_4156_454F_5054
  private static let requestMagic: UInt32 = 0x2560_9513
  private static let replyMagic: UInt32 = 0x6744_6698

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.pages)
    let connection = try Connection(path: options.socket)
    let size = try handshake(connection)
    guard size >= pages.count * pageBytes else { throw Failure("the export has \(size) bytes, fewer than the pages") }
    let isWrite = options.operation == "write"
    var load = Load(connection: connection, pages: pages, isWrite: isWrite, depth: options.depth, seed: options.seed)
    try load.run(seconds: options.seconds)
    let name = "nbd.\(options.operation).\(options.depth)"
    report.figure(name, unit: "requests/s", [Double(load.done) / load.elapsed])
    report.fact("p50", load.latency.microseconds(0.5))
    report.fact("p99", load.latency.microseconds(0.99))
    report.line("nbd.latency", name, load.latency.points)
    // NBD_CMD_DISC.
    try connection.send(
      Bytes().with(Self.requestMagic).with(UInt16(0)).with(UInt16(2)).with(UInt64(0)).with(UInt64(0)).with(UInt32(0)))
  }

  /// Fixed newstyle, NBD_OPT_EXPORT_NAME without the zeros: the simplest there is; replies are simple ones.
  private func handshake(_ connection: Connection) throws -> Int {
    let greeting = try connection.receive(18)
    guard greeting.word(8) == Self.optionMagic else { throw Failure("this is no newstyle NBD server") }
    let name = Array(options.export.utf8)
    try connection.send(
      Bytes().with(UInt32(3)).with(Self.optionMagic).with(UInt32(1)).with(UInt32(name.count)).with(name))
    return Int(try connection.receive(10).word(0))
  }

  private struct Load {
    let connection: Connection
    let pages: Pages
    let isWrite: Bool
    let depth: Int
    var dice: Dice
    var done = 0
    var elapsed = 0.0
    var latency = LatencyHistogram()
    private var slots: [(page: Int, began: UInt64)]
    private let buffer = warmBuffer(pages: 1)

    init(connection: Connection, pages: Pages, isWrite: Bool, depth: Int, seed: UInt64) {
      (self.connection, self.pages, self.isWrite, self.depth) = (connection, pages, isWrite, depth)
      dice = Dice(seed: seed)
      slots = Array(repeating: (0, 0), count: depth)
    }

    mutating func run(seconds: Double) throws {
      let began = wallSeconds()
      for slot in 0..<depth { try ask(slot) }
      var outstanding = depth
      while outstanding > 0 {
        let slot = try answer()
        latency.add(monotonicNanoseconds() - slots[slot].began)
        if !isWrite { try pages.check(slots[slot].page, buffer.baseAddress!, "the NBD server") }
        done += 1
        if wallSeconds() - began < seconds { try ask(slot) } else { outstanding -= 1 }
      }
      elapsed = wallSeconds() - began
    }

    private mutating func ask(_ slot: Int) throws {
      let page = dice.below(pages.count)
      slots[slot] = (page, monotonicNanoseconds())
      try connection.sendRequest(
        NBDLoad.requestMagic, isWrite: isWrite, cookie: UInt64(slot), offset: UInt64(page * pageBytes),
        payload: isWrite ? pages[page] : nil)
    }

    private mutating func answer() throws -> Int {
      let (error, cookie) = try connection.receiveReply(NBDLoad.replyMagic)
      guard error == 0, cookie < UInt64(depth) else { throw Failure("the NBD server answered with error \(error)") }
      if !isWrite { try connection.receive(into: buffer) }
      return Int(cookie)
    }
  }
}

/// Numbers in the network's order.
struct Bytes {
  var bytes: [UInt8] = []
  func with(_ number: some FixedWidthInteger) -> Bytes {
    var copy = self
    withUnsafeBytes(of: number.bigEndian) { copy.bytes.append(contentsOf: $0) }
    return copy
  }
  func with(_ more: [UInt8]) -> Bytes { Bytes(bytes: bytes + more) }
  func word(_ offset: Int) -> UInt64 { bytes[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) } }
}

/// A connected Unix socket with a buffer for what comes in.
final class Connection {
  private let descriptor: Int32
  private let room = warmBuffer(pages: 64)
  private var (start, end) = (0, 0)

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = Array(path.utf8)
    guard name.count < 108 else { throw Failure("\(path) is too long for a socket") }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard connected == 0 else { throw Failure(file: path) }
  }

  deinit { close(descriptor) }

  func send(_ bytes: Bytes) throws { try bytes.bytes.withUnsafeBytes { try sendAll($0) } }

  private func sendAll(_ bytes: UnsafeRawBufferPointer) throws {
    var sent = 0
    while sent < bytes.count {
      let count = Glibc.send(descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      guard count > 0 else { throw Failure("the NBD server closed the connection") }
      sent += count
    }
  }

  func sendRequest(
    _ magic: UInt32, isWrite: Bool, cookie: UInt64, offset: UInt64, payload: UnsafeRawBufferPointer?
  ) throws {
    try withUnsafeTemporaryAllocation(byteCount: 28, alignment: 8) { head in
      head.storeBytes(of: magic.bigEndian, as: UInt32.self)
      head.storeBytes(of: 0, toByteOffset: 4, as: UInt16.self)
      head.storeBytes(of: UInt16(isWrite ? 1 : 0).bigEndian, toByteOffset: 6, as: UInt16.self)
      head.storeBytes(of: cookie.bigEndian, toByteOffset: 8, as: UInt64.self)
      head.storeBytes(of: offset.bigEndian, toByteOffset: 16, as: UInt64.self)
      head.storeBytes(of: UInt32(pageBytes).bigEndian, toByteOffset: 24, as: UInt32.self)
      guard let payload else { return try sendAll(UnsafeRawBufferPointer(head)) }
      // One system call for both.
      var parts = [
        iovec(iov_base: head.baseAddress, iov_len: 28),
        iovec(iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count),
      ]
      let count = writev(descriptor, &parts, 2)
      guard count >= 28 else { throw Failure("the NBD server closed the connection") }
      try sendAll(UnsafeRawBufferPointer(rebasing: payload[(count - 28)...]))
    }
  }

  private func fill(_ wanted: Int) throws {
    if start == end { (start, end) = (0, 0) }
    if room.count - start < wanted {
      memmove(room.baseAddress!, room.baseAddress! + start, end - start)
      (start, end) = (0, end - start)
    }
    while end - start < wanted {
      let count = recv(descriptor, room.baseAddress! + end, room.count - end, 0)
      guard count > 0 else { throw Failure("the NBD server closed the connection") }
      end += count
    }
  }

  func receive(_ count: Int) throws -> Bytes {
    try fill(count)
    defer { start += count }
    return Bytes(bytes: Array(room[start..<start + count]))
  }

  func receive(into buffer: UnsafeMutableRawBufferPointer) throws {
    try fill(buffer.count)
    memcpy(buffer.baseAddress!, room.baseAddress! + start, buffer.count)
    start += buffer.count
  }

  func receiveReply(_ magic: UInt32) throws -> (error: UInt32, cookie: UInt64) {
    try fill(16)
    defer { start += 16 }
    let reply = UnsafeRawPointer(room.baseAddress! + start)
    guard UInt32(bigEndian: reply.loadUnaligned(as: UInt32.self)) == magic else {
      throw Failure("this is no simple reply of NBD")
    }
    return (
      UInt32(bigEndian: reply.loadUnaligned(fromByteOffset: 4, as: UInt32.self)),
      UInt64(bigEndian: reply.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }
}
