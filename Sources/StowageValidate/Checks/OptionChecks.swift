// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine
internal import Synchronization

/// What the tier can be told.
enum OptionChecks {
  static let all = [documented, outOfRange, unknownChoice, longText, notUTF8, missingText, borrowed, secret, fuzz]

  static let documented = Check(
    "options-documented", .options, needs: ["life-again"],
    proves: "Every option takes its default, its bounds and each of its choices, and the instance works with them.",
    advice: "Accept in open what the table of options allows, or narrow the table."
  ) { run in
    try each(run, { OptionValues.documented($0, run) }) { code, option, value in
      // What the machine lacks is no fault: room, memory, a service of the system, a file that is to be there.
      var allowed = [STOWAGE_OK, STOWAGE_RETRY, STOWAGE_FULL, STOWAGE_UNSUPPORTED, STOWAGE_GONE]
      // Nor that it excludes what the user gave, if it is taken without.
      if code == STOWAGE_INVALID, try opensAlone(run, option, value) { allowed.append(code) }
      let isAllowed = allowed.contains(code)
      try run.expect(
        isAllowed, "open with \(shown(option, value)) answered \(OpenTier.said(code)), though the table allows it")
    }
  }

  static let outOfRange = Check(
    "options-out-of-range", .options, needs: ["life-again"],
    proves: "Numbers out of their bounds get an error, or an instance that works.",
    advice: "Compare numbers with their bounds in open too, and answer STOWAGE_INVALID: hosts have bugs."
  ) { run in
    try each(run, { [.flag, .number, .bytes].contains($0.kind) ? OptionValues.wrong($0, run) : [] }) {
      code, option, value in
      try expectError(run, code, option, value)
    }
  }

  static let unknownChoice = Check(
    "options-unknown-choice", .options, needs: ["life-again"],
    proves: "Words that are none of the choices get an error, or an instance that works.",
    advice: "Answer STOWAGE_INVALID to a choice that is not in the list."
  ) { run in
    try each(run, { $0.kind == .choice ? OptionValues.wrong($0, run) : [] }) { code, option, value in
      try expectError(run, code, option, value)
    }
  }

  static let longText = Check(
    "options-long-text", .options, needs: ["options-unknown-choice"],
    proves: "Texts of 64 KiB get an error, or an instance that works.",
    advice: "Use text_length, never a buffer of fixed size; messages may be long, as the host cuts them."
  ) { run in
    let lengths = [255, 511, 512, 513, 1024, 4096, 65536]
    try each(run, { option in
      isText(option) ? lengths.map { .init(text: lead(option, run) + [UInt8](repeating: 97, count: $0)) } : []
    }) { code, option, value in try expectError(run, code, option, value) }
  }

  static let notUTF8 = Check(
    "options-not-utf8", .options, needs: ["options-unknown-choice"],
    proves: "Texts that are not UTF-8 get an error, or an instance that works.",
    advice: "Take texts as bytes, or check them; a file name can be any bytes."
  ) { run in
    let texts: [[UInt8]] = [[0xFF, 0xFE], [0xC3], [0xED, 0xA0, 0x80], [0x61, 0x80, 0x62], [0xF5, 0x80, 0x80, 0x80]]
    try each(run, { option in isText(option) ? texts.map { .init(text: lead(option, run) + $0) } : [] }) {
      code, option, value in
      try expectError(run, code, option, value)
    }
  }

  static let missingText = Check(
    "options-missing-text", .options, needs: ["life-again"],
    proves: "A text that is null gets an error, or an instance that works, also where it is required.",
    advice: "text may be null: compare it before use, and answer STOWAGE_INVALID when the tier cannot do without."
  ) { run in
    try each(run, { isText($0) ? [.init(isGiven: false), .init(number: 42, isGiven: true)] : [] }) {
      code, option, value in
      try expectError(run, code, option, value)
    }
  }

