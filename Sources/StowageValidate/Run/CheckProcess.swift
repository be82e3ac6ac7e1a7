// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowagePlugins

/// A check's process, seen by its parent.
final class CheckProcess {
  let check: Check
  let process: HelperProcess
  let order: CheckOrder
  /// It ended by a limit of time.
  private(set) var isLate = false
  /// The most memory that may be present; nil: it has been given a limit of its own.
  private let presentBytesMax: Int?
  private let notes: CallNotes
  private let timeLimit: Duration

  /// - Parameter helper: an executable whose main function calls `CheckHelper.runIfAsked`.
  init(_ check: Check, _ order: CheckOrder, helper: String, memoryBytes: Int, _ sanitizer: SanitizerRuntime?)
    throws(PluginError)
  {
    self.check = check
    self.order = order
    guard let notes = CallNotes() else { throw .helper("no memory to share with the helper (memfd_create)") }
    self.notes = notes
    // Under a sanitizer there is shadow memory as well, which is no doing of the tier's.
    presentBytesMax = check.opensStore && sanitizer == nil && memoryBytes > 0 ? memoryBytes : nil
    timeLimit = check.timeLimit(level: order.level) * (sanitizer == nil ? 1 : SanitizerRuntime.patience)
    let encoded: Data
    do { encoded = try JSONEncoder().encode(order) } catch { throw .helper("the order cannot be written: \(error)") }
    process = try HelperProcess(
      program: helper, kind: CheckHelper.kind, argument: CheckHelper.argument,
      [String(check.opensStore ? 0 : memoryBytes), String(notes.number), String(decoding: encoded, as: UTF8.self)],
      environment: sanitizer?.environment ?? [])
  }

  /// The result, once there is one; the process is gone then.
  func progress() -> CheckResult? {
    process.readAll()
    if process.answer.isComplete { return finish() }
    if process.answer.isTooLong { return ended(.crashed, "it wrote more than the answer into its parent's pipe") }
    if process.hasEnded {
      process.readAll()
      return finish()
    }
    let patience = process.greetedAt == nil ? Duration.seconds(30) : timeLimit
    if let most = presentBytesMax, process.ownMemoryBytes > most {
      return ended(.crashed, "it took more than \(SizeText.format(Int64(most))) of memory, so its process was killed")
    }
    guard ContinuousClock.now - (process.greetedAt ?? process.startedAt) > patience else { return nil }
    isLate = true
    return ended(.hung, "no end within \(timeLimit), so its process was killed")
  }

  private func finish() -> CheckResult {
    let status = process.kill()
    guard let answer = process.answer.result(CheckAnswer.self) else {
      if process.answer.isComplete { return result(.crashed, "something else than the check wrote into its pipe", 0) }
      if status == HelperProtocol.statusNoPipe << 8 {
        return result(.crashed, "it closed descriptors that are not its own" + process.said, 0)
      }
      return broken(.crashed, HelperProcess.text(ofStatus: status) + " before the check's end", status)
    }
    isLate = answer.isLate
    return result(answer.outcome, answer.message, answer.evidence)
  }

  private func ended(_ outcome: CheckOutcome, _ message: String) -> CheckResult {
    broken(outcome, message, process.kill())
  }

  /// It gave no answer. Before its greeting that is no fault of the tier's: nothing of it had been called.
  private func broken(_ outcome: CheckOutcome, _ message: String, _ status: Int32) -> CheckResult {
    guard process.answer.isGreeted else {
      let reason = "the helper did not come up (\(HelperProcess.text(ofStatus: status)))"
      return result(.crashed, reason + process.said, 0)
    }
    return result(outcome, message + process.said, 0)
  }

  private func result(_ outcome: CheckOutcome, _ message: String, _ evidence: Int) -> CheckResult {
    CheckResult(
      id: check.id, group: check.group, outcome: outcome, message: DisplayText.plain(message), evidence: evidence,
      durationMilliseconds: (ContinuousClock.now - process.startedAt) / .milliseconds(1), lastCall: notes.last,
      seed: order.seed)
  }
}
