// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier

/// The table of options in the descriptor.
enum DescriptorOptionChecks {
  static let all = [table, keys, types, help, ranges, choices]

  static let table = Check(
    "descriptor-options", .descriptor, needs: DescriptorChecks.base, timeLimit: .seconds(10),
    proves: "The table of options is there, and is as long as it says.",
    advice: "Set options, option_count (at most 256) and option_size (sizeof(stowage_option)) together."
  ) { run in
    let tier = try run.load().descriptor
    let (count, size) = (tier[\.option_count], tier[\.option_size])
    run.summary = count == 1 ? "1 option" : "\(count) options"
    try run.expect(count <= 256, "option_count is \(count), at most 256 is allowed")
    guard count > 0 else { return }
    try run.expect(!tier.isNull(\.options), "options is null, but option_count is \(count)")
    let least = MemoryLayout<stowage_option>.size
    try run.expect(
      (UInt32(least)...65536).contains(size) && size % 8 == 0,
      "option_size is \(size), expected \(least), or more and a multiple of 8")
  }

  private static func options(_ run: CheckRun) throws -> [RawTable<stowage_option>] {
    let options = try run.load().rawOptions
    guard !options.isEmpty else { throw run.notApplicable("it has no options") }
    return options
  }

  /// For messages; the key may be anything.
  private static func name(_ option: RawTable<stowage_option>) -> String {
    "option \(RawText.shown(option.text(\.key, limit: 64)))"
  }

  static let keys = Check(
    "descriptor-option-keys", .descriptor, needs: ["descriptor-options"], timeLimit: .seconds(10),
    proves: "Every option has a key of its own, of lower-case letters, digits and '-'.",
    advice: "Give each option a key of at most 32 lower-case letters, digits and '-', and each key once."
  ) { run in
    var seen: Set<[UInt8]> = []
    for (index, option) in try options(run).enumerated() {
      let key = option.text(\.key)
      try run.expect(
        key.map(RawText.isName) == true,
        "the key of option \(index) is \(RawText.shown(key)), expected at most 32 lower-case letters, digits and '-'")
      try run.expect(seen.insert(key ?? []).inserted, "\(name(option)) stands twice in the table")
    }
  }

  static let types = Check(
    "descriptor-option-types", .descriptor, needs: ["descriptor-option-keys"], timeLimit: .seconds(10),
    proves: "Every option has one of the types, and only flags that there are.",
    advice: "Set type to one of STOWAGE_OPTION_FLAG to STOWAGE_OPTION_CHOICE, and flags to REQUIRED and SECRET or 0."
  ) { run in
    for option in try options(run) {
      let (type, flags) = (option[\.type], option[\.flags])
      try run.expect(
        (STOWAGE_OPTION_FLAG...STOWAGE_OPTION_CHOICE).contains(type),
        "\(name(option)) has type \(type), expected 1 to 6")
      let unknown = flags & ~(STOWAGE_OPTION_REQUIRED | STOWAGE_OPTION_SECRET)
      try run.expect(unknown == 0, "\(name(option)) has flags 0x\(String(unknown, radix: 16)), which nobody knows")
    }
  }

  static let help = Check(
    "descriptor-option-help", .descriptor, needs: ["descriptor-option-keys"], timeLimit: .seconds(10),
    proves: "Every option is explained in one line.",
    advice: "Give each option a line of help, with the unit of its value."
  ) { run in
    for option in try options(run) {
      let help = option.text(\.help)
      try run.expect(help?.isEmpty == false, "the help of \(name(option)) is \(help == nil ? "null" : "empty")")
      let objection = RawText.objection(help ?? [])
      try run.expect(objection == nil, "the help of \(name(option)) \(objection ?? "")")
    }
  }

  static let ranges = Check(
    "descriptor-option-ranges", .descriptor, needs: ["descriptor-option-types"], timeLimit: .seconds(10),
    proves: "Bounds are in order, and defaults are between them.",
    advice: "Set number_min, number_max and a number_default from the one to the other; that of a flag is 0 or 1."
  ) { run in
    var count = 0
    for option in try options(run) where option[\.type] <= STOWAGE_OPTION_BYTES {
      var (low, high): (Int64, Int64) = (0, 1)
      if option[\.type] != STOWAGE_OPTION_FLAG { (low, high) = (option[\.number_min], option[\.number_max]) }
      try run.expect(low <= high, "\(name(option)) goes from \(low) to \(high)")
      try run.expect(
        option[\.type] != STOWAGE_OPTION_BYTES || low >= 0, "\(name(option)) is a size and may be \(low)")
      count += 1
      guard option[\.flags] & STOWAGE_OPTION_REQUIRED == 0 else { continue }
      let fallback = option[\.number_default]
      try run.expect(
        (low...high).contains(fallback), "the default of \(name(option)) is \(fallback), outside of \(low) to \(high)")
    }
    if count == 0 { throw run.notApplicable("it has no options that are numbers") }
  }

  static let choices = Check(
    "descriptor-option-choices", .descriptor, needs: ["descriptor-option-types"], timeLimit: .seconds(10),
    proves: "Choices are listed, each once, and defaults are texts, of a choice one of the list.",
    advice:
      "End the list of choices with a null pointer, and let text_default be one of it; other types have no choices."
  ) { run in
    var count = 0
    for option in try options(run) where option[\.type] > STOWAGE_OPTION_BYTES {
      count += 1
      let fallback = option.text(\.text_default)
      let objection = fallback.flatMap { RawText.objection($0) }
      try run.expect(objection == nil, "the default of \(name(option)) \(objection ?? "")")
      let list = option.pointer(\.choices)
      guard option[\.type] == STOWAGE_OPTION_CHOICE else {
        try run.expect(list == nil, "\(name(option)) has choices, but is none")
        continue
      }
      try check(run, option, list, fallback)
    }
    if count == 0 { throw run.notApplicable("it has no options that are texts") }
  }

  private static func check(
    _ run: CheckRun, _ option: RawTable<stowage_option>, _ list: UnsafeRawPointer?, _ fallback: [UInt8]?
  ) throws {
    guard let list else { throw run.fail("\(name(option)) is a choice without choices") }
    var choices: [[UInt8]] = []
    while choices.count < 64,
      let choice = RawText.bytes(
        UnsafeRawPointer(bitPattern: list.load(fromByteOffset: choices.count * 8, as: UInt.self)))
    {
      let objection = choice.isEmpty ? "is empty" : RawText.objection(choice)
      try run.expect(objection == nil, "a choice of \(name(option)) \(objection ?? "")")
      try run.expect(!choices.contains(choice), "\(name(option)) has the choice \(RawText.shown(choice)) twice")
      choices.append(choice)
    }
    try run.expect(
      (1..<64).contains(choices.count),
      "\(name(option)) has \(choices.isEmpty ? "no choices" : "64 choices or more, or no end of them")")
    guard let fallback else { return }
    try run.expect(
      choices.contains(fallback),
      "the default of \(name(option)) is \(RawText.shown(fallback)), which is none of its choices")
  }
}
