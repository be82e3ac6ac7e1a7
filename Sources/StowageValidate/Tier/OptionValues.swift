// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Values to try an option with.
enum OptionValues {
  typealias Value = RawArguments.Value

  /// Those that the table allows: default, bounds, each choice.
  static func documented(_ option: TierOption, _ run: CheckRun) -> [Value] {
    switch option.kind {
    case .flag: return [Value(number: 0), Value(number: 1)]
    case .number, .bytes:
      let numbers = [option.numberDefault, option.numberRange.lowerBound, option.numberRange.upperBound]
      return numbers.filter(option.numberRange.contains).map { Value(number: $0) }
    case .text: return texts([option.textDefault, "words with spaces", "größer", "x"])
    case .path: return texts([option.textDefault, "\(run.order.folder)/\(option.key) of an option"])
    case .choice: return texts(option.choices)
    }
  }

  /// Those that a host would refuse, but no more than that: numbers out of bounds, words that are no choice, paths that
  /// lead nowhere.
  static func wrong(_ option: TierOption, _ run: CheckRun) -> [Value] {
    switch option.kind {
    case .flag: return [Value(number: 2), Value(number: -1), Value(number: .max)]
    case .number, .bytes:
      let (low, high) = (option.numberRange.lowerBound, option.numberRange.upperBound)
      let below = low > .min ? [low - 1, .min] : []
      let above = high < .max ? [high + 1, .max] : []
      return (below + above).map { Value(number: $0) }
    case .text: return texts([""])
    case .path: return texts(["", "\(run.order.folder)/no/such/folder/file", run.order.folder, "/dev/null"])
    case .choice:
      return texts(["none-of-them", "", String(option.choices[0].dropLast()), option.choices[0] + "x"]).filter {
        value in !option.choices.contains { Array($0.utf8) == value.text }
      }
    }
  }

  /// One value that a host would refuse, and that a tier easily sees to be wrong; nil where there is none.
  static func plainlyWrong(_ option: TierOption, _ run: CheckRun) -> Value? {
    switch option.kind {
    case .flag, .text: return nil
    case .number, .bytes:
      let high = option.numberRange.upperBound
      return high < .max ? Value(number: high + 1) : nil
    case .path: return Value(text: Array("\(run.order.folder)/no/such/folder/\(option.key)".utf8))
    case .choice: return Value(text: Array("none-of-them".utf8))
    }
  }

  private static func texts(_ list: [String?]) -> [Value] { list.compactMap { $0 }.map { Value(text: Array($0.utf8)) } }
}
