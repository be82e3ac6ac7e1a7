// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowageEngine
public import StowagePlugins

/// Options that the user gave, held against the tables of the tiers that are to get them.
public enum GivenOptions {
  /// What is wrong with them; nil when nothing is, or when no file gives a table. Each file is asked in a process of
  /// its own; an option may be one of some of the files only.
  /// - Parameter helper: an executable whose main function calls `CheckHelper.runIfAsked`.
  /// - Throws: `helper` when asking does not work.
  public static func objection(
    to options: [String: String], of files: [String], helper: String = "/proc/self/exe"
  ) throws(PluginError) -> String? {
    guard !options.isEmpty else { return nil }
    var known: [String] = []
    var hasAnswer = false
    for file in files {
      let answer = try ask(file, options, helper)
      if answer.outcome == .failed { return answer.message }
      guard answer.outcome == .passed else { continue }
      hasAnswer = true
      known += answer.message.split(separator: " ").map(String.init)
    }
    guard hasAnswer, let key = options.keys.sorted().first(where: { !known.contains($0) }) else { return nil }
    let all = Set(known).sorted()
    let near = NearNames.question(NearNames.of(key, in: all))
    let list = all.isEmpty ? "; there are none" : "; those that there are: \(all.joined(separator: ", "))"
    return "there is no option '\(DisplayText.plain(key))'" + (near.isEmpty ? list : near)
  }

  private static func ask(_ file: String, _ options: [String: String], _ helper: String) throws(PluginError)
    -> CheckResult
  {
    guard let folder = FilePaths.temporaryFolder() else {
      throw .helper("no temporary folder can be made: \(errnoText(errno))")
    }
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let order = CheckOrder(file: file, check: question.id, seed: 1, options: options, folder: folder)
    let process = try CheckProcess(
      question, order, helper: helper, memoryBytes: 2 << 30, SanitizerRuntime(of: file))
    while true {
      if let result = process.progress() { return result }
      HelperProcess.wait(for: [process.process])
    }
  }

  /// Passes with the keys of a tier's table, fails by a value that will not do. It says nothing of the tier, and so is
  /// none of the list.
  static let question = Check(
    "options-given", .options, timeLimit: .seconds(5), proves: "Options that were given are in the tier's table.",
    advice: "'stowage plugins info' shows the options of a tier."
  ) { run in
    guard let table = try? run.load().table() else { throw run.notRun("it gives no table") }
    let check = OptionCheck(tier: table.name, options: table.options, baseFolder: run.order.folder)
    let keys = table.options.map(\.key)
    for (key, text) in run.order.options.sorted(by: { $0.key < $1.key }) where keys.contains(key) {
      do { _ = try check.value(of: key, .word(text)) } catch { throw run.fail("\(error)") }
    }
    run.summary = keys.joined(separator: " ")
    try run.expect(true, "")
  }
}
