// SPDX-License-Identifier: Apache-2.0
internal import StowageBasics

/// What is asked of one check: on which file, and how.
public struct CheckOrder: Sendable, Codable {
  /// The plug-in.
  public var file: String
  /// The check's id.
  public var check: String
  /// 1 to 10; see `Check.scale`.
  public var level: Int
  /// Of everything random.
  public var seed: UInt64
  /// Given by the user, by key. Required ones that are missing are made up where that is possible.
  public var options: [String: String]
  /// An empty folder for files that the tier makes; the parent removes it.
  public var folder: String
  /// Pages that are real, a file of any kind; nil: those of this process and of programs.
  public var pages: String?

  /// See the properties.
  public init(
    file: String, check: String, level: Int = 5, seed: UInt64, options: [String: String] = [:], folder: String,
    pages: String? = nil
  ) {
    self.file = file
    self.check = check
    self.level = level
    self.seed = seed
    self.options = options
    self.folder = folder
    self.pages = pages
  }
}

/// One check at work, in the process that belongs to it: what it may use, and where it says what it saw.
///
/// Confined to the thread that runs the check, except for `random` of its `fork`s.
final class CheckRun: @unchecked Sendable {
  let order: CheckOrder
  var random: SeededRandom
  let notes: CallNotes
  /// Single observations that were as they must be.
  private(set) var evidence = 0
  /// What a pass is to say.
  var summary = ""
  private let deadline: ContinuousClock.Instant

  init(order: CheckOrder, check: Check, notes: CallNotes) {
    self.order = order
    self.notes = notes
    random = SeededRandom(seed: order.seed)
    deadline = ContinuousClock.now + check.timeLimit(level: order.level) * 0.5
  }

  /// A count at level 5, stretched to this run's level; at least 1.
  func times(_ count: Int) -> Int { max(1, Int(Double(count) * Check.scale(level: order.level))) }

  /// Half of the time that the check may take is over: loops that have seen enough should end.
  var isLate: Bool { ContinuousClock.now > deadline }

  /// Notes an observation, or ends the check as failed.
  func expect(_ isSo: Bool, _ otherwise: @autoclosure () -> String) throws {
    guard isSo else { throw CheckEnd.failed(otherwise()) }
    evidence += 1
  }

  /// As `expect`, where a busy machine may be the reason: then the check is run once more.
  func expectInTime(_ isSo: Bool, _ otherwise: @autoclosure () -> String) throws {
    guard isSo else { throw CheckEnd.late(otherwise()) }
    evidence += 1
  }

  /// Ends the check as failed, by a limit of time.
  func late(_ reason: String) -> any Error { CheckEnd.late(reason) }

  /// Ends the check as failed.
  func fail(_ reason: String) -> any Error { CheckEnd.failed(reason) }

  /// Ends the check as not run: it does not apply, or what it needs is missing.
  func notRun(_ reason: String) -> any Error { CheckEnd.notRun(reason) }

  /// Ends the check: it is for other tiers.
  func notApplicable(_ reason: String) -> any Error { CheckEnd.notApplicable(reason) }

  /// Runs the body and puts its end into words.
  func answer(to check: Check) -> CheckAnswer {
    do {
      try check.body(self)
    } catch CheckEnd.failed(let reason) {
      return CheckAnswer(outcome: check.isWarning ? .warning : .failed, message: reason, evidence: evidence)
    } catch CheckEnd.late(let reason) {
      let outcome: CheckOutcome = check.isWarning ? .warning : .failed
      return CheckAnswer(outcome: outcome, message: reason, evidence: evidence, isLate: true)
    } catch CheckEnd.notRun(let reason) {
      return CheckAnswer(outcome: .notRun, message: reason, evidence: evidence)
    } catch CheckEnd.notApplicable(let reason) {
      return CheckAnswer(outcome: .notApplicable, message: reason, evidence: 0)
    } catch {
      return CheckAnswer(outcome: .failed, message: "\(error)", evidence: evidence)
    }
    // No evidence is never a pass.
    guard evidence > 0 else { return CheckAnswer(outcome: .notRun, message: "nothing was observed", evidence: 0) }
    return CheckAnswer(outcome: .passed, message: summary, evidence: evidence)
  }
}
