// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowageControl
internal import StowagePlugins
internal import StowageValidate

/// What people see of a validation: a line of progress on a terminal, then what did not pass.
struct ValidationReport {
  let isJSON: Bool
  let isVerbose: Bool
  /// Checks that were asked for by name: that one of them is not for a tier is an answer.
  let asked: [String]
  private let colour = Terminal.usesColour()
  private let width = Terminal.width()

  init(isJSON: Bool, isVerbose: Bool, asked: [String] = []) {
    self.asked = asked
    self.isJSON = isJSON
    self.isVerbose = isVerbose
  }

  func begin(_ file: String, level: Int, seed: UInt64) {
    guard !isJSON else { return }
    print(Style.bold.applied(to: DisplayText.plain(file), colour: colour) + ", level \(level), seed \(seed)")
  }

  /// On a terminal, the check that just ended, overwritten by the next.
  func progress(_ result: CheckResult) {
    guard Terminal.isTerminal(Terminal.errors) else { return }
    show("\r\u{1B}[K  \(result.id) \(result.outcome.rawValue)")
  }

  /// Takes the line of progress away.
  func clear() { if Terminal.isTerminal(Terminal.errors) { show("\r\u{1B}[K") } }

  func end(_ validation: FileValidation) {
    clear()
    guard !isJSON else { return }
    for result in validation.results where isListed(result) || (isVerbose && result.outcome != .notApplicable) {
      list(result, validation)
    }
    if !isVerbose {
      for line in Self.blocked(validation) {
        print("  " + Style.doubtful.applied(to: "not run", colour: colour) + "  " + line)
      }
    }
    print("  " + Self.counts(validation))
  }

  /// What another check stood in the way of is summed up.
  private func isListed(_ result: CheckResult) -> Bool {
    switch result.outcome {
    case .failed, .crashed, .hung, .warning: true
    case .notRun: result.blockedBy == nil
    case .notApplicable: asked.contains(result.id)
    case .passed: result.firstRun != nil
    }
  }

  /// "38 checks need loading-entry, which crashed", for each check that stood in the way of others.
  private static func blocked(_ validation: FileValidation) -> [String] {
    let blocked = validation.results.filter { $0.blockedBy != nil }
    return validation.results.compactMap { root in
      let waiting = blocked.filter { $0.blockedBy == root.id }
      guard let first = waiting.first else { return nil }
      let reason = first.message.split(separator: ", which ", maxSplits: 1).last ?? "did not pass"
      return "\(waiting.count == 1 ? "\(first.id) needs" : "\(waiting.count) checks need") \(root.id), which \(reason)"
    }
  }

  private func list(_ result: CheckResult, _ validation: FileValidation) {
    let style: Style = result.outcome.isBad ? .bad : result.outcome == .passed ? .good : .doubtful
    let head =
      style.applied(to: result.outcome.rawValue, colour: colour) + "  "
      + Style.bold.applied(to: result.id, colour: colour)
    print("  " + head)
    let seen = result.evidence == 1 ? "1 observation" : "\(result.evidence) observations"
    let details =
      result.outcome == .passed
      ? [result.message, seen].filter { !$0.isEmpty }.joined(separator: "; ") : result.message
    let first = result.firstRun.map { "run once more, alone, as it had been too slow beside others: \($0)" }
    let all = [details, first ?? ""].filter { !$0.isEmpty }.joined(separator: "; ")
    for line in TextLines.wrap(all, width: width.map { max(20, $0 - 6) }) where !line.isEmpty {
      print("      " + line)
    }
    guard result.outcome.isBad || result.outcome == .warning, let check = CheckList.check(result.id) else { return }
    for line in TextLines.labelled("What to do:", check.advice, labelWidth: 11, indent: 6, width: width) { print(line) }
    if let call = result.lastCall { print("      Last call:   \(call)") }
    guard result.outcome.isBad else { return }
    print(
      "      Repeat:      stowage plugins validate \(DisplayText.plain(validation.file)) --check \(result.id) "
        + "--level \(validation.level) --seed \(result.seed)"
    )
  }

