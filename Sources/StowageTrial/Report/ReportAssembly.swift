// SPDX-License-Identifier: Apache-2.0
import StowageEngine

extension TrialReport {
  /// Puts together what was measured.
  init(_ outcome: TrialOutcome) {
    let feeder = outcome.feeder
    let giveBack = outcome.giveBack
    let puts = LatencyHistogram()
    for record in outcome.records where record.name != .giveBack { puts.add(record.latencies) }
    let takes = outcome.records.last { $0.name == .giveBack }?.latencies ?? LatencyHistogram()

    pages = feeder.persistentPut + feeder.discardablePut
    persistentPages = feeder.persistentPut
    discardablePages = feeder.discardablePut
    sameFilledPages = feeder.sameFilled
    absentPages = feeder.absent
    mismatches = giveBack.mismatches
    lost = giveBack.lost
    discarded = giveBack.discarded
    destructorCalls = outcome.plan.table.drops.calls
    destructorFaults = giveBack.destructorFaults
    filesChanged = giveBack.filesChanged
    levels = zip(outcome.fullest.levels, outcome.cohort.costs).map(Level.init)
    cohortPages = outcome.cohort.pages
    put = Calls(puts)
    take = Calls(takes)
    demotions = outcome.emptied.demotions
    skips = outcome.emptied.skips
    ramLimitBytes = outcome.settings.configuration.memoryLimit
    ramPeakBytes = outcome.peakBytes
    ramPeakAccountedBytes = outcome.emptied.ramPeakBytes
    pageSize = outcome.plan.input.pageSize
    seed = outcome.plan.input.seed
    seconds = rounded(Double(outcome.nanoseconds) / 1e9)
    phases = outcome.records.map(Phase.init)
    full = feeder.full
    failures = giveBack.failures
    if outcome.emptied.pages != 0 {
      failures.append("the store still counts \(outcome.emptied.pages) pages when all were taken back")
    }
    notes = outcome.plan.notes + outcome.storeWarnings
  }
}

extension TrialReport.Level {
  init(_ statistics: LevelStatistics, cost: LevelCost?) {
    name = statistics.name
    note = statistics.note
    pages = statistics.pages
    pagesEntered = statistics.pagesEntered
    ramBytes = statistics.ramBytes
    diskBytes = statistics.diskBytes
    ramBytesPerPage = (cost?.ramBytesPerPage).map(rounded)
    chunkBytesPerPage = (cost?.chunkBytesPerPage).map(rounded)
    diskBytesPerPage = (cost?.diskBytesPerPage).map(rounded)
    cohortPages = cost?.pages ?? 0
    pagesDemoted = statistics.pagesDemoted
    pagesSkipped = statistics.pagesSkipped
    pagesDropped = statistics.pagesDropped
    encodeUs = rounded(statistics.encodeMicroseconds)
  }
}

extension TrialReport.Calls {
  init(_ histogram: LatencyHistogram) {
    calls = Int(histogram.count)
    pagesPerS =
      histogram.total == 0 ? 0 : rounded(Double(histogram.count) * 1e9 / Double(histogram.total))
    p50Us = rounded(histogram.percentile(0.5) / 1000)
    p99Us = rounded(histogram.percentile(0.99) / 1000)
    maxUs = rounded(Double(histogram.maximum) / 1000)
  }
}

extension TrialReport.Phase {
  init(_ record: PhaseRecord) {
    name = record.name.rawValue
    pages = record.pages
    seconds = rounded(Double(record.nanoseconds) / 1e9)
    pagesPerS =
      record.nanoseconds == 0 ? 0 : rounded(Double(record.pages) * 1e9 / Double(record.nanoseconds))
    p50Us = rounded(record.latencies.percentile(0.5) / 1000)
    p99Us = rounded(record.latencies.percentile(0.99) / 1000)
    skips = record.skips
    demotions = record.demotions
    drops = record.drops
    stalls = record.stalls
    ramPeakBytes = record.peakBytes
    pagesEntered = record.entered
  }
}

/// To three places, as more would only pretend.
private func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
