// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// A helper process that probes a file, seen by its parent.
final class ProbeChild {
  let file: String
  let process: HelperProcess
  private let limits: PluginProber.Limits

  /// Starts the helper on a file.
  init(file: String, helper: String, trust: PluginTrust, limits: PluginProber.Limits) throws(PluginError) {
    self.file = file
    self.limits = limits
    process = try HelperProcess(
      program: helper, kind: ProbeProtocol.kind, argument: ProbeProtocol.argument,
      [String(limits.memoryBytes), trust.rawValue, file])
  }

  /// Reads what there is, and says how the probe went once that is known; the process is gone then.
  func progress() throws(PluginError) -> ProbeOutcome? {
    process.readAll()
    if process.answer.isComplete { return try finish(.answered) }
    if process.answer.isTooLong { return try finish(.babbled) }
    if process.hasEnded {
      process.readAll()
      return try finish(process.answer.isComplete ? .answered : .ended)
    }
    let now = ContinuousClock.now
    guard let greetedAt = process.greetedAt else {
      return now - process.startedAt > limits.startTime ? try finish(.hung) : nil
    }
    return now - greetedAt > limits.time ? try finish(.hung) : nil
  }

  /// Ends the process, whatever it does.
  func kill() { process.kill() }

  private enum End { case answered, babbled, ended, hung }

  private func finish(_ end: End) throws(PluginError) -> ProbeOutcome {
    let status = process.kill()
    guard process.answer.isGreeted else {
      throw .helper("the helper did not come up (\(HelperProcess.text(ofStatus: status)))" + process.said)
    }
    switch end {
    case .answered:
      guard let result = process.answer.result(ProbeResult.self) else {
        return crash("it wrote into descriptors that are not its own")
      }
      return ProbeOutcome(result: result)
    case .babbled:
      return crash("the answer of the process that loaded it was longer than \(HelperProtocol.answerBytesMax) bytes")
    case .hung: return crash("it hung: no answer within \(limits.time)\(during), so it was killed")
    case .ended where status == HelperProtocol.statusNoPipe << 8:
      return crash("it closed the descriptors of the process that loaded it\(during)")
    case .ended: return crash("\(HelperProcess.text(ofStatus: status))\(during)")
    }
  }

  private func crash(_ reason: String) -> ProbeOutcome {
    ProbeOutcome(result: ProbeResult(misconduct: reason + process.said))
  }

  private var during: String {
    process.answer.lastStage.flatMap(LoadStage.init(rawValue:)).map { " while \($0.text)" } ?? ""
  }
}

/// What came out of one helper.
struct ProbeOutcome {
  var result: ProbeResult
}
