// SPDX-License-Identifier: Apache-2.0

/// A table with aligned columns. The last column takes the rest of the line: it is wrapped in a terminal,
/// and left alone elsewhere, so that a line stays a line for other programs.
struct TextTable {
  struct Cell {
    var text: String
    var style: Style
    init(_ text: String, _ style: Style = .plain) {
      self.text = text
      self.style = style
    }
  }

  enum Alignment { case left, right }

  private let headers: [String]
  private let alignments: [Alignment]
  private var rows: [[Cell]] = []
  private static let gap = "  "
  /// With less room than this, the last column goes to lines of its own.
  private static let lastWidthMin = 24

  /// - Parameter columns: headers; the last column is aligned to the left.
  init(columns: [(header: String, alignment: Alignment)]) {
    headers = columns.map(\.header)
    alignments = columns.map(\.alignment)
  }

  mutating func add(_ row: [Cell]) { rows.append(row) }

  /// The lines. `width`: the terminal's; nil: without end.
  func lines(width: Int?, colour: Bool) -> [String] {
    let head = headers.map { Cell($0, .bold) }
    let widths = headers.indices.dropLast().map { column in
      ([head] + rows).map { $0[column].text.count }.max() ?? 0
    }
    let used = widths.reduce(0) { $0 + $1 + Self.gap.count }
    let first = lines(of: head, widths: widths, used: used, width: width, colour: colour)
    return first.prefix(1) + rows.flatMap { lines(of: $0, widths: widths, used: used, width: width, colour: colour) }
  }

  private func lines(of row: [Cell], widths: [Int], used: Int, width: Int?, colour: Bool) -> [String] {
    let start = zip(row.indices, widths).map { column, width in
      let padding = String(repeating: " ", count: width - row[column].text.count)
      let text = row[column].style.applied(to: row[column].text, colour: colour)
      return alignments[column] == .right ? padding + text : text + padding
    }.joined(separator: Self.gap)
    let last = row[widths.count]
    let room = width.map { $0 - used }
    if let room, room < Self.lastWidthMin {
      let own = TextLines.wrap(last.text, width: max(20, (width ?? 80) - 4))
      return [start] + own.map { "    " + last.style.applied(to: $0, colour: colour) }
    }
    return TextLines.wrap(last.text, width: room).enumerated().map { index, line in
      let margin = index == 0 ? start + Self.gap : String(repeating: " ", count: used)
      return margin + last.style.applied(to: line, colour: colour)
    }
  }
}
