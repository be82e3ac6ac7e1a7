// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowageValidate

struct PluginsChecksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checks", abstract: "List what 'stowage plugins validate' checks, and what a failure asks for.")

  @Flag(help: "Write JSON.") var json = false

  func run() {
    if json {
      print(JSONValue.object(["checks": .list(CheckList.all.map(Self.json))]).rendered())
      return
    }
    let width = Terminal.width()
    let colour = Terminal.usesColour()
    var group: CheckGroup?
    for check in CheckList.all {
      if check.group != group {
        if group != nil { print("") }
        print(Style.bold.applied(to: check.group.rawValue, colour: colour))
        group = check.group
      }
      let head =
        check.id + (check.isWarning ? " (warning)" : "") + (check.level > 1 ? " (from level \(check.level))" : "")
      print("  " + Style.bold.applied(to: head, colour: colour))
      for line in TextLines.wrap(check.proves, width: width.map { max(20, $0 - 6) }) { print("      " + line) }
      for line in TextLines.labelled("Else:", check.advice, labelWidth: 5, indent: 6, width: width) { print(line) }
    }
  }

  private static func json(_ check: Check) -> JSONValue {
    .object([
      "id": .text(check.id), "group": .text(check.group.rawValue), "scope": .text(check.scope.rawValue),
      "level": .number(check.level), "warning": .flag(check.isWarning), "proves": .text(check.proves),
      "advice": .text(check.advice), "needs": .list(check.needs.map { .text($0) }),
    ])
  }
}
