// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowagePlugins
internal import StowageTemplates

struct PluginsNewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new", abstract: "Make a folder with a small, working tier to begin from.",
    discussion: """
      The folder builds at once with 'make', needs nothing but what is in it and a compiler, and 'make test' has \
      Stowage check the tier. What is there already is never written over.

      Ends with 2 if the name is bad, the folder exists or the language is unknown.
      """)

  @Argument(
    help: ArgumentHelp("The tier's name: lower-case letters, digits and '-', at most 32.", valueName: "name"))
  var name: String

  @Option(help: ArgumentHelp("The language: c, swift or rust.", valueName: "language")) var language = "c"

  @Option(
    help: ArgumentHelp(
      "What the tier is: a transform (bytes into bytes) or a backing (a place to keep pages).", valueName: "role"))
  var role = "transform"

  @Option(help: ArgumentHelp("Make the folder in this one (default: the working folder).", valueName: "folder"))
  var into: String?

  @Flag(help: "Write what was made as JSON.") var json = false

  func run() throws {
    do {
      let template = try TierTemplate(
        name: name, language: try choice(language, "--language"), role: try choice(role, "--role"))
      let folder = try TierFolder.write(template, into: FilePaths.absolute(into ?? "."))
      try show(template, folder)
    } catch let error as TierTemplateError {
      throw refused(error.description)
    }
  }

  private func choice<Choice>(_ text: String, _ option: String) throws -> Choice
  where Choice: RawRepresentable<String> & CaseIterable {
    if let choice = Choice(rawValue: text) { return choice }
    let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    throw refused("\(option) \(DisplayText.plain(text)): expected one of \(known)")
  }

  private func refused(_ reason: String) -> ExitCode {
    Terminal.complain(DisplayText.plain(reason))
    return ExitCode(2)
  }

  private func show(_ template: TierTemplate, _ folder: String) throws {
    let files = try template.files().map(\.path)
    guard !json else {
      let whole: JSONValue = .object([
        "name": .text(template.name), "language": .text(template.language.rawValue),
        "role": .text(template.role.rawValue), "folder": .text(folder),
        "plugin": .text("\(folder)/\(template.name).tier.so"), "files": .list(files.map { .text($0) }),
      ])
      return print(whole.rendered())
    }
    print("\(DisplayText.plain(folder)) holds a \(template.role.rawValue) in \(template.language.rawValue):")
    for file in files where !file.hasPrefix("stowage-kit/Sources") { print("  \(file)") }
    print("Now: cd \(DisplayText.plain(folder)) && make test")
  }
}
