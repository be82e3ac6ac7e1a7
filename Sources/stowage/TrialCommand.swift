// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageBasics
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

struct TrialCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trial",
    abstract: "Push real memory down the chain, take it all back and check every page.",
    discussion: """
      Takes pages of running processes, or of files, puts them into a store with little RAM, takes them back in \
      random order and compares each with a hash from before. Shows what a page costs at each level. Nothing is \
      changed in the processes, and the swap file is removed at the end.

      Ends with 1 if a page was lost or came back wrong.
      """)

  /// The memory that a trial of few pages gets at least by default: tiers need some to work with.
  private static let leastMemory = 16 << 20

  @Option(
    help: ArgumentHelp(
      "Take the resident private memory of this process. May be given several times.",
      discussion: "With neither --pid nor --file: the processes that you may read, largest first, then a helper's.",
      valueName: "number"))
  var pid: [Int32] = []

  @Option(help: ArgumentHelp("Take the pages of this file. May be given several times.", valueName: "file"))
  var file: [String] = []

  @Option(help: ArgumentHelp("Take at most so many pages.", valueName: "count"))
  var pages = TrialInput.defaultPages

  @Option(
    name: .customLong("cache-pages"),
    help: ArgumentHelp(
      "Also store so many pages of files under /usr that may be dropped, as a disk cache's (default: a fifth of the "
        + "others).", valueName: "count"))
  var cachePages: Int?

  @Option(
    help: ArgumentHelp(
      "What the store may use in all (default: the configuration's, else a quarter of the pages).", valueName: "size"),
    transform: size)
  var memory: Int?

  @Option(
    name: .customLong("swap-file"),
    help: ArgumentHelp(
      "Put the default chain's swap file here (default: in TMPDIR, /var/tmp or /tmp, on a disk).", valueName: "file"))
  var swapFile: String?

  @Option(
    name: .customLong("swap-size"),
    help: ArgumentHelp("The size of that swap file (default: room for all pages).", valueName: "size"),
    transform: size)
  var swapSize: Int?

  @Option(help: ArgumentHelp("Chooses files and orders (default: another each time).", valueName: "number"))
  var seed: UInt64?

  @Flag(help: "Write the report as JSON, and nothing else.") var json = false

  @OptionGroup(title: "Chain") var chain: ChainOptions

  private static func size(_ text: String) throws -> Int {
    guard let bytes = SizeText.parse(text), bytes > 0 else {
      throw ValidationError("expected \(SizeText.expected)")
    }
    return Int(bytes)
  }

  func validate() throws {
    guard pages >= 1, pages <= 1 << 28 else {
      throw ValidationError("--pages is \(pages); expected 1 to \(1 << 28)")
    }
    if let cachePages, cachePages < 0 || cachePages > 1 << 28 {
      throw ValidationError("--cache-pages is \(cachePages); expected 0 to \(1 << 28)")
    }
    if let bad = pid.first(where: { $0 < 1 }) { throw ValidationError("--pid \(bad): process numbers begin with 1") }
    if pid.contains(getpid()) { throw ValidationError("--pid \(getpid()): a trial cannot take its own memory") }
  }

  func run() throws {
    Interruption.install()
    do {
      guard try perform() else { throw ExitCode(1) }
    } catch StoreError.configuration(let reason) where reason.hasPrefix("a memory limit of ") {
      // The store knows of limits, and nothing of options.
      throw StoreError.configuration(reason + "; --memory sets it, or 'memory' in the configuration")
    } catch TrialError.interrupted(let signal) {
      Terminal.complain("\(TrialError.interrupted(signal: signal))")
      throw ExitCode(128 + signal)
    }
  }

  /// Whether all went well.
  private func perform() throws -> Bool {
    let settings = try chain.config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    try checkSwapOptions(settings)
    let progress = TrialProgress()
    let display = TrialDisplay(displayStyle(), to: displayTarget, progress: progress)
    display.start()
    defer { display.stop() }
    let plan = try TrialPlan(input(settings))
    let swap = settings.tiers == nil ? try swapPlace(plan) : nil
    let resolved = try chain.resolve(
      defaultMemory: max(Self.leastMemory, plan.inputBytes / 4), defaults: swap.map(swapOptions) ?? [:]
    ) {
      if let memory { $0.memory = memory }
    }
    let trial = Trial(
      plan: plan, settings: TrialSettings(configuration: resolved.configuration, chain: resolved.chain),
      progress: progress)
    let report = try trial.run { swap?.hide() }
    display.stop()
    let notes = resolved.notes + (swap.map { [$0.note] } ?? []).filter { !$0.isEmpty }
    try show(report, notes, hints: report.hints(.init(plan: plan, namesConfiguration: chain.config != nil)))
    return report.isSuccess
  }

  private func input(_ settings: ChainSettings) -> TrialInput {
    var input = TrialInput()
    input.pids = pid
    input.files = file
    input.pages = pages
    input.cachePages = cachePages
    input.pageSize = settings.pageSize ?? 4096
    input.seed = seed ?? UInt64(UInt32.random(in: .min ... .max))
    return input
  }

  // MARK: The swap file

  private func checkSwapOptions(_ settings: ChainSettings) throws {
    guard settings.tiers != nil, swapFile != nil || swapSize != nil else { return }
    throw TrialError.input(
      "--swap-file and --swap-size are for the default chain, but \(chain.config ?? "the configuration") names its "
        + "tiers; use --set, such as --set swapfile.path=FILE")
  }

  private func swapPlace(_ plan: TrialPlan) throws -> SwapPlace {
    let needed = SwapPlace.bytesNeeded(
      pages: plan.persistentTarget + plan.discardableCount, pageSize: plan.input.pageSize)
    let bytes = swapSize ?? needed
    if let swapFile { return try .named(swapFile, bytes: bytes) }
    return try .temporary(bytes: bytes, isExact: swapSize != nil)
  }

  private func swapOptions(_ swap: SwapPlace) -> [String: [String: OptionInput]] {
    ["swapfile": ["path": .text(swap.path), "size": .number(Int64(swap.bytes))]]
  }

  // MARK: What is shown

  private var displayTarget: Int32 { json ? Terminal.errors : Terminal.output }

  private func displayStyle() -> TrialDisplay.Style {
    let target = displayTarget
    guard Terminal.isTerminal(target) else { return json ? .none : .plain }
    let term = getenv("TERM").map { String(cString: $0) } ?? ""
    guard !term.isEmpty, term != "dumb" else { return .plain }
    return .live(isUnicode: Self.isUnicode) { Terminal.width(target) ?? 80 }
  }

  /// Whether the locale is one of UTF-8.
  private static var isUnicode: Bool {
    for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
      guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { continue }
      let locale = value.lowercased()
      return locale.contains("utf-8") || locale.contains("utf8")
    }
    return false
  }

  private func show(_ report: TrialReport, _ notes: [String], hints: [String]) throws {
    if json {
      print(try report.json())
      for note in notes { Terminal.complain("note: \(note)") }
      return
    }
    let width = Terminal.width()
    print(report.text())
    for note in notes + report.notes {
      print(TextLines.labelled("note:", note, labelWidth: 5, indent: 0, width: width).joined(separator: "\n"))
    }
    print("\nTo be tried next:")
    for hint in hints {
      print(TextLines.labelled("-", hint, labelWidth: 1, indent: 2, width: width).joined(separator: "\n"))
    }
  }
}
