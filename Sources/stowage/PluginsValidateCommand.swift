// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import StowageBasics
internal import StowageControl
internal import StowagePlugins
internal import StowageValidate

struct PluginsValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate", abstract: "Check that plug-ins keep to the rules of the binary interface.",
    discussion: """
      Each check runs in a process of its own, with a time and a memory limit, so that a plug-in that crashes, hangs \
      or ends its process fails that check and no other. One that took too long is run once more, alone, before it \
      counts. 'stowage plugins checks' lists the checks.

      Ends with 0 if all passed, 1 if a check failed, 2 if nothing was found, an option is wrong or no check that was \
      asked for is for such a plug-in, 3 if a plug-in crashed or hung. Stopped by a signal it ends its helpers, \
      removes its temporary files and ends with 128 and the signal's number: 130 after Ctrl-C.
      """)

  @Argument(
    help: ArgumentHelp(
      "Files, names of plug-ins in the plug-in path, or folders of files named NAME.tier.so.",
      valueName: "file|name|folder"))
  var plugins: [String]

  @Option(
    help: ArgumentHelp("How thorough, from 1 to 10: higher levels repeat more and take longer.", valueName: "1-10"))
  var level = 5

  @Option(
    help: ArgumentHelp(
      "Run only this check, and those that it needs. May be given several times.", valueName: "id"))
  var check: [String] = []

  @Option(
    help: ArgumentHelp(
      "The seed of everything random; printed, so that a failure can be repeated.", valueName: "number"))
  var seed: UInt64?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      """
      Open the plug-in with this option. Each check has a copy of a file that is named, or one beside it that is \
      removed. Required options that are not set get files in a temporary folder and the like.
      """,
      valueName: "key=value"))
  var set: [String] = []

  @Option(help: ArgumentHelp("Take the real pages from this file; otherwise from this program.", valueName: "file"))
  var pages: String?

  @Option(help: ArgumentHelp("Checks at one time; by default one for each processor.", valueName: "number"))
  var jobs: Int?

  @Flag(
    name: .customLong("in-process"),
    help: "Run one check in this very process, for a debugger. Needs one --check and one file.")
  var inProcess = false

  @Flag(help: "Write JSON.") var json = false
  @Option(help: ArgumentHelp("Also write the results to this file, in JUnit's XML.", valueName: "file")) var junit:
    String?
  @Flag(help: "List the checks that passed too.") var verbose = false
  @OptionGroup(title: "Plug-ins") var where_: PluginOptions

  func validate() throws {
    guard (1...10).contains(level) else { throw ValidationError("--level is \(level); expected 1 to 10") }
    if let jobs, !(1...64).contains(jobs) { throw ValidationError("--jobs is \(jobs); expected 1 to 64") }
    for id in check where CheckList.check(id) == nil {
      let near = NearNames.question(NearNames.of(id, in: CheckList.all.map(\.id)))
      throw ValidationError(
        "--check \(DisplayText.plain(id)): there is no such check"
          + (near.isEmpty ? "; 'stowage plugins checks' lists them" : near)
      )
    }
    if inProcess, check.count != 1 || plugins.count != 1 {
      throw ValidationError("--in-process needs exactly one --check and one file")
    }
    if inProcess, json || junit != nil {
      throw ValidationError("--in-process is for debuggers: it cannot be had with \(json ? "--json" : "--junit")")
    }
    _ = try options()
  }

  func run() throws {
    let seed = seed ?? UInt64.random(in: 1...999_999_999)
    let files = try ValidationTargets(plugins, finder: where_.finder).files
    try PagesOption.check(pages)
    if let objection = try GivenOptions.objection(to: try options(), of: files) {
      throw ValidationError("--set: \(objection)")
    }
    if inProcess {
      guard files.count == 1 else {
        throw ValidationError("--in-process needs exactly one file; \(files.count) are named")
      }
      return try runHere(files[0], seed: seed)
    }
    let results = try junit.map { try ResultFile($0) }
    let report = ValidationReport(isJSON: json, isVerbose: verbose, asked: check)
    let validations: [FileValidation]
    do { validations = try validate(files, seed: seed, report) } catch PluginError.interrupted(let signal) {
      report.clear()
      results?.abandon()
      Terminal.complain("\(PluginError.interrupted(signal: signal))")
      throw ExitCode(128 + signal)
    }
    if json { print(ValidationJSON.everything(validations).rendered()) }
    try results?.write(JUnit.document(validations))
    let status = FileValidation.status(of: validations)
    if status != 0 { throw ExitCode(status) }
  }

  private func validate(_ files: [String], seed: UInt64, _ report: ValidationReport) throws -> [FileValidation] {
    Interruption.install()
    var validator = Validator(seed: seed)
    validator.level = level
    validator.checks = check
    validator.options = try options()
    validator.pages = pages.map(FilePaths.absolute)
    validator.interruption = { Interruption.signalNumber }
    if let jobs { validator.parallel = jobs }
    return try files.map { file in
      report.begin(file, level: level, seed: seed)
      let validation = try validator.validate(file: file) { report.progress($0) }
      report.end(validation)
      return validation
    }
  }

  private func runHere(_ file: String, seed: UInt64) throws {
    guard let folder = FilePaths.temporaryFolder() else { throw PluginError.helper("no temporary folder can be made") }
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let order = CheckOrder(
      file: file, check: check[0], level: level, seed: seed, options: try options(), folder: folder,
      pages: pages.map(FilePaths.absolute))
    guard let result = CheckHelper.runHere(order) else { return }
    let message = DisplayText.plain(result.message)
    print("\(result.id): \(result.outcome.rawValue)" + (message.isEmpty ? "" : ": \(message)"))
    if result.outcome == .notApplicable { throw ExitCode(2) }
    // No evidence is no pass.
    if result.outcome != .passed, result.outcome != .warning { throw ExitCode(1) }
  }

  private func options() throws -> [String: String] {
    var options: [String: String] = [:]
    for given in try set.map({ try OptionAssignment($0, named: nil) }) { options[given.key] = given.value }
    return options
  }
}

/// The file that pages are to come from.
enum PagesOption {
  /// - Throws: when a file was named that holds no page: nothing is to be tried with others in their place.
  static func check(_ file: String?) throws {
    guard let file, let objection = PagesFile.objection(file) else { return }
    throw ValidationError("--pages \(DisplayText.plain(file)): \(objection)")
  }
}

/// The files that the arguments name.
struct ValidationTargets {
  private(set) var files: [String] = []

  /// - Throws: when an argument names nothing.
  init(_ arguments: [String], finder: PluginFinder) throws {
    for argument in arguments {
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder), isFolder.boolValue {
        try addFolder(argument)
      } else if argument.contains("/") || argument.hasSuffix(".tier.so") {
        guard FileManager.default.fileExists(atPath: argument) else {
          throw ValidationError("\(DisplayText.plain(argument)): \(FileKind.absence(of: argument))")
        }
        files.append(FilePaths.absolute(argument))
      } else {
        guard let file = finder.file(named: argument) else {
          throw ValidationError(
            "there is no plug-in '\(DisplayText.plain(argument))' in the plug-in path; "
              + "'stowage plugins list' shows those that are there"
          )
        }
        files.append(file)
      }
    }
  }

  private mutating func addFolder(_ folder: String) throws {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let found = names.filter { $0.hasSuffix(".tier.so") && !$0.hasPrefix(".") }.sorted()
    guard !found.isEmpty else {
      throw ValidationError("\(DisplayText.plain(folder)): no file in this folder is named NAME.tier.so")
    }
    files += found.map { FilePaths.absolute(folder + "/" + $0) }
  }
}
