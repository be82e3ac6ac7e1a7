// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Foundation

/// What the helper process writes to its descriptor `STOWAGE_CHILD_RESULT`:
///
///     stowage-probe 1 TOKEN        as soon as it runs
///     stage NAME                   before each step
///     result LENGTH                and LENGTH bytes of JSON, a ProbeResult
///     end TOKEN                    nothing counts without this
///
/// The token is the parent's, so that what a plug-in happens to print is not taken for an answer.
enum ProbeProtocol {
  /// The first argument that makes the executable a helper. Then: the parent's process id, the token, the
  /// most data memory in bytes (0: no limit), the trust, and the file.
  static let argument = "__probe"
  static let argumentCount = 7
  /// The status with which the helper ends when its result has nowhere to go.
  static let statusNoPipe: Int32 = 97
  /// The status when the arguments make no sense.
  static let statusUsage: Int32 = 98
  /// The longest answer that is read.
  static let answerBytesMax = 8 << 20

  static func greeting(_ token: String) -> String { "stowage-probe 1 \(token)\n" }
  static func stage(_ stage: LoadStage) -> String { "stage \(stage.rawValue)\n" }
  static func end(_ token: String) -> String { "\nend \(token)\n" }
}

/// The helper's finding.
struct ProbeResult: Codable, Sendable {
  /// Why it is refused; nil when it is not.
  var refusal: String?
  /// Why it is counted as crashed although it came back; nil when it is not.
  var misconduct: String?
  var description: TierDescription?
  var hash: String?
}

/// The helper's answer as the parent has read it so far.
struct ProbeAnswer {
  let token: String
  private(set) var bytes: [UInt8] = []

  init(token: String) { self.token = token }

  mutating func append(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

  var isTooLong: Bool { bytes.count > ProbeProtocol.answerBytesMax }
  var isGreeted: Bool { bytes.starts(with: ProbeProtocol.greeting(token).utf8) }

  /// All is there.
  var isComplete: Bool {
    let end = Array(ProbeProtocol.end(token).utf8)
    return bytes.count >= end.count && bytes[(bytes.count - end.count)...].elementsEqual(end)
  }

  /// The step that was begun last; nil if none was.
  var lastStage: LoadStage? {
    lines.last.flatMap { line in
      line.hasPrefix("stage ") ? LoadStage(rawValue: String(line.dropFirst(6))) : nil
    }
  }

  /// The finding, when the answer is complete and in order.
  var result: ProbeResult? {
    guard isGreeted, isComplete, let header = lines.last, header.hasPrefix("result "),
      let length = Int(header.dropFirst(7))
    else { return nil }
    let before = lines.reduce(0) { $0 + $1.utf8.count + 1 }
    guard length >= 0, bytes.count == before + length + ProbeProtocol.end(token).utf8.count else { return nil }
    return try? JSONDecoder().decode(ProbeResult.self, from: Data(bytes[before..<(before + length)]))
  }

  /// The lines from the greeting up to and with "result"; whatever is not in order ends them.
  private var lines: [String] {
    var found: [String] = []
    var rest = bytes[...]
    while let end = rest.firstIndex(of: 10) {
      let line = String(decoding: rest[..<end], as: UTF8.self)
      let isFirst = found.isEmpty
      guard isFirst || line.hasPrefix("stage ") || line.hasPrefix("result ") else { break }
      found.append(line)
      rest = rest[(end + 1)...]
      if line.hasPrefix("result ") { break }
    }
    return found
  }
}
