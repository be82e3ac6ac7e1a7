// SPDX-License-Identifier: Apache-2.0
import StowageEngine

/// What was measured in one phase. Its memory is taken before the store is opened.
final class PhaseRecord {
  enum Name: String, CaseIterable, Sendable {
    case cohort = "growth"
    case paced, burst
    case giveBack = "give back"
  }

  let name: Name
  let latencies = LatencyHistogram()
  private(set) var nanoseconds: UInt64 = 0
  private(set) var skips = 0
  private(set) var demotions = 0
  private(set) var stalls = 0
  private(set) var drops = 0
  /// Pages that entered each level.
  private(set) var entered: [Int] = []
  var peakBytes = 0
  private var start: UInt64 = 0
  private var before: StoreStatistics?

  init(_ name: Name) { self.name = name }

  /// Pages put or taken.
  var pages: Int { Int(latencies.count) }

  func begin(_ statistics: StoreStatistics) {
    before = statistics
    start = monotonicNanoseconds()
  }

  func end(_ now: StoreStatistics) {
    nanoseconds = monotonicNanoseconds() - start
    guard let before else { return }
    skips = now.skips - before.skips
    demotions = now.demotions - before.demotions
    stalls = now.stalls - before.stalls
    drops = now.drops - before.drops
    entered = zip(now.levels, before.levels).map { $0.pagesEntered - $1.pagesEntered }
  }
}

extension StoreStatistics {
  /// Moves of pages from a level to a lower one.
  var demotions: Int { levels.reduce(0) { $0 + $1.pagesDemoted } }
}
