// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// docs/commands.md and the help of the commands say the same, both ways.
@Suite struct CommandPageTests {
  /// What `--experimental-dump-help` gives, as far as it is needed.
  private struct Dump: Decodable {
    var command: Command
    struct Command: Decodable {
      var commandName: String
      var shouldDisplay: Bool?
      var subcommands: [Command]?
      var arguments: [Argument]?
    }
    struct Argument: Decodable {
      var kind: String
      var shouldDisplay: Bool
      var preferredName: Name?
      var valueName: String?
    }
    struct Name: Decodable {
      var kind: String
      var name: String
    }
  }

  /// Options, as `--name <value>`, by command.
  private func commandsOfHelp() throws -> [String: Set<String>] {
    let outcome = try StowageTestSupport.Command.stowage("--experimental-dump-help")
    var found: [String: Set<String>] = [:]
    func visit(_ command: Dump.Command, after path: [String]) {
      guard command.shouldDisplay ?? true, command.commandName != "help" else { return }
      let path = path + [command.commandName]
      found[path.joined(separator: " ")] = Set((command.arguments ?? []).compactMap(text))
      for sub in command.subcommands ?? [] { visit(sub, after: path) }
    }
    visit(try JSONDecoder().decode(Dump.self, from: Data(outcome.output.utf8)).command, after: [])
    return found
  }

  private func text(_ argument: Dump.Argument) -> String? {
    guard argument.shouldDisplay, !["help", "version"].contains(argument.preferredName?.name ?? "") else { return nil }
    let value = argument.valueName ?? "value"
    guard let name = argument.preferredName else { return "<\(value)>" }
    let dashed = (name.kind == "long" ? "--" : "-") + name.name
    return argument.kind == "flag" ? dashed : "\(dashed) <\(value)>"
  }

  /// The same from the page: a heading for each command, a table row for each option.
  private func commandsOfPage() throws -> [String: Set<String>] {
    let file = TierCompiler.checkout.appendingPathComponent("docs/commands.md")
    var found: [String: Set<String>] = [:]
    var command: String?
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      if let heading = line.wholeMatch(of: /## `(stowage[^`]*)`/) {
        command = String(heading.1)
        #expect(found[command ?? ""] == nil, "\(line) stands twice")
        found[command ?? ""] = []
      } else if let row = line.prefixMatch(of: /\| `([^`]+)` \|/), let command {
        let option = row.1.split(separator: "\\").joined()
        #expect(found[command]?.insert(option).inserted == true, "\(command): \(option) stands twice")
      }
    }
    return found
  }

  @Test("every command and option stands on the page, and nothing else")
  func same() throws {
    let (help, page) = (try commandsOfHelp(), try commandsOfPage())
    #expect(help.count >= 6)
    #expect(Set(help.keys).subtracting(page.keys) == [], "commands without a section in docs/commands.md")
    #expect(Set(page.keys).subtracting(help.keys) == [], "sections in docs/commands.md without a command")
    for (command, options) in help {
      let described = page[command] ?? []
      #expect(options.subtracting(described) == [], "options of '\(command)' that are not on the page")
      #expect(described.subtracting(options) == [], "options on the page that '\(command)' does not have")
    }
  }
}
