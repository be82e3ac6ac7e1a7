// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// The clients of a server, in the handshake and behind it. Bounded: those in the handshake give way to newer ones, the
/// oldest first, so that nobody is kept out by some who connect and say nothing.
final class ClientTable: @unchecked Sendable {
  private static let handshakesMax = 256

  private final class Client {
    let descriptor: Int32
    var connection: Connection?
    var isEncrypted = false
    init(_ descriptor: Int32) { self.descriptor = descriptor }
  }

  private let monitor = Monitor()
  private let connectionsMax: Int
  // With the lock. Numbers grow, so the oldest has the smallest.
  private var clients: [UInt64: Client] = [:]
  private var handshakes: [UInt64] = []
  /// Those that are served. Others that are not in the handshake any more have been let go, and end soon.
  private var connections = 0
  private var next: UInt64 = 0
  private var isEnding = false
  private var figures = (refused: 0, served: 0)

  init(connectionsMax: Int) { self.connectionsMax = connectionsMax }
  deinit { monitor.deallocate() }

  var counts: (refused: Int, served: Int) { monitor.withLock { figures } }

  /// Takes over a socket.
  func begin(_ descriptor: Int32, _ service: Service) {
    Self.prepare(descriptor)
    guard let number = enter(descriptor) else {
      close(descriptor)
      return
    }
    do {
      try ServiceThread("nbd-client") { [self] in serve(number, descriptor, service) }.detach()
    } catch {
      leave(number) { close(descriptor) }
    }
  }

  private static func prepare(_ descriptor: Int32) {
    var on: Int32 = 1
    // Of no meaning for a socket in the file system, and refused there.
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, 4)
    var idle: Int32 = 60
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, &idle, 4)
  }

  /// Nil when it is turned away.
  private func enter(_ descriptor: Int32) -> UInt64? {
    monitor.withLock {
      guard !isEnding else { return nil }
      if handshakes.count >= Self.handshakesMax, let oldest = handshakes.first {
        handshakes.removeFirst()
        if let client = clients[oldest] { Transport(client.descriptor).interrupt(keepsSending: false) }
        figures.refused += 1
      }
      // Threads of those that were interrupted end soon; until they have, there is no end of new ones.
      guard clients.count < connectionsMax + 2 * Self.handshakesMax else {
        figures.refused += 1
        return nil
      }
      let number = next
      next += 1
      clients[number] = Client(descriptor)
      handshakes.append(number)
      return number
    }
  }

  private func serve(_ number: UInt64, _ descriptor: Int32, _ service: Service) {
    var handshake = Handshake(Transport(descriptor), service)
    let negotiated = handshake.run()
    let transport = handshake.transport
    if let negotiated {
      let connection = Connection(transport, negotiated)
      if promote(number, connection, isEncrypted: transport.isEncrypted) { connection.run() }
    }
    leave(number) { transport.close() }
  }

  private func promote(_ number: UInt64, _ connection: Connection, isEncrypted: Bool) -> Bool {
    monitor.withLock {
      let wasIn = handshakes.firstIndex(of: number)
      if let wasIn { handshakes.remove(at: wasIn) }
      guard wasIn != nil, !isEnding, connections < connectionsMax else {
        figures.refused += 1
        return false
      }
      connections += 1
      clients[number]?.connection = connection
      clients[number]?.isEncrypted = isEncrypted
      figures.served += 1
      return true
    }
  }

  /// - Parameter close: ends the socket; nobody finds it in the table meanwhile.
  private func leave(_ number: UInt64, _ close: () -> Void) {
    monitor.withLock {
      handshakes.removeAll { $0 == number }
      close()
      if clients.removeValue(forKey: number)?.connection != nil { connections -= 1 }
      monitor.notifyAll()
    }
  }

  var summaries: [ClientSummary] {
    let all = monitor.withLock {
      clients.sorted { $0.key < $1.key }.map {
        (PeerName.peer($0.value.descriptor), $0.value.connection, $0.value.isEncrypted)
      }
    }
    return all.map { peer, connection, isEncrypted in
      ClientSummary(
        peer: peer, export: connection?.negotiated.export.settings.name, isEncrypted: isEncrypted,
        requests: connection?.counters.requests.load(ordering: .relaxed) ?? 0,
        bytesRead: connection?.counters.bytesRead.load(ordering: .relaxed) ?? 0,
        bytesWritten: connection?.counters.bytesWritten.load(ordering: .relaxed) ?? 0,
        errors: connection?.counters.errors.load(ordering: .relaxed) ?? 0)
    }
  }

  /// Lets everyone go, and waits until they have.
  func end(patience: Duration) {
    let limit = monotonicNow() &+ UInt64(patience / .nanoseconds(1))
    monitor.lock()
    defer { monitor.unlock() }
    isEnding = true
    for client in clients.values { Transport(client.descriptor).interrupt(keepsSending: client.connection != nil) }
    while !clients.isEmpty, monitor.wait(until: limit) {}
    for client in clients.values { Transport(client.descriptor).interrupt(keepsSending: false) }
    // Calls into a backing end at their deadline.
    while !clients.isEmpty { monitor.wait() }
  }
}