  static let borrowed = Check(
    "options-borrowed", .options, needs: LifeChecks.works,
    proves: "Nothing that open is given is read after it has returned.",
    advice: "Copy the texts, the name and the values that are needed later: they are valid during open only."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let plain = RawArguments(try OpenArguments(run, table), table)
    var raw = plain
    for (index, option) in table.options.enumerated() where option.kind == .text && raw.values[index].text == nil {
      raw.values[index] = .init(text: Array("given".utf8))
    }
    var (code, instance) = raw.open(tier, in: .borrowed)
    // What the user gave may exclude a text.
    if code == STOWAGE_INVALID, !run.order.options.isEmpty { (code, instance) = plain.open(tier, in: .borrowed) }
    try run.expect(code == STOWAGE_OK && instance != nil, "open answered \(OpenTier.said(code))")
    try use(tier, table, raw, code, instance, "after its arguments were gone")
  }

  static let secret = Check(
    "options-secret", .options, needs: ["host-messages"],
    proves: "A secret is in no message and in no line of the log.",
    advice: "Say what is wrong with a secret without showing it, not even in part."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let secrets = table.options.indices.filter { table.options[$0].isSecret && isText(table.options[$0]) }
    guard !secrets.isEmpty else { throw run.notApplicable("it has no options that are secret texts") }
    let word = Array("s3cr3t-\(run.random.next() % 1_000_000)".utf8)
    CheckHost.books.withLock { $0.keepsTexts = true }
    var base = RawArguments(try OpenArguments(run, table), table)
    for index in secrets { base.values[index] = .init(text: word) }
    try attempt(run, tier, table, base, "opened with a secret")
    for allowance in 0..<4 {
      CheckHost.books.withLock { $0.allowance = allowance }
      let (code, instance) = base.open(tier)
      CheckHost.books.withLock { $0.allowance = nil }
      if code == STOWAGE_OK, let instance { OpenTier(tier, table, base.arguments, instance: instance).close() }
    }
    for (index, option) in table.options.enumerated() where !secrets.contains(index) {
      guard let value = OptionValues.plainlyWrong(option, run) else { continue }
      var raw = base
      raw.values[index] = value
      try attempt(run, tier, table, raw, "opened with \(shown(option, value))")
    }
    let texts = CheckHost.books.withLock { $0.texts }
    run.summary = "\(texts.count) messages"
    try run.expect(
      !texts.contains { String(decoding: $0, as: UTF8.self).contains(String(decoding: word, as: UTF8.self)) },
      "the text of a secret option is in a message")
  }

  static let fuzz = Check(
    "options-fuzz", .options,
    needs: [
      "options-documented", "options-out-of-range", "options-long-text", "options-not-utf8", "options-missing-text",
    ],
    timeLimit: .seconds(20),
    proves: "Any values at once, right and wrong, get an error, or an instance that works.",
    advice:
      "Check every option in open on its own, and combinations that cannot be; repeat with the seed that is shown."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    guard !table.options.isEmpty else { throw run.notApplicable("it has no options") }
    var opened = 0
    let rounds = max(120, run.times(300))
    for round in 0..<rounds where !run.isLate || round < 10 {
      var raw = RawArguments(try OpenArguments(run, table), table)
      for (index, option) in table.options.enumerated() where run.random.below(4) > 0 {
        raw.values[index] = any(of: option, run, suffix: round)
      }
      if try attempt(run, tier, table, raw, "opened with \(described(raw, table))") { opened += 1 }
    }
    run.summary = "\(opened) of \(rounds) opened"
  }

  // MARK: Values

  private static func isText(_ option: TierOption) -> Bool { [.text, .path, .choice].contains(option.kind) }

  /// What a text begins with: paths lead into the check's folder.
  private static func lead(_ option: TierOption, _ run: CheckRun) -> [UInt8] {
    option.kind == .path ? Array("\(run.order.folder)/".utf8) : []
  }

  /// Mostly what is allowed. Sizes stay small: room that is reserved again and again would only take time.
  private static func any(of option: TierOption, _ run: CheckRun, suffix: Int) -> RawArguments.Value {
    let isWrong = run.random.below(6) == 0
    if isWrong {
      let values = OptionValues.wrong(option, run)
      if !values.isEmpty { return values[run.random.below(values.count)] }
    }
    switch option.kind {
    case .bytes:
      let low = option.numberRange.lowerBound
      let high = min(option.numberRange.upperBound, max(low, 16 << 20))
      return .init(number: run.random.below(2) == 0 ? low : low + Int64(run.random.next() % UInt64(high - low + 1)))
    case .path: return .init(text: Array("\(run.order.folder)/\(option.key)-\(suffix % 4)".utf8))
    case .text where run.random.below(3) == 0:
      return .init(text: (0..<run.random.below(300)).map { _ in UInt8(1 + run.random.below(255)) })
    default:
      let values = OptionValues.documented(option, run)
      return values.isEmpty ? .init(isGiven: false) : values[run.random.below(values.count)]
    }
  }

