// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Foundation

/// What a helper process writes to its descriptor `STOWAGE_CHILD_RESULT`:
///
///     KIND 1 TOKEN                 as soon as it runs
///     stage NAME                   before each step
///     result LENGTH                and LENGTH bytes of JSON
///     end TOKEN                    nothing counts without this
///
/// The token is the parent's, so that what a plug-in happens to print is not taken for an answer.
package enum HelperProtocol {
  /// The status with which the helper ends when its result has nowhere to go.
  package static let statusNoPipe: Int32 = 97
  /// The status when the arguments make no sense.
  package static let statusUsage: Int32 = 98
  /// The longest answer that is read.
  static let answerBytesMax = 8 << 20

  static func greeting(_ kind: String, _ token: String) -> String { "\(kind) 1 \(token)\n" }
  static func end(_ token: String) -> String { "\nend \(token)\n" }
}

/// A helper's answer as its parent has read it so far.
package struct HelperAnswer {
  package let kind: String
  package let token: String
  private(set) var bytes: [UInt8] = []

  init(kind: String, token: String) {
    self.kind = kind
    self.token = token
  }

  mutating func append(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

  package var isTooLong: Bool { bytes.count > HelperProtocol.answerBytesMax }
  package var isGreeted: Bool { bytes.starts(with: HelperProtocol.greeting(kind, token).utf8) }

  /// All is there.
  package var isComplete: Bool {
    let end = Array(HelperProtocol.end(token).utf8)
    return bytes.count >= end.count && bytes[(bytes.count - end.count)...].elementsEqual(end)
  }

  /// The step that was begun last; nil if none was.
  package var lastStage: String? {
    lines.last.flatMap { line in line.hasPrefix("stage ") ? String(line.dropFirst(6)) : nil }
  }

  /// The result, when the answer is complete and in order.
  package func result<Result: Decodable>(_ type: Result.Type) -> Result? {
    guard isGreeted, isComplete, let header = lines.last, header.hasPrefix("result "),
      let length = Int(header.dropFirst(7))
    else { return nil }
    let before = lines.reduce(0) { $0 + $1.utf8.count + 1 }
    guard length >= 0, bytes.count == before + length + HelperProtocol.end(token).utf8.count else { return nil }
    return try? JSONDecoder().decode(Result.self, from: Data(bytes[before..<(before + length)]))
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
