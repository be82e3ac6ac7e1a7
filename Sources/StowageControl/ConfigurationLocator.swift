// SPDX-License-Identifier: Apache-2.0

/// Finds where each key of a TOML document stands. The parser tells this for syntax errors only, so this
/// goes through the text once more; the document must be valid already.
///
/// A path is the keys from the root on, with "#0", "#1" for the places in a list.
struct ConfigurationLocator {
  typealias Path = [String]
  private(set) var locations: [Path: ConfigurationLocation] = [:]
  /// The first table header without a key: the parser ends the process over it. nil: there is none.
  private(set) var badHeader: (place: ConfigurationLocation, offset: Int)?

  private static let depthMax = 300
  private let text: [Unicode.Scalar]
  private var at = 0
  private var line = 1
  private var column = 1
  /// The table that the keys now belong to.
  private var current: Path = []
  /// How many elements each list of tables has so far.
  private var counts: [Path: Int] = [:]

  /// Goes through the text.
  init(_ text: String) {
    self.init(text: Array(text.unicodeScalars))
    document()
  }

  /// Where a string first occurs.
  static func first(_ needle: String, in text: String) -> ConfigurationLocation? {
    let wanted = Array(needle.unicodeScalars)
    var locator = ConfigurationLocator(text: Array(text.unicodeScalars))
    while locator.at + wanted.count <= locator.text.count {
      if locator.text[locator.at..<(locator.at + wanted.count)].elementsEqual(wanted) { return locator.here }
      locator.step()
    }
    return nil
  }

  private init(text: [Unicode.Scalar]) { self.text = text }

  private var here: ConfigurationLocation { ConfigurationLocation(line: line, column: column) }
  private var next: Unicode.Scalar? { at < text.count ? text[at] : nil }

  private mutating func step(_ count: Int = 1) {
    for _ in 0..<count where at < text.count {
      if text[at] == "\n" {
        line += 1
        column = 1
      } else {
        column += 1
      }
      at += 1
    }
  }

  private func has(_ prefix: String) -> Bool {
    let wanted = Array(prefix.unicodeScalars)
    return at + wanted.count <= text.count && text[at..<(at + wanted.count)].elementsEqual(wanted)
  }

  private mutating func record(_ path: Path, _ place: ConfigurationLocation) {
    if locations[path] == nil { locations[path] = place }
  }

  // MARK: Structure

  private mutating func document() {
    while true {
      blanks(lines: true)
      guard let scalar = next else { return }
      let before = at
      if scalar == "[" { header() } else { pair(in: current) }
      // A document that is not valid must not hold us here.
      if at == before { step() }
    }
  }

  private mutating func header() {
    let isList = has("[[")
    let place = here
    let start = at
    step(isList ? 2 : 1)
    blanks(lines: false)
    if badHeader == nil, !canBeginKey(next) { badHeader = (place, start) }
    let keys = key().map(\.name)
    while let scalar = next, scalar != "\n" { _ = scalar; step() }
    guard let last = keys.last else { return }
    var path = keys.dropLast().reduce(into: Path()) { path, key in
      path.append(key)
      if let count = counts[path] { path.append("#\(count - 1)") }
    }
    path.append(last)
    record(path, place)
    if isList {
      let index = counts[path, default: 0]
      counts[path] = index + 1
      path.append("#\(index)")
    }
    record(path, place)
    current = path
  }

  /// key = value
  private mutating func pair(in table: Path) {
    var path = table
    for part in key() {
      path.append(part.name)
      record(path, part.place)
    }
    blanks(lines: false)
    guard next == "=" else { return }
    step()
    value(path)
  }

  private mutating func value(_ path: Path) {
    blanks(lines: false)
    // The parser refuses what is nested deeper, so nothing there is asked for.
    guard path.count < Self.depthMax else { return at = text.count }
    switch next {
    case "\"", "'": _ = string()
    case "[": list(path)
    case "{": inlineTable(path)
    default: while let scalar = next, !",]}#\n".unicodeScalars.contains(scalar) { step() }
    }
  }

  private mutating func list(_ path: Path) {
    step()
    var index = 0
    while true {
      blanks(lines: true)
      guard let scalar = next else { return }
      if scalar == "]" { return step() }
      let before = at
      record(path + ["#\(index)"], here)
      value(path + ["#\(index)"])
      index += 1
      blanks(lines: true)
      if next == "," || at == before { step() }
    }
  }

  private mutating func inlineTable(_ path: Path) {
    step()
    while true {
      blanks(lines: true)
      guard let scalar = next else { return }
      if scalar == "}" { return step() }
      let before = at
      pair(in: path)
      blanks(lines: true)
      if next == "," || at == before { step() }
    }
  }

  // MARK: Pieces

  /// A dotted key; each part with its place.
  private mutating func key() -> [(name: String, place: ConfigurationLocation)] {
    var parts: [(name: String, place: ConfigurationLocation)] = []
    while true {
      blanks(lines: false)
      let place = here
      if next == "\"" || next == "'" {
        parts.append((string(), place))
      } else {
        var name = ""
        while let scalar = next, Self.isBare(scalar) {
          name.unicodeScalars.append(scalar)
          step()
        }
        guard !name.isEmpty else { return parts }
        parts.append((name, place))
      }
      blanks(lines: false)
      guard next == "." else { return parts }
      step()
    }
  }

  /// Passes over a string and returns what stands in it; escapes stay as they are written.
  private mutating func string() -> String {
    guard let quote = next else { return "" }
    let triple = String(repeating: Character(quote), count: 3)
    let isTriple = has(triple)
    step(isTriple ? 3 : 1)
    var content = ""
    while let scalar = next {
      if isTriple ? has(triple) : (scalar == quote || scalar == "\n") { break }
      if scalar == "\\", quote == "\"" {
        content.unicodeScalars.append(scalar)
        step()
      }
      if let scalar = next { content.unicodeScalars.append(scalar) }
      step()
    }
    step(isTriple ? 3 : 1)
    // Up to two quotes more may belong to the text.
    while isTriple, next == quote { step() }
    return content
  }

  /// Spaces and tabs; with `lines`, line ends and comments too.
  private mutating func blanks(lines: Bool) {
    while let scalar = next {
      switch scalar {
      case " ", "\t", "\r", "\u{FEFF}": step()
      case "\n" where lines: step()
      case "#" where lines: while let scalar = next, scalar != "\n" { _ = scalar; step() }
      default: return
      }
    }
  }

  /// What the parser takes; it reports a bracket and the end of the text itself.
  private func canBeginKey(_ scalar: Unicode.Scalar?) -> Bool {
    guard let scalar else { return true }
    return scalar == "\"" || scalar == "'" || scalar == "]" || (scalar.isASCII && Self.isBare(scalar))
  }

  private static func isBare(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
    default: scalar.value > 127
    }
  }
}
