// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Where a server can be reached.
public enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
  /// A path in the file system.
  case unix(String)
  /// A numeric address (IPv4, or IPv6 without brackets) and a port; 0: any that is free.
  case tcp(host: String, port: UInt16)

  /// From "unix:PATH", a path with a slash, "tcp:HOST", "tcp:HOST:PORT", "tcp:[IPV6]:PORT"; nil when it is none of these.
  public init?(_ text: String) {
    if text.hasPrefix("unix:") {
      self = .unix(String(text.dropFirst(5)))
    } else if text.contains("/"), !text.hasPrefix("tcp:") {
      self = .unix(text)
    } else if text.hasPrefix("tcp:") {
      var host = String(text.dropFirst(4))
      var port = NBD.port
      if let colon = host.lastIndex(of: ":"), host.hasPrefix("[") || host.firstIndex(of: ":") == colon,
        !host.hasSuffix("]")
      {
        guard let number = UInt16(host[host.index(after: colon)...]) else { return nil }
        port = number
        host = String(host[..<colon])
      }
      if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
      if host == "localhost" { host = "127.0.0.1" }
      guard SocketAddress(host: host, port: port) != nil else { return nil }
      self = .tcp(host: host, port: port)
    } else {
      return nil
    }
    if case .unix(let path) = self, path.isEmpty { return nil }
  }

  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .tcp(let host, let port): host.contains(":") ? "tcp:[\(host)]:\(port)" : "tcp:\(host):\(port)"
    }
  }

  /// The URI of an export there, as other programs take it (doc/uri.md of the reference implementation).
  public func uri(export: String, isEncrypted: Bool) -> String {
    let name = Self.escaped(export)
    let scheme = isEncrypted ? "nbds" : "nbd"
    return switch self {
    case .unix(let path): "\(scheme)+unix:///\(name)?socket=\(Self.escaped(path, keeps: "/"))"
    case .tcp(let host, let port): "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)/\(name)"
    }
  }

  private static func escaped(_ text: String, keeps: String = "") -> String {
    let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~\(keeps)".utf8)
    return text.utf8.reduce(into: "") { result, byte in
      if plain.contains(byte) {
        result.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count < 2 ? "0" : "") + digits
      }
    }
  }

  /// Whether other machines cannot reach it.
  public var isLocal: Bool {
    switch self {
    case .unix: true
    case .tcp(let host, _): host.hasPrefix("127.") || host == "::1"
    }
  }
}

/// An address as the system takes it.
///
/// Sound because the storage is large enough for every family used here, and only its first `length` bytes are given away.
struct SocketAddress {
  private(set) var storage = sockaddr_storage()
  private(set) var length: socklen_t = 0

  /// Nil when the host is no numeric address.
  init?(host: String, port: UInt16) {
    var four = sockaddr_in()
    var six = sockaddr_in6()
    if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
      four.sin_family = sa_family_t(AF_INET)
      four.sin_port = port.bigEndian
      fill(four)
    } else if inet_pton(AF_INET6, host, &six.sin6_addr) == 1 {
      six.sin6_family = sa_family_t(AF_INET6)
      six.sin6_port = port.bigEndian
      fill(six)
    } else {
      return nil
    }
  }

  /// Nil when the path is too long for a socket.
  init?(path: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard !bytes.isEmpty, bytes.count < room, !bytes.contains(0) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    fill(address)
  }

  private mutating func fill<Address>(_ address: Address) {
    withUnsafeBytes(of: address) { bytes in withUnsafeMutableBytes(of: &storage) { $0.copyBytes(from: bytes) } }
    length = socklen_t(MemoryLayout<Address>.size)
  }

  var family: Int32 { Int32(storage.ss_family) }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) } }
  }
}