  // MARK: Attempts

  /// Opens with each value of each option in turn, the others at their defaults; what opens must work.
  private static func each(
    _ run: CheckRun, _ values: (TierOption) -> [RawArguments.Value],
    _ judge: (Int32, TierOption, RawArguments.Value) throws -> Void
  ) throws {
    let tier = try run.load()
    let table = try tier.table()
    var count = 0
    for (index, option) in table.options.enumerated() {
      for value in values(option) {
        var raw = RawArguments(try OpenArguments(run, table), table)
        raw.values[index] = value
        let (code, instance) = raw.open(tier)
        try judge(code, option, value)
        try use(tier, table, raw, code, instance, "opened with \(shown(option, value))")
        count += 1
      }
    }
    guard count > 0 else { throw run.notApplicable("it has no options of this kind") }
    run.summary = "\(count) values"
  }

  /// Whether the value is taken without the other options that the user gave.
  private static func opensAlone(_ run: CheckRun, _ option: TierOption, _ value: RawArguments.Value) throws -> Bool {
    let tier = try run.load()
    let table = try tier.table()
    var arguments = try OpenArguments(run, table)
    let others = table.options.filter { !$0.isRequired && $0.key != option.key && run.order.options[$0.key] != nil }
    guard !others.isEmpty, let index = table.options.firstIndex(where: { $0.key == option.key }) else { return false }
    for other in others { arguments.values[other.key] = nil }
    var raw = RawArguments(arguments, table)
    raw.values[index] = value
    let (code, instance) = raw.open(tier)
    try use(tier, table, raw, code, instance, "opened with \(shown(option, value))")
    return code == STOWAGE_OK || code == STOWAGE_GONE
  }

  private static func expectError(_ run: CheckRun, _ code: Int32, _ option: TierOption, _ value: RawArguments.Value)
    throws
  {
    try run.expect(
      code == STOWAGE_OK || TierCodes.isError(code),
      "open with \(shown(option, value)) answered \(code), which is no error of the interface")
  }

  @discardableResult private static func attempt(
    _ run: CheckRun, _ tier: LoadedTier, _ table: TierTable, _ raw: RawArguments, _ when: String
  ) throws -> Bool {
    let (code, instance) = raw.open(tier)
    try run.expect(
      code == STOWAGE_OK || TierCodes.isError(code), "\(when), it answered \(code), which is no error of the interface")
    try use(tier, table, raw, code, instance, when)
    return code == STOWAGE_OK
  }

  /// An instance that opened must work and close.
  private static func use(
    _ tier: LoadedTier, _ table: TierTable, _ raw: RawArguments, _ code: Int32, _ instance: OpaquePointer?,
    _ when: String
  ) throws {
    guard code == STOWAGE_OK else { return }
    guard let instance else { throw tier.run.fail("\(when), open answered OK and gave no instance") }
    let opened = OpenTier(tier, table, raw.arguments, instance: instance)
    try opened.work(when, mayBeReadOnly: true)
    opened.close()
  }

  // MARK: Words

  /// "level = 9"; the values of secrets and long ones are not shown.
  private static func shown(_ option: TierOption, _ value: RawArguments.Value) -> String {
    guard isText(option) else { return "\(option.key) = \(value.number)" }
    guard let text = value.text else { return "\(option.key) = null" }
    if option.isSecret { return "\(option.key) of \(text.count) bytes" }
    let isShort = text.count <= 40 && RawText.objection(text) == nil
    return isShort ? "\(option.key) = \(RawText.shown(text))" : "\(option.key) of \(text.count) bytes"
  }

  private static func described(_ raw: RawArguments, _ table: TierTable) -> String {
    zip(table.options, raw.values).filter(\.1.isGiven).map { shown($0.0, $0.1) }.joined(separator: ", ")
  }
}
