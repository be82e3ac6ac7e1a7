// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

/// A trial in two processes.
extension TrialCommand {
  func validateSession() throws {
    guard suspendTo == nil || resumeFrom == nil else {
      throw ValidationError(
        "--suspend-to and --resume-from are for two processes, one after the other; give one of them")
    }
    if suspendTo != nil, swapFile != nil {
      throw ValidationError("--suspend-to names the swap file already; leave --swap-file out")
    }
    if resumeFrom != nil, !pid.isEmpty || !file.isEmpty || cachePages != nil || swapFile != nil || swapSize != nil {
      throw ValidationError(
        "--resume-from takes the pages that were suspended: leave --pid, --file, --cache-pages, --swap-file and "
          + "--swap-size out")
    }
    if once, suspendTo == nil { throw ValidationError("--once is said when suspending, with --suspend-to") }
    if force, resumeFrom == nil { throw ValidationError("--force is for --resume-from") }
  }

  // MARK: Suspending

  /// Whether all went well.
  func suspend(to name: String) throws -> Bool {
    let path = FilePaths.absolute(name)
    try SwapPlace.checkSession(path)
    let key = try keys.read(isNew: true)
    let settings = try chain.config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    let progress = TrialProgress()
    let display = TrialDisplay(displayStyle(), to: displayTarget, progress: progress)
    display.start()
    defer { display.stop() }
    let plan = try TrialPlan(input(settings))
    let place = try SwapPlace.session(
      path,
      bytes: swapSize
        ?? SwapPlace.bytesNeeded(pages: plan.persistentTarget + plan.discardableCount, pageSize: plan.input.pageSize))
    let run = UInt64.random(in: 1 ... .max)
    let resolved = try suspendingChain(plan, place, key, run: run)
    let shown = ShownWork(displayStyle(), to: displayTarget)
    let trial = Trial(
      plan: plan, settings: TrialSettings(configuration: resolved.configuration, chain: resolved.chain),
      progress: progress)
    defer { shown.stop() }
    let report: SuspendReport
    do {
      report = try trial.suspend(run: run) { sample in
        display.stop()
        shown.start("suspend", sample)
      } stopped: { isKept, cause in
        shown.stop()
        if !isKept { place.remove() }
        Self.exitStopped(by: cause, name, isKept: isKept)
      }
    } catch StoreError.unsupported(let reason) {
      throw TrialError.input(Self.withKeyHint(reason, isKeyGiven: key != nil, resolved.chain))
    }
    shown.stop()
    display.stop()
    place.keep()
    try show(report, file: name, notes: resolved.notes, hasKey: !SessionKey.takers(resolved.chain).isEmpty)
    return report.isSuccess
  }

  /// The chain with a new session in the swap file at its end.
  private func suspendingChain(
    _ plan: TrialPlan, _ place: SwapPlace, _ key: SessionKey?, run: UInt64
  ) throws -> ResolvedChain {
    let file: [String: OptionInput] = ["path": .text(place.path), "size": .number(Int64(place.bytes))]
    var resolved = try chain.resolve(
      defaultMemory: max(Self.leastMemory, plan.inputBytes / 4), defaults: [SessionFile.plugin: file]
    ) {
      if let memory { $0.memory = memory }
      SessionChain.place(file, in: &$0)
    }
    try key?.apply(to: &resolved.chain)
    resolved.configuration.session = SessionConfiguration(
      name: ResumedTrial.sessionName,
      attributes: [
        ResumedTrial.versionKey: HostTable.version, ResumedTrial.runKey: String(run, radix: 16),
        ResumedTrial.seedKey: String(plan.input.seed),
        ResumedTrial.memoryKey: String(resolved.configuration.memoryLimit),
      ], isOnce: once)
    return resolved
  }

  /// The process was asked to stop in the middle of the suspend.
  private static func exitStopped(by cause: TrialError, _ name: String, isKept: Bool) -> Never {
    guard case .interrupted(let signal) = cause else { _exit(1) }
    Terminal.complain(
      "stopped by signal \(signal) while suspending; "
        + (isKept
          ? "a checkpoint with all pages was completed before: \(DisplayText.plain(name)) can be resumed"
          : "no checkpoint was completed before, and nothing is left behind"))
    _exit(128 + signal)
  }

