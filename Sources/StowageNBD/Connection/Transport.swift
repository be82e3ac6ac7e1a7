// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Glibc

/// The bytes of a connection: a socket, with TLS over it once that was agreed.
///
/// One thread receives; several send, one after the other, each holding the lock that the connection has for that. With
/// TLS the socket does not block and every call into TLS is made under `calls`, as reading and writing share its state.
///
/// Sound because the owner closes it when no thread uses it any more.
struct Transport: @unchecked Sendable {
  let descriptor: Int32
  private(set) var tls: OpaquePointer?
  private let calls: Monitor?

  /// A socket that may block.
  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    calls = nil
  }

  private init(_ descriptor: Int32, tls: OpaquePointer) {
    self.descriptor = descriptor
    self.tls = tls
    calls = Monitor()
  }

  var isEncrypted: Bool { tls != nil }

  /// Goes on in TLS; nil when that fails. The socket is not closed then.
  func startingTLS(_ server: OpaquePointer, deadline: UInt64) -> Transport? {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0,
      let tls = stowage_tls_open(server, descriptor)
    else { return nil }
    while true {
      let result = stowage_tls_accept(tls)
      if result == 1 { return Transport(descriptor, tls: tls) }
      guard let events = Self.events(for: Int(result)), wait(events, until: deadline) else {
        stowage_tls_close(tls)
        return nil
      }
    }
  }

  /// Ends TLS and closes the socket.
  func close() {
    if let tls {
      stowage_tls_shutdown(tls)
      stowage_tls_close(tls)
      calls?.deallocate()
    }
    Glibc.close(descriptor)
  }

  /// Receives what is there, at least a byte.
  /// - Parameter deadline: of the monotonic clock; nil: none.
  /// - Returns: 0 when the other side has closed, when it failed, or when nothing came in time.
  @inline(__always) func receive(_ bytes: UnsafeMutableRawPointer, _ room: Int, deadline: UInt64? = nil) -> Int {
    if let tls { return receiveTLS(tls, bytes, room, deadline) }
    while true {
      if let deadline, !wait(Int16(POLLIN), until: deadline) { return 0 }
      let count = recv(descriptor, bytes, room, 0)
      if count < 0, errno == EINTR { continue }
      return max(0, count)
    }
  }

  /// Receives what is there now; nil when nothing is. Without TLS.
  @inline(__always) func receiveNow(_ bytes: UnsafeMutableRawPointer, _ room: Int) -> Int? {
    let count = recv(descriptor, bytes, room, Self.noWait)
    guard count < 0 else { return count }
    return errno == EAGAIN || errno == EINTR ? nil : 0
  }

  private func receiveTLS(_ tls: OpaquePointer, _ bytes: UnsafeMutableRawPointer, _ room: Int, _ deadline: UInt64?)
    -> Int
  {
    while true {
      calls?.lock()
      let count = stowage_tls_read(tls, bytes, room)
      calls?.unlock()
      if count >= 0 { return count }
      guard let events = Self.events(for: count), wait(events, until: deadline) else { return 0 }
    }
  }

  /// Sends everything; false when it failed, or not all went in time.
  @inline(__always) func send(_ bytes: UnsafeRawPointer, _ count: Int, deadline: UInt64? = nil) -> Bool {
    var done = 0
    while done < count {
      let sent: Int
      if let tls {
        sent = sendTLS(tls, bytes + done, count - done, deadline)
      } else {
        if let deadline, !wait(Int16(POLLOUT), until: deadline) { return false }
        sent = Glibc.send(
          descriptor, bytes + done, count - done, Self.noSignal | (deadline == nil ? 0 : Self.noWait))
      }
      if sent > 0 {
        done += sent
      } else if tls != nil || (errno != EINTR && errno != EAGAIN) {
        return false
      }
    }
    return true
  }

  private static let noSignal = Int32(MSG_NOSIGNAL)
  private static let noWait = Int32(MSG_DONTWAIT)

  private func sendTLS(_ tls: OpaquePointer, _ bytes: UnsafeRawPointer, _ count: Int, _ deadline: UInt64?) -> Int {
    while true {
      calls?.lock()
      let sent = stowage_tls_write(tls, bytes, count)
      calls?.unlock()
      if sent > 0 { return sent }
      guard let events = Self.events(for: sent), wait(events, until: deadline) else { return -1 }
    }
  }

  private static func events(for result: Int) -> Int16? {
    switch result {
    case Int(STOWAGE_TLS_WANTS_READ): Int16(POLLIN)
    case Int(STOWAGE_TLS_WANTS_WRITE): Int16(POLLOUT)
    default: nil
    }
  }

  /// Waits until the socket is ready; false when the deadline came first.
  private func wait(_ events: Int16, until deadline: UInt64?) -> Bool {
    while true {
      var timeout: Int32 = -1
      if let deadline {
        let now = monotonicNow()
        guard now < deadline else { return false }
        timeout = Int32(clamping: (deadline - now) / 1_000_000 + 1)
      }
      var waiting = pollfd(fd: descriptor, events: events, revents: 0)
      let count = poll(&waiting, 1, timeout)
      if count > 0 { return true }
      guard count == 0 || errno == EINTR else { return false }
    }
  }

  /// Makes every call on it return: nothing comes any more, and nothing goes unless `keepsSending`.
  func interrupt(keepsSending: Bool) {
    _ = shutdown(descriptor, Int32(keepsSending ? SHUT_RD : SHUT_RDWR))
  }
}
