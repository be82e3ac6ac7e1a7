// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import StowageBasics
internal import StowageControl
internal import StowagePlugins
internal import StowageValidate

struct PluginsBenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure what a page costs in plug-ins, side by side over the same pages.",
    discussion: """
      Each plug-in is measured in a process of its own, one after the other: every page is encoded (or written to a \
      slot), then decoded (or read) in another order and compared; with one thread, and with as many as there are \
      processors. Pages of one repeated word are left out, as a store encodes none of them.

      Ends with 1 if a plug-in could not be measured, 2 if nothing was found or an option is wrong, and with 130 \
      after Ctrl-C.
      """)

  @Argument(
    help: ArgumentHelp(
      "Files, names of plug-ins in the plug-in path, or folders of files named NAME.tier.so.",
      valueName: "file|name|folder"))
  var plugins: [String]

  @Option(
    help: ArgumentHelp(
      "Take the pages of this file, such as 'stowage capture' makes (default: pages of the programs and libraries "
        + "that are mapped here).",
      valueName: "file"))
  var pages: String?

  @Option(help: ArgumentHelp("Take at most so many pages.", valueName: "number")) var count = 4096
  @Option(help: ArgumentHelp("Measure so often.", valueName: "number")) var rounds = 3

  @Option(
    help: ArgumentHelp("Threads of the second measurement (default: one for each processor).", valueName: "number"))
  var threads: Int?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Open a plug-in with this option, such as zstd.level=19. May be given several times.", valueName: "name.key=value"
    ))
  var set: [String] = []

  @Option(help: ArgumentHelp("Write a plot of ratio against time to this file, as SVG.", valueName: "file")) var plot:
    String?
  @Option(help: ArgumentHelp("How long one plug-in may take.", valueName: "seconds")) var timeout: Double = 300
  @Flag(help: "Write JSON.") var json = false
  @OptionGroup(title: "Plug-ins") var search: PluginOptions

  func validate() throws {
    guard (1...(1 << 20)).contains(count) else {
      throw ValidationError("--count is \(count); expected 1 to \(1 << 20)")
    }
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds is \(rounds); expected 1 to 1000") }
    if let threads, !(1...256).contains(threads) { throw ValidationError("--threads is \(threads); expected 1 to 256") }
    guard timeout >= 1, timeout <= 86400 else {
      throw ValidationError("--timeout is \(timeout); expected seconds from 1 to 86400")
    }
    _ = try assignments
  }

  func run() throws {
    let files = try ValidationTargets(plugins, finder: search.finder).files
    let given = try options(of: Set(files.map(Self.name)))
    try PagesOption.check(pages)
    for file in files {
      let own = given[Self.name(of: file)] ?? [:]
      guard let objection = try GivenOptions.objection(to: own, of: [file]) else { continue }
      throw ValidationError("--set for \(DisplayText.plain(file)): \(objection)")
    }
    Interruption.install()
    let cores = max(1, ProcessInfo.processInfo.activeProcessorCount)
    var results: [BenchResult] = []
    var failures: [String] = []
    for file in files {
      if Terminal.isTerminal(Terminal.errors) { Terminal.complain("measuring \(DisplayText.plain(file)) ...") }
      do throws(PluginError) {
        results.append(
          try BenchHelper.measure(
            file: file, options: given[Self.name(of: file)] ?? [:], pages: pages.map(FilePaths.absolute),
            pageCount: count, rounds: rounds, threads: threads ?? cores, seed: 1, timeLimit: .seconds(timeout),
            interruption: { Interruption.signalNumber }))
      } catch .interrupted(let signal) {
        Terminal.complain("\(PluginError.interrupted(signal: signal))")
        throw ExitCode(128 + signal)
      } catch {
        failures.append("\(error)")
      }
    }
    if json {
      try printJSON(results, failures)
    } else if !results.isEmpty {
      for line in BenchTable.lines(results, width: Terminal.width(), colour: Terminal.usesColour()) { print(line) }
    }
    for failure in failures { Terminal.complain(DisplayText.plain(failure)) }
    if let plot { try write(BenchPlot.document(results), to: plot) }
    if !failures.isEmpty { throw ExitCode(1) }
  }

  /// "lz4" of lz4.tier.so, and of liblz4-tier.so, as a build of the kit names it.
  private static func name(of file: String) -> String {
    let name = FilePaths.last(of: file)
    if name.hasSuffix(".tier.so") { return String(name.dropLast(8)) }
    return name.hasPrefix("lib") && name.hasSuffix("-tier.so") ? String(name.dropFirst(3).dropLast(8)) : name
  }

  private var assignments: [OptionAssignment] { get throws { try set.map { try OptionAssignment($0, named: "NAME") } } }

  /// What --set says, by the plug-in's name and by key.
  private func options(of measured: Set<String>) throws -> [String: [String: String]] {
    var options: [String: [String: String]] = [:]
    for given in try assignments {
      guard measured.contains(given.name) else {
        throw ValidationError(
          "--set \(DisplayText.plain("\(given.name).\(given.key)")): no plug-in of this name is measured; "
            + "measured are \(DisplayText.plain(measured.sorted().joined(separator: ", ")))")
      }
      options[given.name, default: [:]][given.key] = given.value
    }
    return options
  }

  private func printJSON(_ results: [BenchResult], _ failures: [String]) throws {
    struct Report: Encodable {
      var results: [BenchResult]
      var failures: [String]
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(Report(results: results, failures: failures)), as: UTF8.self))
  }

  private func write(_ text: String, to file: String) throws {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    } catch {
      throw PluginError.output(file: file, reason: error.localizedDescription)
    }
  }
}

/// Measurements as a table.
enum BenchTable {
  static func lines(_ results: [BenchResult], width: Int?, colour: Bool) -> [String] {
    var table = TextTable(columns: [
      ("NAME", .left), ("ROLE", .left), ("KEPT", .right), ("THREADS", .right), ("DOWN us", .right), ("p50", .right),
      ("p99", .right), ("UP us", .right), ("p50", .right), ("p99", .right), ("DOWN/s", .right), ("UP/s", .right),
      ("", .left),
    ])
    for result in results {
      for (index, run) in result.runs.enumerated() { table.add(row(result, run, isFirst: index == 0)) }
    }
    let pages = results.map(\.pages)
    let head =
      "\(pages.max() ?? 0) pages of \(results.first?.pageSize ?? 4096) bytes; "
        + "DOWN is encode or write, UP is decode or read, a page at a time"
    return TextLines.wrap(head, width: width) + table.lines(width: width, colour: colour)
  }

  private static func row(_ result: BenchResult, _ run: BenchRun, isFirst: Bool) -> [TextTable.Cell] {
    func number(_ value: Double, _ digits: Int = 2) -> TextTable.Cell { .init(String(format: "%.\(digits)f", value)) }
    return [
      .init(isFirst ? result.name : "", .bold), .init(isFirst ? result.role : ""),
      .init(isFirst && result.role == "transform" ? String(format: "%.1f %%", result.ratio * 100) : ""),
      .init(String(run.threads)), number(run.down.mean), number(run.down.p50), number(run.down.p99),
      number(run.up.mean),
      number(run.up.p50), number(run.up.p99), number(run.downPagesPerSecond, 0), number(run.upPagesPerSecond, 0),
      .init(isFirst ? result.note ?? "" : ""),
    ]
  }
}
