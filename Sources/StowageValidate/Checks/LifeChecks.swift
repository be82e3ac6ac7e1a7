// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import Synchronization

/// Instances from open to close.
enum LifeChecks {
  static let all = [open, instanceName, newerArguments, again, constantDescriptor, nested, separate, failedOpen, store]

  /// What a tier must get right before any of its instances can be judged.
  private static let before =
    LoadingChecks.all.filter { $0.id != LoadingChecks.time.id && $0.id != LoadingChecks.silence.id }.map(\.id)
    + DescriptorChecks.all.map(\.id)

  /// What checks need that give an instance a page: that it gives it back.
  static let works = ["life-open", "transform-round-trip", "backing-read-write"]

  static let open = Check(
    "life-open", .life, needs: before,
    proves: "An instance opens with default options and closes again.",
    advice: "open must answer STOWAGE_OK with valid options and set *instance; say with set_error why it cannot."
  ) { run in
    let tier = try run.open()
    run.summary = "opened and closed"
    tier.close()
    try run.expect(tier.isClosed, "it is not closed")
  }

  static let instanceName = Check(
    "life-instance-name", .life, needs: LifeChecks.works,
    proves: "An instance opens under any name that a chain can give it.",
    advice: "Take instance_name for messages and as a label only; it differs from the tier's name when that is taken."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    for name in [table.name, table.name + "-2", "x", String(repeating: "a-long-name-", count: 20)] {
      var arguments = try OpenArguments(run, table)
      arguments.instanceName = name
      let opened = try OpenTier(tier, table, arguments)
      try run.expect(true, "")
      opened.close()
    }
  }

  static let newerArguments = Check(
    "life-newer-arguments", .life, needs: LifeChecks.works,
    proves: "open accepts the longer arguments of a newer host.",
    advice: "Read the fields of stowage_open that struct_size covers, and do not ask for exactly your own size."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    var raw = RawArguments(try OpenArguments(run, table), table)
    raw.structSize = MemoryLayout<stowage_open>.size + 64
    let (code, instance) = raw.open(tier)
    try run.expect(
      code == STOWAGE_OK && instance != nil,
      "open with a struct_size of \(raw.structSize) answered \(OpenTier.said(code))")
    guard let instance else { return }
    OpenTier(tier, table, raw.arguments, instance: instance).close()
  }

  static let again = Check(
    "life-again", .life, needs: LifeChecks.works,
    proves: "After close an instance opens again, many times.",
    advice: "Let close undo all that open did: counters, locks, files and memory."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let arguments = try OpenArguments(run, table)
    var count = 0
    for round in 0..<max(40, run.times(60)) where !run.isLate || round < 2 {
      let (code, instance) = arguments.open(tier, table)
      try run.expect(code == STOWAGE_OK && instance != nil, "open number \(round + 1) answered \(OpenTier.said(code))")
      guard let instance else { return }
      let opened = OpenTier(tier, table, arguments, instance: instance)
      if round % 10 == 1 { try opened.work("opened for the \(round + 1)th time") }
      opened.close()
      count += 1
    }
    run.summary = "opened and closed \(count) times"
  }

  static let constantDescriptor = Check(
    "life-constant-descriptor", .life, needs: ["life-again"],
    proves: "The descriptor is the same after open, work and close.",
    advice: "Make the descriptor and all that it points to constant: the host reads it at any time."
  ) { run in
    let tier = try run.load()
    let before = DescriptorText.lines(tier)
    let opened = try OpenTier(tier, try tier.table())
    try opened.work("opened once")
    let during = DescriptorText.lines(tier)
    opened.close()
    let after = DescriptorText.lines(tier)
    for other in [during, after] where other != before {
      let (old, new) = (before.split(separator: "\n"), other.split(separator: "\n"))
      let pair = zip(old, new).first { $0 != $1 }
      throw run.fail("it said \(pair?.0 ?? "less") before open, and \(pair?.1 ?? "more") after it")
    }
    run.summary = "\(before.split(separator: "\n").count) fields compared"
    try run.expect(true, "")
  }

  static let nested = Check(
    "life-nested", .life, needs: ["life-again", "life-instance-name"],
    proves: "Of two instances, whichever closes first, the other goes on.",
    advice: "Keep all state in the instance; what instances share must be counted, and freed with the last of them."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    for closesOlder in [true, false] {
      let older = try OpenTier(tier, table, suffix: "-1")
      let newer = try OpenTier(tier, table, try second(run, table, isOther: false))
      try older.work("with another instance opened after it")
      try newer.work("with another instance opened before it")
      let (first, last) = closesOlder ? (older, newer) : (newer, older)
      first.close()
      try last.work("after the \(closesOlder ? "older" : "newer") of two instances was closed")
      last.close()
    }
  }

  static let separate = Check(
    "life-separate", .life, needs: ["life-nested"],
    proves: "Two instances see nothing of each other's options, keys and data.",
    advice: "Keep options, keys, tables and slots in the instance, never in global variables."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let first = try OpenTier(tier, table, suffix: "-1")
    switch table.role {
    case .transform: try separateTransforms(run, first) { try OpenTier(tier, table, try second(run, table)) }
    case .backing: try separateBackings(run, first, try OpenTier(tier, table, try second(run, table)))
    }
  }

