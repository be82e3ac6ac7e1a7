// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc

/// What the command prints to, and how.
enum Terminal {
  static let output: Int32 = 1
  static let errors: Int32 = 2

  static func isTerminal(_ descriptor: Int32 = output) -> Bool { isatty(descriptor) == 1 }

  /// Columns; nil when it is no terminal, or does not say.
  static func width(_ descriptor: Int32 = output) -> Int? {
    let columns = Int(stowage_terminal_columns(descriptor))
    return columns > 0 ? columns : nil
  }

  /// Only on a terminal that can, and not if NO_COLOR is set to anything.
  static func usesColour(_ descriptor: Int32 = output) -> Bool {
    guard isTerminal(descriptor) else { return false }
    if let no = environment("NO_COLOR"), !no.isEmpty { return false }
    return environment("TERM").map { $0 != "dumb" && !$0.isEmpty } ?? false
  }

  private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// A line to the standard error, "stowage: " before it.
  static func complain(_ line: String) {
    let bytes = Array("stowage: \(line)\n".utf8)
    _ = bytes.withUnsafeBytes { write(errors, $0.baseAddress, $0.count) }
  }
}

/// How a piece of text looks on a terminal with colours.
enum Style: String {
  case plain = ""
  case bold = "1"
  case dim = "2"
  case good = "32"
  case doubtful = "33"
  case bad = "31"

  func applied(to text: String, colour: Bool) -> String {
    colour && self != .plain && !text.isEmpty ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }
}

/// Text in lines.
enum TextLines {
  /// Breaks text at spaces into lines of at most `width` characters; longer words are cut. nil: one line.
  static func wrap(_ text: String, width: Int?) -> [String] {
    guard let width, width > 0, text.count > width else { return [text] }
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      var word = word
      if !line.isEmpty, line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      while word.count > width {
        if !line.isEmpty {
          lines.append(line)
          line = ""
        }
        lines.append(String(word.prefix(width)))
        word = word.dropFirst(width)
      }
      line += line.isEmpty ? String(word) : " " + word
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }

  /// "label  text", with the text's further lines under its first.
  static func labelled(_ label: String, _ text: String, labelWidth: Int, indent: Int, width: Int?) -> [String] {
    let margin = String(repeating: " ", count: indent)
    let room = width.map { max(20, $0 - indent - labelWidth - 2) }
    return wrap(text, width: room).enumerated().map { index, line in
      let head = index == 0 ? label : ""
      return margin + head + String(repeating: " ", count: max(0, labelWidth - head.count) + 2) + line
    }
  }
}
