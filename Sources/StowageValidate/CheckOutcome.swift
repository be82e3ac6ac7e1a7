// SPDX-License-Identifier: Apache-2.0

/// How a check ended.
public enum CheckOutcome: String, Sendable, Codable {
  case passed, warning, failed, crashed, hung
  /// It could not be tried; the message says why.
  case notRun = "not run"
  /// It is for other tiers.
  case notApplicable = "not applicable"

  /// It counts against the tier.
  public var isBad: Bool { self == .failed || self == .crashed || self == .hung }
}

/// What is known of one check on one file.
public struct CheckResult: Sendable, Codable {
  public var id: String
  public var group: CheckGroup
  public var outcome: CheckOutcome
  /// Why it is not `passed`; else what was seen.
  public var message: String
  /// How many single observations stand behind it; a pass has at least one.
  public var evidence: Int
  public var durationMilliseconds: Double
  /// The last call that was made into the tier, such as "decode(object 17, 231 of 4096 bytes)"; nil when there was none.
  public var lastCall: String?
  /// The seed of everything random in it.
  public var seed: UInt64
  /// The check because of which it was not run; nil when it was, or for another reason.
  public var blockedBy: String?
  /// What came of it at first, when it was run once more because it had been too slow; else nil.
  public var firstRun: String?

  enum CodingKeys: String, CodingKey {
    case id, group, outcome, message, evidence, seed
    case blockedBy = "blocked_by"
    case firstRun = "first_run"
    case durationMilliseconds = "duration_ms"
    case lastCall = "last_call"
  }
}

/// What a check's body throws to end it. `CheckRun` makes them.
enum CheckEnd: Error {
  case failed(String)
  /// Failed, by a limit of time.
  case late(String)
  case notRun(String)
  case notApplicable(String)
}

/// What a check's process tells its parent.
struct CheckAnswer: Codable {
  var outcome: CheckOutcome
  var message: String
  var evidence: Int
  /// It failed by a limit of time, so that a busy machine may be to blame.
  var isLate = false
}