  /// What the one encoded before the other was opened must come back after it.
  private static func separateTransforms(_ run: CheckRun, _ first: OpenTier, _ open: () throws -> OpenTier) throws {
    let context = try first.context()
    let bench = TransformBench(first, context)
    guard let encoding = try bench.encode(first.page(11), id: 1) else {
      throw run.notRun("a page does not fit its room")
    }
    let second = try open()
    let otherContext = try second.context()
    let otherBench = TransformBench(second, otherContext)
    for round in 0..<run.times(20) {
      let id = UInt64(round + 2)
      guard let other = try otherBench.encode(second.page(id + 100), id: id) else {
        throw run.notRun("a page does not fit its room")
      }
      try bench.expectBack(encoding, "a page of the first instance, after a second one was opened and used,")
      try otherBench.expectBack(other, "a page of the second instance")
    }
    second.end(otherContext)
    second.close()
    first.end(context)
    first.close()
  }

  private static func separateBackings(_ run: CheckRun, _ first: OpenTier, _ second: OpenTier) throws {
    let count = min(try first.capacity(), try second.capacity(), run.times(64))
    guard count > 0 else { throw run.notRun("it has no slots") }
    let (context, other) = (try first.context(), try second.context())
    for slot in 0..<count { try first.writeSlot(context, slot, mark: UInt64(slot) * 2, "of two instances") }
    for slot in 0..<count { try second.writeSlot(other, slot, mark: UInt64(slot) * 2 + 1, "of two instances") }
    for slot in 0..<count {
      try first.expectSlot(context, slot, mark: UInt64(slot) * 2, "after the same slot of another instance was written")
      try second.expectSlot(other, slot, mark: UInt64(slot) * 2 + 1, "with the same slot of another instance in use")
    }
    for (tier, context) in [(first, context), (second, other)] {
      tier.end(context)
      tier.close()
    }
  }

  /// Arguments of an instance beside another: its own name and files.
  /// - Parameter isOther: other values too, wherever there is a choice.
  private static func second(_ run: CheckRun, _ table: TierTable, isOther: Bool = true) throws -> OpenArguments {
    var arguments = try OpenArguments(run, table, suffix: "-2")
    arguments.owner = 2
    arguments.epoch = 2
    arguments.instanceName = table.name + "-2"
    for option in table.options
    where isOther && arguments.values[option.key] == nil && run.order.options[option.key] == nil {
      let (low, high) = (option.numberRange.lowerBound, option.numberRange.upperBound)
      switch option.kind {
      case .flag: arguments.values[option.key] = .number(1 - option.numberDefault)
      case .number: arguments.values[option.key] = .number(option.numberDefault == low ? min(high, low + 1) : low)
      // A text that the user did not give may exclude what he gave.
      case .text: if run.order.options.isEmpty { arguments.values[option.key] = .text("another") }
      case .choice, .bytes, .path: break
      }
    }
    return arguments
  }

  static let failedOpen = Check(
    "life-failed-open", .life, needs: ["life-again"],
    proves: "An open that fails leaves *instance as it was.",
    advice: "Set *instance as the last thing of an open that succeeds, and never before."
  ) { run in
    let tier = try run.load()
    let table = try tier.table()
    let mark = OpaquePointer(bitPattern: 0x5EED_5EED)
    var failures = 0
    for (arguments, allowance) in try waysToFail(run, table) {
      CheckHost.books.withLock { $0.allowance = allowance }
      let (code, instance) = arguments.open(tier, untouched: mark)
      CheckHost.books.withLock { $0.allowance = nil }
      if code == STOWAGE_OK, let instance, instance != mark {
        OpenTier(tier, table, arguments.arguments, instance: instance).close()
        continue
      }
      failures += 1
      try run.expect(code != STOWAGE_OK, "open answered OK and gave no instance")
      try run.expect(instance == mark, "open answered \(OpenTier.said(code)), but changed *instance")
    }
    guard failures > 0 else { throw run.notApplicable("nothing was found that makes its open fail") }
    run.summary = "\(failures) ways to fail"
  }

  /// Values that its options do not allow, and memory refused, each with what the host's memory is allowed to give.
  private static func waysToFail(_ run: CheckRun, _ table: TierTable) throws -> [(RawArguments, Int?)] {
    let base = RawArguments(try OpenArguments(run, table), table)
    var ways: [(RawArguments, Int?)] = (0..<8).map { (base, $0) }
    for (index, option) in table.options.enumerated() {
      guard let value = OptionValues.plainlyWrong(option, run) else { continue }
      var wrong = base
      wrong.values[index] = value
      ways.append((wrong, nil))
    }
    return ways
  }

  static let store = Check(
    "life-store", .life, needs: ["life-separate"], opensStore: true,
    proves: "A store over it takes pages, and closes it only after the last call, from any thread.",
    advice: "close may come from another thread than open, after the last context was ended; tie nothing to a thread."
  ) { run in
    try StoreTrial(run).run()
  }
}