  /// What a tier says of why it cannot be suspended, and what to do.
  private static func withKeyHint(_ reason: String, isKeyGiven: Bool, _ chain: [ChainTier]) -> String {
    let takers = SessionKey.takers(chain)
    guard !isKeyGiven, !takers.isEmpty else { return reason }
    let names = takers.map { "'\($0)'" }.joined(separator: ", ")
    return "\(reason); here: --key-file FILE or --passphrase, or a --config without \(names)"
  }

  private func show(_ report: SuspendReport, file: String, notes: [String], hasKey: Bool) throws {
    if json {
      print(try report.json())
      for note in notes { Terminal.complain("note: \(note)") }
      return
    }
    let file = DisplayText.plain(file)
    print(report.text(file: file))
    printNotes(notes + report.notes)
    let key = hasKey ? keys.hint : ""
    print("\nIn another process:")
    for (command, what) in [
      ("stowage trial --resume-from \(file)\(key)", "takes every page and compares it"),
      ("stowage session info \(file)", "what the file says of itself"),
      ("stowage session verify \(file)\(key)", "reads every page, changes nothing"),
      ("stowage session erase \(file)", "ends it"),
    ] { print("  \(command)   # \(what)") }
  }

  // MARK: Resuming

  /// Whether every page came back the same.
  func resume(from name: String) throws -> Bool {
    let session = try SessionFile(name)
    let description = try session.describe(chain.plugins.finder)
    let attributes = description.attributes
    let run = try Self.runNumber(of: description, name)
    let key = try keys.read(isNew: false)
    let recorded = attributes[ResumedTrial.memoryKey].flatMap { Int($0) }
    var resolved = try chain.resolve(defaultMemory: recorded ?? SessionOpening.memory(for: description)) {
      if let memory { $0.memory = memory }
      SessionChain.adopt(description, session, for: .existing, in: &$0)
    }
    try key?.apply(to: &resolved.chain)
    resolved.configuration.session = SessionConfiguration(
      name: description.name, attributes: attributes.merging([ResumedTrial.versionKey: HostTable.version]) { $1 },
      isOnce: description.isOnce, start: .resume(force: force))
    let shown = ShownWork(displayStyle(), to: displayTarget)
    defer { shown.stop() }
    let trial = ResumedTrial(
      settings: TrialSettings(configuration: resolved.configuration, chain: resolved.chain), run: run,
      seed: seed ?? attributes[ResumedTrial.seedKey].flatMap { UInt64($0) } ?? 0)
    let report: ResumeReport
    do {
      report = try trial.run { shown.start("check", $0) }
    } catch TrialError.interrupted(let signal) {
      shown.stop()
      Terminal.complain("stopped by signal \(signal): not every page was compared; the session is as it was")
      throw ExitCode(128 + signal)
    } catch let error as StoreError {
      throw SessionOpening.explained(error, key: key, resolved.chain, force: "--force")
    }
    shown.stop()
    if json {
      print(try report.json())
      for note in resolved.notes { Terminal.complain("note: \(note)") }
    } else {
      print(report.text(file: DisplayText.plain(name)))
      printNotes(resolved.notes + report.warnings)
    }
    return report.isSuccess
  }

  /// The number of the trial that suspended.
  private static func runNumber(of description: SessionDescription, _ name: String) throws(TrialError) -> UInt64 {
    guard description.name == ResumedTrial.sessionName,
      let run = description.attributes[ResumedTrial.runKey].flatMap({ UInt64($0, radix: 16) })
    else {
      throw .input(
        "\(DisplayText.plain(name)) holds the session '\(DisplayText.plain(description.name))', which is none of "
          + "'stowage trial --suspend-to'; 'stowage session verify' checks any")
    }
    return run
  }

  func printNotes(_ notes: [String]) {
    for note in notes {
      let lines = TextLines.labelled("note:", note, labelWidth: 5, indent: 0, width: Terminal.width())
      print(lines.joined(separator: "\n"))
    }
  }
}
