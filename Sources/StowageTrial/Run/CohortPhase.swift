// SPDX-License-Identifier: Apache-2.0
import Glibc
internal import StowageBasics
import StowageEngine

/// What one page costs at a level, on average over the cohort.
struct LevelCost: Sendable, Equatable {
  /// Pages of the cohort that stood there then.
  var pages: Int
  var ramBytesPerPage: Double
  var chunkBytesPerPage: Double
  var diskBytesPerPage: Double
}

/// Moves one and the same set of pages down the chain, level by level, and weighs it at each.
struct CohortPhase {
  /// What raw pages of the cohort may take of the memory limit, and of the store's level when it may
  /// have all that there is: what is left is for tables that grow, and below the watermark.
  private static let shareOfLimit = 0.6
  private static let shareOfLevel = 0.8
  private static let moment: useconds_t = 30_000

  let store: Store
  let settings: TrialSettings
  let feeder: PageFeeder
  let progress: TrialProgress
  /// Persistent pages of the whole trial.
  let target: Int

  /// Pages of the cohort, and the cost at each level; nil for a level that pages do not stop at.
  func run(_ record: PhaseRecord) throws -> (pages: Int, costs: [LevelCost?]) {
    let levels = store.statistics().levels
    let inRam = levels.indices.filter { levels[$0].kind != .backing }
    // One level after the other may have all the memory; those that may have none are passed through.
    for level in inRam.dropFirst() { try store.setLimit(0, level: level) }
    try store.setLimit(settings.configuration.memoryLimit, level: 0)
    progress.enter(step: levels[0].name)
    let pages = try feeder.putCohort(size(), record)
    var costs: [LevelCost?] = []
    for level in levels.indices {
      progress.enter(step: levels[level].name)
      if level > 0 {
        if inRam.contains(level) { try store.setLimit(settings.configuration.memoryLimit, level: level) }
        try store.setLimit(0, level: level - 1)
      }
      try waitUntilStill()
      costs.append(cost(at: level, of: pages))
    }
    for level in inRam {
      let own = level == 0 ? settings.configuration.storeLimit : settings.chain[level - 1].limit
      try store.setLimit(own, level: level)
    }
    return (pages, costs)
  }

  /// Waits until the store says that it has settled and no page has moved for a moment besides, so that
  /// what is weighed is not on its way.
  private func waitUntilStill() throws {
    let start = ContinuousClock.now
    var before: [Int] = []
    while start.duration(to: .now) < settings.stepPatience {
      _ = try store.settle(within: settings.stepPatience)
      let now = store.statistics().levels.map(\.pages)
      if now == before { return }
      before = now
      usleep(Self.moment)
    }
  }

  private func size() -> Int {
    let limit = Double(settings.configuration.memoryLimit) * Self.shareOfLimit
    let room = Double(store.statistics().levels[0].limitBytes) * Self.shareOfLevel
    return max(1, min(Int(min(limit, room)) / store.pageSize, target / 2))
  }

  /// All that the cohort costs, by its pages. Those of its pages that cannot be at this level, being
  /// incompressible, are counted where they are, so that every figure is over the same pages.
  private func cost(at level: Int, of pages: Int) -> LevelCost? {
    let all = store.statistics().levels
    guard all[level].pages > 0, pages > 0 else { return nil }
    let occupied = all.filter { $0.pages > 0 }
    func perPage(_ bytes: (LevelStatistics) -> Int) -> Double {
      Double(occupied.reduce(0) { $0 + bytes($1) }) / Double(pages)
    }
    return LevelCost(
      pages: all[level].pages, ramBytesPerPage: perPage(\.ramBytes), chunkBytesPerPage: perPage(\.chunkBytes),
      diskBytesPerPage: perPage(\.diskBytes))
  }
}

extension Store {
  /// Waits until all that can move has moved; false when the time was too short. Ends early, throwing,
  /// when the process is asked to stop.
  func settle(within patience: Duration) throws -> Bool {
    let start = ContinuousClock.now
    repeat {
      try Interruption.check()
      if waitUntilSettled(timeout: min(patience, .milliseconds(200))) { return true }
    } while start.duration(to: .now) < patience
    return false
  }
}
