// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// What is wrong with an option of a tier. `description` names tier, key, value, and what is expected; the
/// value of a secret is never in it.
public struct OptionError: Error, Sendable, Hashable, CustomStringConvertible {
  public var tier: String
  public var key: String
  public var reason: String

  public init(tier: String, key: String, reason: String) {
    self.tier = tier
    self.key = key
    self.reason = reason
  }

  public var description: String { "tier '\(tier)', option '\(key)': \(reason)" }
}

/// Checks options by a tier's table.
public struct OptionCheck: Sendable {
  /// The name of the tier in the chain, for messages.
  public let tier: String
  public let options: [TierOption]
  /// The folder to which relative paths refer, absolute; those of a `word` refer to the working folder.
  public let baseFolder: String

  public init(tier: String, options: [TierOption], baseFolder: String) {
    self.tier = tier
    self.options = options
    self.baseFolder = baseFolder
  }

  /// Every value checked; options that are not given are left to their defaults.
  /// - Throws: the first error by key; a missing required option comes last.
  public func check(_ inputs: [String: OptionInput]) throws(OptionError) -> [String: TierOptionValue] {
    var values: [String: TierOptionValue] = [:]
    for (key, input) in inputs.sorted(by: { $0.key < $1.key }) {
      values[key] = try value(of: key, input)
    }
    if let missing = missing(inputs).first {
      throw OptionError(
        tier: tier, key: missing.key, reason: "is required and not given: \(missing.help); \(Self.expected(missing))")
    }
    return values
  }

  /// The required options that the inputs lack.
  public func missing(_ inputs: [String: OptionInput]) -> [TierOption] {
    options.filter { $0.isRequired && inputs[$0.key] == nil }
  }

  /// One value.
  public func value(of key: String, _ input: OptionInput) throws(OptionError) -> TierOptionValue {
    guard let option = options.first(where: { $0.key == key }) else { throw unknown(key) }
    switch option.kind {
    case .flag: return .number(try flag(option, input) ? 1 : 0)
    case .number: return .number(try ranged(option, input) { Int64($0) })
    case .bytes: return .number(try ranged(option, input, text: SizeText.parse))
    case .text: return .text(try text(option, input))
    case .path: return .text(try path(option, input))
    case .choice: return .text(try choice(option, input))
    }
  }

  private func unknown(_ key: String) -> OptionError {
    let keys = options.map(\.key)
    let near = NearNames.question(NearNames.of(key, in: keys))
    let known = keys.isEmpty ? "it has no options" : "it has \(keys.joined(separator: ", "))"
    return OptionError(tier: tier, key: key, reason: "there is no such option" + (near.isEmpty ? "; \(known)" : near))
  }

  private func flag(_ option: TierOption, _ input: OptionInput) throws(OptionError) -> Bool {
    switch input {
    case .flag(let value): return value
    case .word("true"), .word("1"): return true
    case .word("false"), .word("0"): return false
    default: throw wrong(option, input)
    }
  }

  private func ranged(
    _ option: TierOption, _ input: OptionInput, text parse: (String) -> Int64?
  ) throws(OptionError) -> Int64 {
    let number: Int64? =
      switch input {
      case .number(let value): value
      case .word(let text): Int64(text) ?? parse(text)
      case .text(let text) where option.kind == .bytes: parse(text)
      default: nil
      }
    guard let number else { throw wrong(option, input) }
    guard option.numberRange.contains(number) else { throw wrong(option, input) }
    return number
  }

  private func text(_ option: TierOption, _ input: OptionInput) throws(OptionError) -> String {
    switch input {
    case .text(let value), .word(let value):
      guard !value.utf8.contains(0) else {
        throw OptionError(tier: tier, key: option.key, reason: "the text holds a NUL character")
      }
      return value
    default: throw wrong(option, input)
    }
  }

  private func path(_ option: TierOption, _ input: OptionInput) throws(OptionError) -> String {
    let value = try text(option, input)
    guard !value.isEmpty else { throw wrong(option, input) }
    if case .word = input { return FilePaths.absolute(value) }
    return FilePaths.absolute(value, from: baseFolder)
  }

  private func choice(_ option: TierOption, _ input: OptionInput) throws(OptionError) -> String {
    let value = try text(option, input)
    guard option.choices.contains(value) else {
      var error = wrong(option, input)
      if !option.isSecret { error.reason += NearNames.question(NearNames.of(value, in: option.choices)) }
      throw error
    }
    return value
  }

  private func wrong(_ option: TierOption, _ input: OptionInput) -> OptionError {
    let given = option.isSecret ? "the value given (not shown)" : Self.shown(input)
    return OptionError(tier: tier, key: option.key, reason: "\(given) will not do; \(Self.expected(option))")
  }

  private static func shown(_ input: OptionInput) -> String {
    switch input {
    case .word(let text): "'\(DisplayText.plain(text))'"
    case .text(let text): "the text \"\(DisplayText.plain(text))\""
    case .number(let number): "the number \(number)"
    case .flag(let flag): "the flag \(flag)"
    case .other(let type): type
    }
  }

  /// "expected a whole number from 1 to 22".
  static func expected(_ option: TierOption) -> String { "expected \(OptionText.domain(option))" }
}

/// Options in words.
public enum OptionText {
  /// Which values it takes.
  public static func domain(_ option: TierOption) -> String {
    let (low, high) = (option.numberRange.lowerBound, option.numberRange.upperBound)
    switch option.kind {
    case .flag: return "true or false"
    case .number: return "a whole number from \(low) to \(high)"
    case .bytes: return "a size from \(SizeText.format(low)) to \(SizeText.format(high))"
    case .text: return "text"
    case .path: return "a file name"
    case .choice: return "one of \(option.choices.joined(separator: ", "))"
    }
  }

  /// Its default; nil when it has none, or must be given.
  public static func fallback(_ option: TierOption) -> String? {
    guard !option.isRequired else { return nil }
    switch option.kind {
    case .flag: return option.numberDefault == 0 ? "false" : "true"
    case .number: return String(option.numberDefault)
    case .bytes: return SizeText.format(option.numberDefault)
    case .text, .path, .choice: return option.isSecret ? nil : option.textDefault
    }
  }
}
