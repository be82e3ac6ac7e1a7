// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Glibc
public import StowageEngine

/// How a server treats its clients.
public struct ServerSettings: Sendable, Hashable {
  /// Clients that are served at one time; more are turned away after the handshake.
  public var connectionsMax = 256
  /// TLS for those who ask for it; nil: none.
  public var tls: TLSSettings?
  /// Whether every client must use it.
  public var requiresTLS = false

  public init() {}
}

/// A client of a server, at one moment.
public struct ClientSummary: Sendable, Hashable {
  /// Where it comes from, for people.
  public var peer: String
  /// Nil while it is in the handshake.
  public var export: String?
  public var isEncrypted: Bool
  public var requests: Int
  /// Bytes that it asked for, and that it wrote.
  public var bytesRead: Int
  public var bytesWritten: Int
  /// Requests that were answered with an error.
  public var errors: Int
}

/// Serves exports over NBD: a thread for each listening socket, and one for each client.
///
/// Any thread may call it. The store belongs to the caller and outlives the server.
public final class NBDServer: Sendable {
  private let service: Service
  private let clients: ClientTable
  private let acceptors: AcceptorList

  /// - Throws: `ExportError` when what TLS needs cannot be used.
  public init(_ exports: ExportSet, _ settings: ServerSettings = ServerSettings()) throws(ExportError) {
    guard !settings.requiresTLS || settings.tls != nil else {
      throw ExportError("TLS is to be used by every client, but there is no certificate and no key for it")
    }
    var tls: TLSContext?
    if let files = settings.tls { tls = try TLSContext(files) }
    service = Service(exports, tls: tls, requiresTLS: settings.requiresTLS)
    clients = ClientTable(connectionsMax: settings.connectionsMax)
    acceptors = try AcceptorList()
  }

  /// Begins to serve who connects there. The socket is the server's from here on.
  public func serve(_ listener: Listener) throws(StoreError) {
    try acceptors.add(listener) { [service, clients] in clients.begin($0, service) }
  }

  /// Clients now.
  public var summaries: [ClientSummary] { clients.summaries }
  /// Handshakes of TLS that failed since the start, clients that were turned away, and those that were served.
  public var tlsFailures: Int { service.tlsFailures }
  public var refused: Int { clients.counts.refused }
  public var served: Int { clients.counts.served }

  /// Ends: nobody can connect any more; what clients have asked for is answered, then they are let go. Those that take
  /// nothing in are cut off after `patience`.
  public func stop(patience: Duration = .seconds(5)) {
    service.end()
    acceptors.stop()
    clients.end(patience: patience)
  }
}

/// The listening sockets and their threads.
final class AcceptorList: @unchecked Sendable {
  private let monitor = Monitor()
  /// A pipe: what is written to it ends the threads.
  private let wake: Int32
  private let wakeEnd: Int32
  // With the lock.
  private var threads: [(thread: ServiceThread, listener: Listener)] = []

  init() throws(ExportError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw ExportError("no descriptor is left: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (wake, wakeEnd) = (ends[0], ends[1])
  }

  deinit {
    Glibc.close(wake)
    Glibc.close(wakeEnd)
    monitor.deallocate()
  }

  func add(_ listener: Listener, _ body: @escaping @Sendable (Int32) -> Void) throws(StoreError) {
    let wake = wake
    let thread = try ServiceThread("nbd-accept") { Self.accept(listener.descriptor, wake, body) }
    monitor.withLock { threads.append((thread, listener)) }
  }

  func stop() {
    let ended = monitor.withLock {
      defer { threads = [] }
      return threads
    }
    var one: UInt8 = 1
    _ = write(wakeEnd, &one, 1)
    for (thread, listener) in ended {
      thread.join()
      listener.close()
    }
  }

  private static func accept(_ listener: Int32, _ wake: Int32, _ body: (Int32) -> Void) {
    while true {
      var waiting = [
        pollfd(fd: listener, events: Int16(POLLIN), revents: 0), pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
      ]
      _ = poll(&waiting, 2, -1)
      if waiting[1].revents != 0 { return }
      let descriptor = stowage_accept(listener)
      if descriptor >= 0 {
        body(descriptor)
      } else if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
        // Until some client has gone.
        usleep(20_000)
      }
    }
  }
}
