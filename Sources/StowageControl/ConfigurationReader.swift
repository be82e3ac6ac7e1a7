// SPDX-License-Identifier: Apache-2.0
internal import StowagePlugins

/// Where the keys of a configuration stand.
public struct ConfigurationSource: Sendable, Hashable {
  public var file: String
  /// Absolute; relative paths in the configuration refer to it.
  public var folder: String
  var locations: [[String]: ConfigurationLocation]

  /// An error about a key; when the key itself is not there, at the nearest table around it.
  func error(_ path: [String], _ reason: String) -> ConfigurationError {
    var place = path
    while !place.isEmpty, locations[place] == nil { place.removeLast() }
    let start = ConfigurationLocation(line: 1, column: 1)
    return ConfigurationError(
      file: file, location: locations[place] ?? start, key: Self.name(of: path), reason: reason)
  }

  /// "tier[2].options.level": lists are counted from 1, as people do.
  static func name(of path: [String]) -> String? {
    guard !path.isEmpty else { return nil }
    return path.reduce(into: "") { name, part in
      if part.hasPrefix("#"), let index = Int(part.dropFirst()) {
        name += "[\(index + 1)]"
      } else {
        name += (name.isEmpty ? "" : ".") + part
      }
    }
  }
}

/// Reads the keys of one table, each at most once; `finish` refuses those that nobody asked for.
struct ConfigurationReader {
  let path: [String]
  let source: ConfigurationSource
  private var values: [String: ConfigurationTree]
  private var known: [String] = []

  init(_ values: [String: ConfigurationTree], path: [String], source: ConfigurationSource) {
    self.values = values
    self.path = path
    self.source = source
  }

  func error(_ key: String, _ reason: String) -> ConfigurationError { source.error(path + [key], reason) }

  mutating func value(_ key: String) -> ConfigurationTree? {
    known.append(key)
    return values.removeValue(forKey: key)
  }

  func wrong(_ key: String, _ value: ConfigurationTree, _ expected: String) -> ConfigurationError {
    error(key, "expected \(expected), this is \(DisplayText.plain(value.kind))")
  }

  mutating func text(_ key: String) throws(ConfigurationError) -> String? {
    guard let value = value(key) else { return nil }
    guard case .text(let text) = value else { throw wrong(key, value, "a text in quotes") }
    return text
  }

  mutating func flag(_ key: String) throws(ConfigurationError) -> Bool? {
    guard let value = value(key) else { return nil }
    guard case .flag(let flag) = value else { throw wrong(key, value, "true or false") }
    return flag
  }

  mutating func number(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
    guard let value = value(key) else { return nil }
    guard case .number(let number) = value, range.contains(Int(number)) else {
      throw wrong(key, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return Int(number)
  }

  mutating func size(_ key: String, least: Int = 0) throws(ConfigurationError) -> Int? {
    guard let value = value(key) else { return nil }
    let bytes: Int64?
    switch value {
    case .number(let number): bytes = number
    case .text(let text): bytes = SizeText.parse(text)
    default: bytes = nil
    }
    guard let bytes, bytes >= Int64(least) else {
      throw wrong(key, value, SizeText.expected + (least > 0 ? " (at least \(least))" : ""))
    }
    return Int(bytes)
  }

  mutating func duration(_ key: String) throws(ConfigurationError) -> Duration? {
    guard let value = value(key) else { return nil }
    guard case .text(let text) = value, let duration = DurationText.parse(text), duration > .zero else {
      throw wrong(key, value, DurationText.expected)
    }
    return duration
  }

  mutating func table(_ key: String) throws(ConfigurationError) -> [String: ConfigurationTree]? {
    guard let value = value(key) else { return nil }
    guard case .table(let table) = value else { throw wrong(key, value, "a table, [\(key)]") }
    return table
  }

  mutating func tables(_ key: String) throws(ConfigurationError) -> [[String: ConfigurationTree]]? {
    guard let value = value(key) else { return nil }
    guard case .list(let list) = value else { throw wrong(key, value, "a list of tables, [[\(key)]]") }
    var tables: [[String: ConfigurationTree]] = []
    for (index, item) in list.enumerated() {
      guard case .table(let table) = item else {
        throw source.error(path + [key, "#\(index)"], "expected a table, this is \(DisplayText.plain(item.kind))")
      }
      tables.append(table)
    }
    return tables
  }

  /// Refuses keys that were not asked for.
  func finish() throws(ConfigurationError) {
    let unknown = values.keys.map { key in (source.locations[path + [key]], key) }
      .min { ($0.0?.line ?? 0, $0.0?.column ?? 0) < ($1.0?.line ?? 0, $1.0?.column ?? 0) }
    guard let key = unknown?.1 else { return }
    let near = NearNames.question(NearNames.of(key, in: known))
    throw error(key, "there is no such key" + (near.isEmpty ? "; known here: \(known.joined(separator: ", "))" : near))
  }
}
