// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import Synchronization

/// Services of the host that are absent, refuse or are used wrongly.
enum HostChecks {
  static let all = [noLog, noExtensions, bare, shortTable, noRandom] + HostMemoryChecks.all + [logLevels, messages]

  /// A whole life under a host of such settings.
  private static func live(_ run: CheckRun, _ settings: CheckHost.Settings, _ when: String) throws {
    let tier = try run.open(nil, settings)
    try tier.work(when)
    tier.close()
  }

  static let noLog = Check(
    "host-no-log", .host, needs: LifeChecks.works,
    proves: "It works under a host that has no log.",
    advice: "log is optional: compare host->log with null before each use."
  ) { run in
    try live(run, .init(hasLog: false), "under a host without log")
  }

  static let noExtensions = Check(
    "host-no-extensions", .host, needs: LifeChecks.works,
    proves: "It works under a host that has no get_extension.",
    advice: "get_extension is optional: compare host->get_extension with null before each use."
  ) { run in
    try live(run, .init(hasGetExtension: false), "under a host without get_extension")
  }

  static let bare = Check(
    "host-bare", .host, needs: ["host-no-log", "host-no-extensions"],
    proves: "It works under a host that has no optional function at all.",
    advice: "Every optional function may be null, also all of them: do without."
  ) { run in
    try live(run, .init(hasLog: false, hasGetExtension: false), "under a host without any optional function")
  }

  static let shortTable = Check(
    "host-short-table", .host, needs: LifeChecks.works,
    proves: "It works under a host whose table ends before the optional functions at its end, or had declined it.",
    advice: "Copy host->struct_size bytes of the table when the entry is called, and take what is beyond as null."
  ) { run in
    let settings = CheckHost.Settings(structSize: MemoryLayout<stowage_host>.offset(of: \stowage_host.get_extension)!)
    let tier: LoadedTier
    do { tier = try run.load(settings) } catch { throw run.notApplicable("it declines a host with a shorter table") }
    let opened = try OpenTier(tier, try tier.table())
    try opened.work("under a host with a shorter table")
    opened.close()
  }

  static let noRandom = Check(
    "host-no-random", .host, needs: LifeChecks.works,
    proves: "When the host has no random bytes, the call that asked for them fails, and leaves nothing behind.",
    advice: "Look at what random_fill answers, and pass STOWAGE_IO on: a key of zeros is none."
  ) { run in
    let tier = try run.load(.init(isRandomBroken: true))
    let table = try tier.table()
    let (code, instance) = try OpenArguments(run, table).open(tier, table)
    guard CheckHost.books.withLock({ $0.randomFailures }) > 0 else {
      throw run.notApplicable("it asks for no random bytes in open")
    }
    try run.expect(instance == nil, "open answered OK, though random_fill had failed")
    try run.expect(TierCodes.isError(code), "open answered \(code), which is no error of the interface")
    let left = CheckHost.books.withLock { $0.bytes }
    try run.expect(left == 0, "\(left) bytes of the host's memory are left after a failed open")
  }

  static let logLevels = Check(
    "host-log-levels", .host, needs: ["life-again"],
    proves: "What it logs has one of the levels.",
    advice: "Log with one of STOWAGE_LOG_ERROR to STOWAGE_LOG_DEBUG."
  ) { run in
    try Provocation(run).provoke()
    let books = CheckHost.books.withLock { $0 }
    guard books.logLines > 0 else { throw run.notApplicable("it logs nothing") }
    let wrong = books.violations.first { $0.hasPrefix("log with level") }
    run.summary = "\(books.logLines) lines"
    try run.expect(wrong == nil, wrong ?? "")
  }

  static let messages = Check(
    "host-messages", .host, needs: ["life-again"],
    proves: "What it says with set_error and log is UTF-8 without control characters.",
    advice: "Leave line ends and escapes out of messages, and replace what is not UTF-8 in texts from elsewhere."
  ) { run in
    CheckHost.books.withLock { $0.keepsTexts = true }
    try Provocation(run).provoke()
    let texts = CheckHost.books.withLock { $0.texts }
    guard !texts.isEmpty else { throw run.notApplicable("it says nothing, whatever goes wrong") }
    run.summary = "\(texts.count) messages"
    for text in texts {
      let objection = RawText.objection(text, limit: 1 << 20)
      try run.expect(objection == nil, "the message \(RawText.shown(text)) \(objection ?? "")")
    }
  }
}

/// Results of a tier's functions.
enum TierCodes {
  /// One of the errors that the interface has.
  static func isError(_ code: Int32) -> Bool { (STOWAGE_IO...STOWAGE_RETRY).contains(code) }
}

/// What makes a tier say something: a life in order, opens that cannot succeed, damaged input.
struct Provocation {
  let run: CheckRun
  let tier: LoadedTier
  let table: TierTable

  init(_ run: CheckRun) throws {
    self.run = run
    tier = try run.load()
    table = try tier.table()
  }

  func provoke() throws {
    let base = RawArguments(try OpenArguments(run, table), table)
    let opened = try OpenTier(tier, table, base.arguments)
    try opened.work("in order")
    if table.role == .transform { try damage(opened) }
    opened.close()
    for allowance in 0..<3 {
      CheckHost.books.withLock { $0.allowance = allowance }
      attempt(base)
      CheckHost.books.withLock { $0.allowance = nil }
    }
    for (index, option) in table.options.enumerated() {
      guard let value = OptionValues.plainlyWrong(option, run) else { continue }
      var arguments = base
      arguments.values[index] = value
      attempt(arguments)
    }
  }

  private func attempt(_ arguments: RawArguments) {
    let (code, instance) = arguments.open(tier)
    guard code == STOWAGE_OK, let instance else { return }
    OpenTier(tier, table, arguments.arguments, instance: instance).close()
  }

  /// Whatever it answers, it may say something.
  private func damage(_ opened: OpenTier) throws {
    let context = try opened.context()
    defer { opened.end(context) }
    let bench = TransformBench(opened, context)
    guard let encoding = try bench.encode(opened.page(5), id: 5), !encoding.bytes.isEmpty else { return }
    for place in [0, encoding.bytes.count / 2, encoding.bytes.count - 1] {
      var damaged = encoding
      damaged.bytes[place] ^= 0xFF
      _ = bench.decode(damaged)
    }
    guard !table.isLengthPreserving else { return }
    var short = encoding
    short.bytes.removeLast()
    _ = bench.decode(short)
  }
}
