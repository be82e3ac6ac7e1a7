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

      With --suspend-to the store is suspended to a file instead, and with --resume-from another process goes on with \
      it, takes everything back and compares.

      Ends with 1 if a page was lost or came back wrong.
      """)

  /// The memory that a trial of few pages gets at least by default: tiers need some to work with.
  static let leastMemory = 16 << 20

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
    transform: SizeArgument.parse)
  var memory: Int?

  @Option(
    name: .customLong("swap-file"),
    help: ArgumentHelp(
      "Put the default chain's swap file here (default: in TMPDIR, /var/tmp or /tmp, on a disk).", valueName: "file"))
  var swapFile: String?

  @Option(
    name: .customLong("swap-size"),
    help: ArgumentHelp("The size of that swap file (default: room for all pages).", valueName: "size"),
    transform: SizeArgument.parse)
  var swapSize: Int?

  @Option(help: ArgumentHelp("Chooses files and orders (default: another each time).", valueName: "number"))
  var seed: UInt64?

  @Option(
    name: .customLong("suspend-to"),
    help: ArgumentHelp(
      "Suspend the store to this new file instead of taking everything back.",
      discussion: "The chain's swap file is this file. A cipher needs a key that outlives the process: see Keys.",
      valueName: "file"))
  var suspendTo: String?

  @Option(
    name: .customLong("resume-from"),
    help: ArgumentHelp(
      "Go on with what --suspend-to left in this file, take every page and compare it with what was put.",
      discussion: """
        The chain is the one that the session names, unless a configuration names tiers. The file stays as it is, and can \
        be resumed again.
        """, valueName: "file"))
  var resumeFrom: String?

  @Flag(help: "What is suspended may be resumed only once.") var once = false

  @Flag(help: "Resume it also if it was kept by another version of Stowage, or if it is used up.") var force = false

  @Flag(help: "Write the report as JSON, and nothing else.") var json = false

  @OptionGroup(title: "Keys") var keys: KeyOptions

  @OptionGroup(title: "Chain") var chain: ChainOptions

  func validate() throws {
    guard pages >= 1, pages <= 1 << 28 else {
      throw ValidationError("--pages is \(pages); expected 1 to \(1 << 28)")
    }
    if let cachePages, cachePages < 0 || cachePages > 1 << 28 {
      throw ValidationError("--cache-pages is \(cachePages); expected 0 to \(1 << 28)")
    }
    if let bad = pid.first(where: { $0 < 1 }) { throw ValidationError("--pid \(bad): process numbers begin with 1") }
    try validateSession()
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
    if let resumeFrom { return try resume(from: resumeFrom) }
    if let suspendTo { return try suspend(to: suspendTo) }
    let key = try keys.read(isNew: true)
    let settings = try chain.config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    try checkSwapOptions(settings)
    let progress = TrialProgress()
    let display = TrialDisplay(displayStyle(), to: displayTarget, progress: progress)
    display.start()
    defer { display.stop() }
    let plan = try TrialPlan(input(settings))
    let swap = settings.tiers == nil ? try swapPlace(plan) : nil
    var resolved = try chain.resolve(
      defaultMemory: max(Self.leastMemory, plan.inputBytes / 4), defaults: swap.map(swapOptions) ?? [:]
    ) {
      if let memory { $0.memory = memory }
    }
    try key?.apply(to: &resolved.chain)
    let trial = Trial(
      plan: plan, settings: TrialSettings(configuration: resolved.configuration, chain: resolved.chain),
      progress: progress)
    let report = try trial.run { swap?.hide() }
    display.stop()
    let notes = resolved.notes + (swap.map { [$0.note] } ?? []).filter { !$0.isEmpty }
    try show(report, notes, hints: report.hints(.init(plan: plan, namesConfiguration: chain.config != nil)))
    return report.isSuccess
  }

  func input(_ settings: ChainSettings) -> TrialInput {
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

  var displayTarget: Int32 { json ? Terminal.errors : Terminal.output }

  func displayStyle() -> TrialDisplay.Style { .fit(for: displayTarget, isPlainWanted: !json) }

  private func show(_ report: TrialReport, _ notes: [String], hints: [String]) throws {
    if json {
      print(try report.json())
      for note in notes { Terminal.complain("note: \(note)") }
      return
    }
    print(report.text())
    printNotes(notes + report.notes)
    let width = Terminal.width()
    print("\nTo be tried next:")
    for hint in hints {
      print(TextLines.labelled("-", hint, labelWidth: 1, indent: 2, width: width).joined(separator: "\n"))
    }
  }
}
