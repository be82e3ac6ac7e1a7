// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import StowagePlugins

/// The process in which one check runs.
public enum CheckHelper {
  static let argument = "__check"
  static let kind = "stowage-check"
  private static let argumentCount = 7

  /// To be called early in the main function of an executable that validates with itself as the helper. Comes back
  /// only in a process that is no helper.
  public static func runIfAsked() {
    let arguments = CommandLine.arguments
    guard arguments.count > 1, arguments[1] == argument else { return }
    guard arguments.count == argumentCount, let parent = Int32(arguments[2]), let memoryBytes = UInt64(arguments[4]),
      let notesNumber = Int32(arguments[5]),
      let order = try? JSONDecoder().decode(CheckOrder.self, from: Data(arguments[6].utf8)),
      let check = CheckList.order(order.check), let notes = CallNotes(parent: parent, descriptor: notesNumber)
    else {
      HelperSide.refuse("\(argument) is for stowage itself; try 'stowage plugins validate FILE'")
    }
    let helper = HelperSide(kind: kind, token: arguments[3])
    helper.begin(parent: parent, memoryBytes: memoryBytes)
    helper.end(CheckRun(order: order, check: check, notes: notes).answer(to: check))
  }

  /// Runs a check in this very process, for debuggers: a crash of the tier is one of this process.
  public static func runHere(_ order: CheckOrder) -> CheckResult? {
    guard let check = CheckList.check(order.check) else { return nil }
    let began = ContinuousClock.now
    let notes = CallNotes.local
    let answer = CheckRun(order: order, check: check, notes: notes).answer(to: check)
    return CheckResult(
      id: check.id, group: check.group, outcome: answer.outcome, message: answer.message, evidence: answer.evidence,
      durationMilliseconds: (ContinuousClock.now - began) / .milliseconds(1), lastCall: notes.last, seed: order.seed)
  }
}
