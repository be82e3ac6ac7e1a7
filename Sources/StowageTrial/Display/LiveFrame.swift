// SPDX-License-Identifier: Apache-2.0
import StowageEngine

/// Draws one look at a running trial as lines for a terminal of some width.
struct LiveFrame {
  private static let labelWidth = 10
  private static let widestBar = 40

  var width: Int
  /// Whether the terminal shows more than ASCII.
  var isUnicode: Bool

  func lines(_ snapshot: TrialProgress.Snapshot, seconds: Double) -> [String] {
    let share = snapshot.total == 0 ? 0 : min(1, Double(snapshot.done) / Double(snapshot.total))
    let label = snapshot.phase.isEmpty ? "preparing" : snapshot.phase
    var tail = " \(padded(String(Int(share * 100)), 3)) %  \(decimal(seconds, 0)) s"
    if !snapshot.step.isEmpty { tail += "  all pages to \(snapshot.step)" }
    var lines = [line(label, share, tail)]
    guard let statistics = snapshot.statistics else { return lines }
    let all = max(1, statistics.pages)
    for level in statistics.levels {
      let bytes = level.kind == .backing ? level.diskBytes : level.ramBytes
      let place = level.kind == .backing ? "disk" : "RAM "
      let tail = " \(padded(grouped(level.pages), 9)) pages \(padded("\(SizeLabel(bytes))", 10)) \(place)"
      lines.append(line(level.name, Double(level.pages) / Double(all), tail))
    }
    let ram = "\(SizeLabel(statistics.ramBytes)) of \(SizeLabel(statistics.memoryLimit))"
    lines.append(
      fitted("RAM \(ram)   skips \(grouped(statistics.skips))   drops \(grouped(statistics.drops))"))
    return lines
  }

  private func line(_ label: String, _ share: Double, _ tail: String) -> String {
    let name = label.count > Self.labelWidth ? String(label.prefix(Self.labelWidth)) : label
    let head = name + String(repeating: " ", count: Self.labelWidth - name.count) + " "
    // One column stays free: some terminals wrap when the last one is written.
    let room = min(Self.widestBar, width - 1 - head.count - max(30, tail.count))
    return fitted(head + (room >= 8 ? bar(share, room) : "") + tail)
  }

  private func bar(_ share: Double, _ width: Int) -> String {
    let filled = min(width - 2, max(0, Int((share * Double(width - 2)).rounded())))
    let (full, empty) = isUnicode ? ("█", "░") : ("#", ".")
    return "[" + String(repeating: full, count: filled)
      + String(repeating: empty, count: width - 2 - filled) + "]"
  }

  private func fitted(_ line: String) -> String { String(line.prefix(max(1, width - 1))) }
}

/// A text with spaces before it, so that it is at least `width` wide.
func padded(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(0, width - text.count)) + text
}