  /// "31 passed, 1 failed, 2 not run".
  static func counts(_ validation: FileValidation) -> String {
    let common: [CheckOutcome] = [.passed, .warning, .failed, .crashed, .hung, .notRun]
    let shown = validation.isForOthers ? [.notApplicable] : common
    let parts = shown.compactMap { outcome -> String? in
      let count = validation.count(outcome)
      return count > 0 || outcome == .passed
        ? "\(count) \(outcome.rawValue)\(outcome == .warning && count > 1 ? "s" : "")" : nil
    }
    return parts.joined(separator: ", ")
  }

  private func show(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(Terminal.errors, $0.baseAddress, $0.count) }
  }
}

/// Validations as JSON.
enum ValidationJSON {
  static func everything(_ validations: [FileValidation]) -> JSONValue {
    .object([
      "validations": .list(validations.map(file)), "status": .number(Int(FileValidation.status(of: validations))),
    ])
  }

  private static func file(_ validation: FileValidation) -> JSONValue {
    let outcomes: [CheckOutcome] = [.passed, .warning, .failed, .crashed, .hung, .notRun, .notApplicable]
    let counts = outcomes.map { outcome in
      JSONValue.Member(outcome.rawValue.replacingOccurrences(of: " ", with: "_"), .number(validation.count(outcome)))
    }
    return .object([
      "file": .text(validation.file), "name": .text(validation.name), "level": .number(validation.level),
      "seed": .text(String(validation.seed)), "counts": .object(counts),
      "checks": .list(validation.results.map(check)),
    ])
  }

  private static func check(_ result: CheckResult) -> JSONValue {
    .object([
      "id": .text(result.id), "group": .text(result.group.rawValue), "outcome": .text(result.outcome.rawValue),
      "message": .text(result.message), "evidence": .number(result.evidence),
      "duration_ms": .number(Int(result.durationMilliseconds)), "last_call": .text(orNull: result.lastCall),
      "seed": .text(String(result.seed)), "blocked_by": .text(orNull: result.blockedBy),
      "first_run": .text(orNull: result.firstRun),
    ])
  }
}

/// Validations in the XML that continuous integration reads: a suite for each file, a case for each check.
enum JUnit {
  static func document(_ validations: [FileValidation]) -> String {
    var lines = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<testsuites>"]
    for validation in validations { lines += suite(validation) }
    return (lines + ["</testsuites>", ""]).joined(separator: "\n")
  }

  private static func suite(_ validation: FileValidation) -> [String] {
    let shown = validation.results.filter { $0.outcome != .notApplicable }
    let bad = shown.count { $0.outcome == .failed }
    let broken = shown.count { $0.outcome == .crashed || $0.outcome == .hung }
    let head =
      "  <testsuite name=\"\(escaped(validation.name))\" tests=\"\(shown.count)\" failures=\"\(bad)\" "
        + "errors=\"\(broken)\" skipped=\"\(validation.count(.notRun))\">"
    return [head] + shown.flatMap { testCase($0, validation) } + ["  </testsuite>"]
  }

  private static func testCase(_ result: CheckResult, _ validation: FileValidation) -> [String] {
    let time = String(format: "%.3f", result.durationMilliseconds / 1000)
    let head =
      "    <testcase classname=\"\(escaped(validation.name)).\(result.group.rawValue)\" "
        + "name=\"\(result.id)\" time=\"\(time)\""
    let element: String
    switch result.outcome {
    case .passed:
      guard let first = result.firstRun else { return [head + "/>"] }
      let note = "run once more, alone, as it had been too slow: \(first)"
      return [head + ">", "      <system-out>\(escaped(note))</system-out>", "    </testcase>"]
    case .notApplicable: return [head + "/>"]
    case .warning: return [head + ">", "      <system-out>\(escaped(result.message))</system-out>", "    </testcase>"]
    case .failed: element = "failure"
    case .crashed, .hung: element = "error"
    case .notRun: element = "skipped"
    }
    let call = result.lastCall.map { "; last call \($0)" } ?? ""
    return [head + ">", "      <\(element) message=\"\(escaped(result.message + call))\"/>", "    </testcase>"]
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case _ where scalar.value < 32: result += " "
      // No character of XML 1.0, not even as a reference.
      case "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
