// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Foundation

/// Asks a daemon over its control socket.
public struct ControlClient: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  /// Asks, and waits for the answer.
  /// - Parameter patience: how long that may take, in seconds.
  /// - Returns: the result as JSON.
  public func ask(_ request: ControlRequest, patience: Int = 30) throws(ControlError) -> [String: Any] {
    let descriptor = try connect()
    defer { close(descriptor) }
    try greet(ControlStream(descriptor, seconds: 5))
    let stream = ControlStream(descriptor, seconds: patience)
    guard stream.write(request.encoded() + [UInt8(ascii: "\n")]), let bytes = stream.read(limit: 64 << 20, toEnd: true),
      let answer = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
    else { throw .broken(path, "it closed the connection, or took longer than \(patience) s") }
    if let error = answer["error"] as? String { throw .refused(error) }
    return answer["result"] as? [String: Any] ?? [:]
  }

  private func connect() throws(ControlError) -> Int32 {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      guard errno == ENOENT || errno == ENOTDIR else { throw .foreign(path, Self.reason()) }
      throw .stopped(path)
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .foreign(path, "it is no socket") }
    guard status.st_uid == geteuid() || geteuid() == 0 else {
      throw .foreign(path, "it belongs to user \(status.st_uid), and you are user \(geteuid())")
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw .broken(path, Self.reason()) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      close(descriptor)
      throw .foreign(path, "its path is too long for a socket")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      let (number, text) = (errno, Self.reason())
      close(descriptor)
      throw number == ECONNREFUSED || number == ENOENT ? .stopped(path) : .foreign(path, text)
    }
    return descriptor
  }

  private func greet(_ stream: ControlStream) throws(ControlError) {
    guard let line = stream.read(limit: ControlGreeting.bytesMax) else {
      throw .foreign(path, "who listens there does not greet as a daemon of Stowage does, or serves another user")
    }
    guard let (version, program) = ControlGreeting.parse(String(decoding: line, as: UTF8.self)) else {
      throw .foreign(path, "who listens there is another program")
    }
    guard version == ControlGreeting.version else { throw .version(path, theirs: version, program: program) }
    var (process, user) = (Int32(0), UInt32(0))
    guard stowage_peer(stream.descriptor, &process, &user) == 0, user == geteuid() || user == 0 || geteuid() == 0 else {
      throw .foreign(path, "the daemon belongs to user \(user)")
    }
  }

  private static func reason() -> String { String(cString: strerror(errno)) }
}

extension JSONValue {
  /// From what a JSON parser gave, keys sorted.
  public init(_ value: Any?) {
    switch value {
    case let text as String: self = .text(text)
    case let list as [Any]: self = .list(list.map { JSONValue($0) })
    case let members as [String: Any]:
      self = .object(members.sorted { $0.key < $1.key }.map { Member($0.key, JSONValue($0.value)) })
    case let number as NSNumber:
      let isFlag = String(cString: number.objCType) == "c"
      self = isFlag ? .flag(number.boolValue)
        : number.doubleValue == number.doubleValue.rounded() ? .number(number.intValue)
        : .decimal(number.doubleValue, digits: 6)
    default: self = .null
    }
  }
}
