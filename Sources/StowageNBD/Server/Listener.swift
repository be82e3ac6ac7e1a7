// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Glibc

/// A socket that clients connect to.
public struct Listener: Sendable {
  public let address: ListenAddress
  public let descriptor: Int32
  /// Its path is this server's to remove.
  private let ownsPath: Bool

  /// Opens one. A path that a server has left behind is taken over, one where a server answers is not.
  /// - Parameter mode: the rights of a socket in the file system.
  /// - Throws: `ExportError` with the address and what is wrong with it.
  public init(_ address: ListenAddress, mode: UInt32 = 0o600) throws(ExportError) {
    switch address {
    case .unix(let path):
      self.address = address
      descriptor = try Self.openUnix(path, mode: mode)
      ownsPath = true
    case .tcp(let host, let port):
      descriptor = try Self.openTCP(host, port)
      self.address = .tcp(host: host, port: Self.port(of: descriptor) ?? port)
      ownsPath = false
    }
  }

  /// One that whoever started this process has opened (systemd's socket activation).
  /// - Throws: `ExportError` when it is no listening socket.
  public init(activated descriptor: Int32) throws(ExportError) {
    var (isListening, size) = (Int32(0), socklen_t(4))
    guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening == 1 else {
      throw ExportError(
        "descriptor \(descriptor), given for socket activation, is no listening stream socket; use ListenStream= and "
          + "Accept=no")
    }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    self.descriptor = descriptor
    guard let address = Self.address(of: descriptor) else {
      throw ExportError("descriptor \(descriptor), given for socket activation, is neither a Unix nor a TCP socket")
    }
    self.address = address
    ownsPath = false
  }

  /// Ends it: nobody can connect any more.
  public func close() {
    // The path first: once it is closed, another server may have taken it over.
    if ownsPath, case .unix(let path) = address { unlink(path) }
    Glibc.close(descriptor)
  }

  private static func failure(_ address: ListenAddress, _ what: String) -> ExportError {
    ExportError("cannot listen on \(address): \(what)")
  }

  private static func reason() -> String { String(cString: strerror(errno)) }

  private static func openUnix(_ path: String, mode: UInt32) throws(ExportError) -> Int32 {
    guard let address = SocketAddress(path: path) else {
      throw failure(.unix(path), "a socket's path has 1 to 107 bytes; choose another")
    }
    try makeRoom(path, address)
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw failure(.unix(path), reason()) }
    // Nobody connects before its rights are as they shall be.
    let before = umask(0o177)
    let isBound = address.withPointer { bind(descriptor, $0, $1) } == 0
    let why = reason()
    umask(before)
    guard isBound, chmod(path, mode) == 0, listen(descriptor, 1024) == 0 else {
      let text = isBound ? reason() : why
      Glibc.close(descriptor)
      throw failure(.unix(path), text)
    }
    return descriptor
  }

  /// Removes a socket that nobody listens on any more.
  private static func makeRoom(_ path: String, _ address: SocketAddress) throws(ExportError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw failure(.unix(path), "there is something else than a socket; choose another path, or remove it")
    }
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard probe >= 0 else { throw failure(.unix(path), reason()) }
    defer { Glibc.close(probe) }
    let result = address.withPointer { connect(probe, $0, $1) }
    guard result != 0, errno == ECONNREFUSED else {
      throw failure(.unix(path), "it is in use by another server; stop that one, or choose another path")
    }
    guard unlink(path) == 0 else { throw failure(.unix(path), reason()) }
  }

  private static func openTCP(_ host: String, _ port: UInt16) throws(ExportError) -> Int32 {
    let name = ListenAddress.tcp(host: host, port: port)
    guard let address = SocketAddress(host: host, port: port) else { throw failure(name, "it is no numeric address") }
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(address.family, kind, 0)
    guard descriptor >= 0 else { throw failure(name, reason()) }
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(4))
    guard address.withPointer({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, 1024) == 0 else {
      let text = reason()
      Glibc.close(descriptor)
      throw failure(name, text)
    }
    return descriptor
  }

  private static func port(of descriptor: Int32) -> UInt16? {
    if case .tcp(_, let port) = address(of: descriptor) { port } else { nil }
  }

  private static func address(of descriptor: Int32) -> ListenAddress? {
    PeerName.address(descriptor, getsockname)
  }
}

/// Who is at an end of a socket.
enum PeerName {
  typealias Ask = (Int32, UnsafeMutablePointer<sockaddr>?, UnsafeMutablePointer<socklen_t>?) -> Int32

  static func address(_ descriptor: Int32, _ ask: Ask) -> ListenAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(descriptor, $0, &length) }
    }
    guard result == 0 else { return nil }
    return withUnsafeBytes(of: storage) { bytes in
      switch Int32(storage.ss_family) {
      case AF_UNIX:
        let path = bytes[2..<max(2, min(bytes.count, Int(length)))].prefix { $0 != 0 }
        return .unix(String(decoding: path, as: UTF8.self))
      case AF_INET:
        var four = bytes.loadUnaligned(as: sockaddr_in.self)
        return .tcp(host: text(AF_INET, &four.sin_addr), port: UInt16(bigEndian: four.sin_port))
      case AF_INET6:
        var six = bytes.loadUnaligned(as: sockaddr_in6.self)
        return .tcp(host: text(AF_INET6, &six.sin6_addr), port: UInt16(bigEndian: six.sin6_port))
      default: return nil
      }
    }
  }

  private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String {
    var text = [CChar](repeating: 0, count: 64)
    guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return "?" }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The other end of a connection, for people.
  static func peer(_ descriptor: Int32) -> String {
    if let address = address(descriptor, getpeername), case .tcp = address { return "\(address)" }
    var (process, user) = (Int32(0), UInt32(0))
    guard stowage_peer(descriptor, &process, &user) == 0 else { return "unix" }
    return "unix, process \(process) of user \(user)"
  }
}
