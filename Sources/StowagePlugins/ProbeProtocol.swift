// SPDX-License-Identifier: Apache-2.0

/// How a helper that probes is asked, and what it finds; `HelperProtocol` says how it answers.
enum ProbeProtocol {
  /// The first argument that makes the executable a helper. Then: the parent's process id, the token, the
  /// most data memory in bytes (0: no limit), the trust, and the file.
  static let argument = "__probe"
  static let argumentCount = 7
  static let kind = "stowage-probe"
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
