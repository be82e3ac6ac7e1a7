// SPDX-License-Identifier: Apache-2.0

/// Page numbers as runs of neighbours, in rising order.
struct PageRuns: Equatable {
  private(set) var runs: [Range<UInt64>] = []
  private(set) var count = 0

  /// Adds pages that come after all those already here.
  mutating func append(_ run: Range<UInt64>) {
    guard !run.isEmpty else { return }
    count += run.count
    if let last = runs.last, last.upperBound == run.lowerBound {
      runs[runs.count - 1] = last.lowerBound..<run.upperBound
    } else {
      runs.append(run)
    }
  }

  /// Calls `body` with `wanted` pages taken evenly from all of them (with all, if they are not more).
  func forEachEvenly(_ wanted: Int, _ body: (UInt64) -> Void) {
    let wanted = min(wanted, count)
    var pick = 0
    var base = 0
    for run in runs {
      while pick < wanted {
        let place = evenPlace(pick, of: wanted, among: count)
        guard place < base + run.count else { break }
        body(run.lowerBound + UInt64(place - base))
        pick += 1
      }
      base += run.count
    }
  }
}

/// The place of the `pick`-th of `wanted` samples spread evenly over `count` things; strictly rising
/// with `pick` as long as `wanted` is not above `count`.
func evenPlace(_ pick: Int, of wanted: Int, among count: Int) -> Int {
  pick * count / wanted
}
