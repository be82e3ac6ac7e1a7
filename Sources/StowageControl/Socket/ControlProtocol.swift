// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// What is asked over a control socket: one line of JSON. The server greets with a line of its own, answers with JSON, and
/// closes.
public struct ControlRequest: Codable, Sendable, Hashable {
  public var command: String
  public var arguments: [String: String]

  public init(_ command: String, _ arguments: [String: String] = [:]) {
    self.command = command
    self.arguments = arguments
  }

  /// One line, without its end.
  func encoded() -> [UInt8] { (try? JSONEncoder().encode(self)).map(Array.init) ?? [] }
  static func decoded(_ line: [UInt8]) -> ControlRequest? { try? JSONDecoder().decode(Self.self, from: Data(line)) }
}

/// What comes back: a result, or one sentence of what is wrong.
public enum ControlAnswer: Sendable, Hashable {
  case result(JSONValue)
  case failure(String)

  var json: JSONValue {
    switch self {
    case .result(let value): .object(["result": value])
    case .failure(let text): .object(["error": .text(text)])
    }
  }
}

/// The greeting, by which a control socket, and its version, is known.
enum ControlGreeting {
  /// Goes up when what is asked, or answered, changes its meaning.
  static let version = 1
  static let mark = "stowage-control "
  static let bytesMax = 256

  /// - Parameter program: the version of the program, for people.
  static func line(program: String) -> String { "\(mark)\(version) \(program)\n" }

  /// Nil when it is no such greeting.
  static func parse(_ line: String) -> (version: Int, program: String)? {
    guard line.hasPrefix(mark) else { return nil }
    let words = line.dropFirst(mark.count).split(separator: " ", maxSplits: 1)
    guard let version = words.first.flatMap({ Int($0) }) else { return nil }
    return (version, words.count > 1 ? String(words[1]) : "?")
  }
}

/// Why a daemon cannot be asked. `description` says which, and what to do.
public enum ControlError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Nobody listens there.
  case stopped(String)
  /// The socket belongs to another user, or to another program.
  case foreign(String, String)
  case version(String, theirs: Int, program: String)
  /// It was asked, and did not do it.
  case refused(String)
  case broken(String, String)

  public var description: String {
    switch self {
    case .stopped(let path):
      "no daemon is running at \(path); start one with 'stowage serve', or name its socket with --control"
    case .foreign(let path, let reason): "\(path) is no control socket of yours: \(reason)"
    case .version(let path, let theirs, let program):
      "the daemon at \(path) is stowage \(program), which speaks version \(theirs) of the control protocol, and this is "
        + "version \(ControlGreeting.version); use the command that the daemon was started with"
    case .refused(let reason): reason
    case .broken(let path, let reason): "the daemon at \(path) did not answer: \(reason)"
    }
  }
}

/// Blocking reads and writes on a socket with time limits, for the control side.
struct ControlStream {
  let descriptor: Int32

  /// - Parameter seconds: for each call.
  init(_ descriptor: Int32, seconds: Int) {
    self.descriptor = descriptor
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  func write(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  /// Up to the end of a line, or of the stream when `toEnd`; nil when it does not come in time or is longer than `limit`.
  func read(limit: Int, toEnd: Bool = false) -> [UInt8]? {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: toEnd ? 65536 : 1)
    while bytes.count <= limit {
      let count = recv(descriptor, &piece, piece.count, 0)
      if count < 0, errno == EINTR { continue }
      if count == 0 { return toEnd ? bytes : nil }
      guard count > 0 else { return nil }
      if !toEnd, piece[0] == UInt8(ascii: "\n") { return bytes }
      bytes += piece[..<count]
    }
    return nil
  }
}
