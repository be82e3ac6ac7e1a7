// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What a part found: figures of each round, series for plots, and what could not be measured.
struct Report {
  private var body: [String: Any]
  private var rows: [[String: Any]] = []
  private var series: [[String: Any]] = []
  private var absent: [[String: String]] = []
  private var facts: [String: Any] = [:]

  init(part: String) { body = ["part": part] }

  /// A figure beside its peer's, round by round.
  mutating func pair(_ id: String, unit: String, ours: [Double], peer: [Double]) {
    rows.append([
      "id": id, "unit": unit, "ours": ours, "peer": peer, "ratio": zip(ours, peer).map { $1 > 0 ? $0 / $1 : 0 },
    ])
  }

  /// A figure that stands for itself.
  mutating func figure(_ id: String, unit: String, _ values: [Double]) {
    rows.append(["id": id, "unit": unit, "ours": values])
  }

  mutating func line(_ id: String, _ name: String, _ points: [[Double]]) {
    series.append(["id": id, "name": name, "points": points])
  }

  mutating func missing(_ what: String, _ why: String) { absent.append(["what": what, "why": why]) }

  mutating func fact(_ name: String, _ value: Any) { facts[name] = value }

  func write() throws {
    var all = body
    all["rows"] = rows
    all["series"] = series
    all["absent"] = absent
    all["facts"] = facts
    let data = try JSONSerialization.data(withJSONObject: all, options: [.sortedKeys])
    FileHandle.standardOutput.write(data + Data("\n".utf8))
  }
}
