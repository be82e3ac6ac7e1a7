// SPDX-License-Identifier: Apache-2.0

/// JSON to be written, with the keys in the order given and null where a value is unknown.
public enum JSONValue: Sendable, Hashable {
  case null
  case flag(Bool)
  case number(Int)
  /// Written with at most `digits` decimals; null when it is no finite number.
  case decimal(Double, digits: Int)
  case text(String)
  case list([JSONValue])
  case object([Member])

  public struct Member: Sendable, Hashable {
    public var key: String
    public var value: JSONValue
    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  public static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
    .object(members.map { Member($0.key, $0.value) })
  }

  /// null for nil.
  public static func text(orNull text: String?) -> JSONValue { text.map { .text($0) } ?? .null }
  public static func number(orNull number: Int?) -> JSONValue { number.map { .number($0) } ?? .null }

  /// As text, indented by two, without a newline at the end.
  public func rendered() -> String {
    var text = ""
    write(to: &text, indent: 0)
    return text
  }

  /// As one line.
  public func renderedOnOneLine() -> String {
    rendered().split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
  }

  private func write(to text: inout String, indent: Int) {
    switch self {
    case .null: text += "null"
    case .flag(let flag): text += flag ? "true" : "false"
    case .number(let number): text += String(number)
    case .decimal(let number, let digits): text += Self.decimal(number, digits: digits)
    case .text(let content): Self.quote(content, to: &text)
    case .list(let items):
      Self.block(items, "[", "]", to: &text, indent: indent) { $0.write(to: &$1, indent: indent + 2) }
    case .object(let members):
      Self.block(members, "{", "}", to: &text, indent: indent) {
        Self.quote($0.key, to: &$1)
        $1 += ": "
        $0.value.write(to: &$1, indent: indent + 2)
      }
    }
  }

  private static func block<Item>(
    _ items: [Item], _ open: String, _ close: String, to text: inout String, indent: Int,
    _ body: (Item, inout String) -> Void
  ) {
    guard !items.isEmpty else { return text += open + close }
    text += open
    for (index, item) in items.enumerated() {
      text += (index == 0 ? "\n" : ",\n") + String(repeating: " ", count: indent + 2)
      body(item, &text)
    }
    text += "\n" + String(repeating: " ", count: indent) + close
  }

  private static func decimal(_ number: Double, digits: Int) -> String {
    guard number.isFinite, abs(number) < 1e15 else { return "null" }
    var scale = 1.0
    for _ in 0..<min(max(digits, 0), 9) { scale *= 10 }
    let rounded = (number * scale).rounded() / scale
    return rounded == rounded.rounded() ? String(Int(rounded)) : "\(rounded)"
  }

  private static func quote(_ content: String, to text: inout String) {
    text += "\""
    for scalar in content.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case _ where scalar.value < 32 || scalar.value == 127:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
