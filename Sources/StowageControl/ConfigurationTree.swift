// SPDX-License-Identifier: Apache-2.0
internal import TOMLKit

/// A TOML document as plain values.
indirect enum ConfigurationTree {
  case table([String: ConfigurationTree])
  case list([ConfigurationTree])
  case text(String)
  case number(Int64)
  case flag(Bool)
  /// What the configuration has no use for; its name with an article.
  case other(String)

  /// Parses a document.
  /// - Throws: `ConfigurationError` with line and column.
  static func parse(_ text: String, locator: ConfigurationLocator, file: String) throws(ConfigurationError)
    -> [String: ConfigurationTree]
  {
    try checkCharacters(text, file: file)
    guard let bad = locator.badHeader else { return try parseChecked(text, file: file) }
    // What is wrong before it comes first.
    _ = try parseChecked(String(text.unicodeScalars.prefix(bad.offset)), file: file)
    throw ConfigurationError(
      file: file, location: bad.place, reason: "this is no valid TOML: expected the name of a table behind '['")
  }

  private static func parseChecked(_ text: String, file: String) throws(ConfigurationError)
    -> [String: ConfigurationTree]
  {
    do {
      return table(try TOMLTable(string: text))
    } catch let error as TOMLParseError {
      throw ConfigurationError(
        file: file,
        location: ConfigurationLocation(line: Int(error.source.begin.line), column: Int(error.source.begin.column)),
        reason: "this is no valid TOML: \(error.description)")
    } catch {
      throw ConfigurationError(file: file, reason: "this is no valid TOML: \(error)")
    }
  }

  /// The parser takes C strings: what follows a NUL would be lost without a word, written out or escaped.
  private static func checkCharacters(_ text: String, file: String) throws(ConfigurationError) {
    for needle in ["\0", "\\u0000", "\\U00000000"] {
      guard let place = ConfigurationLocator.first(needle, in: text) else { continue }
      throw ConfigurationError(file: file, location: place, reason: "a NUL character cannot stand in a configuration")
    }
  }

  private static func table(_ table: TOMLTable) -> [String: ConfigurationTree] {
    var result: [String: ConfigurationTree] = [:]
    for key in table.keys {
      if let value = table[key] { result[key] = node(value) }
    }
    return result
  }

  private static func node(_ value: any TOMLValueConvertible) -> ConfigurationTree {
    switch value.type {
    case .table: .table(value.table.map(table) ?? [:])
    case .array: .list(value.array.map { $0.map { node($0) } } ?? [])
    case .string: .text(value.string ?? "")
    case .int: .number(value.int.map { Int64($0) } ?? 0)
    case .bool: .flag(value.bool ?? false)
    case .double: .other("a number with a fraction")
    case .date: .other("a date")
    case .time: .other("a time of day")
    case .dateTime: .other("a date with a time")
    }
  }

  /// For "expected …, this is …".
  var kind: String {
    switch self {
    case .table: "a table"
    case .list: "a list"
    case .text(let text): "the text \"\(text)\""
    case .number(let number): "the number \(number)"
    case .flag(let flag): "\(flag)"
    case .other(let name): name
    }
  }
}
