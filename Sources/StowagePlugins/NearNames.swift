// SPDX-License-Identifier: Apache-2.0

/// Names that somebody may have meant.
public enum NearNames {
  /// The names of `known` that are a few typing errors away from `name`, nearest first, at most three.
  public static func of(_ name: String, in known: some Sequence<String>) -> [String] {
    let wanted = name.lowercased()
    let allowed = max(1, min(3, wanted.count / 3))
    let scored = known.compactMap { candidate -> (Int, String)? in
      let other = candidate.lowercased()
      if wanted.count >= 3, other.hasPrefix(wanted) || wanted.hasPrefix(other) && other.count >= 3 {
        return (1, candidate)
      }
      let steps = distance(Array(wanted), Array(other))
      return steps <= allowed ? (steps, candidate) : nil
    }
    return scored.sorted { $0 < $1 }.prefix(3).map(\.1)
  }

  /// "; did you mean 'a' or 'b'?", or nothing.
  public static func question(_ near: [String]) -> String {
    near.isEmpty ? "" : "; did you mean \(near.map { "'\($0)'" }.joined(separator: " or "))?"
  }

  /// Insertions, removals, replacements and swaps of neighbours from one to the other.
  static func distance(_ a: [Character], _ b: [Character]) -> Int {
    guard a.count <= 64, b.count <= 64 else { return Int.max }
    var rows = [[Int]](repeating: [Int](repeating: 0, count: b.count + 1), count: a.count + 1)
    for i in 0...a.count { rows[i][0] = i }
    for j in 0...b.count { rows[0][j] = j }
    for i in a.indices {
      for j in b.indices {
        var best = min(rows[i][j + 1], rows[i + 1][j]) + 1
        best = min(best, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, rows[i - 1][j - 1] + 1) }
        rows[i + 1][j + 1] = best
      }
    }
    return rows[a.count][b.count]
  }
}
