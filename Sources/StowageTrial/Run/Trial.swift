// SPDX-License-Identifier: Apache-2.0
import CStowageTrial
import StowageEngine

/// Puts the pages of a plan into a store, in phases, takes everything back and compares.
///
/// The phases: a cohort is moved down level by level, to see what the same pages cost at each; pages
/// are put at a pace at which demotion follows; the last third comes as fast as the store takes it;
/// everything is taken back in random order.
public struct Trial {
  /// The last pages, as one part of so many, come in the burst.
  private static let burstPart = 3
  /// The most that a pause of the paced phase waits.
  private static let pacePatience: Duration = .seconds(2)

  private let plan: TrialPlan
  private let settings: TrialSettings
  private let progress: TrialProgress
  /// Their memory is taken before the store is opened.
  private let reader: PageReader
  private let records: [PhaseRecord]

  public init(plan: TrialPlan, settings: TrialSettings, progress: TrialProgress) {
    self.plan = plan
    self.settings = settings
    self.progress = progress
    reader = PageReader(sources: plan.sources, table: plan.table, pageSize: plan.input.pageSize)
    records = PhaseRecord.Name.allCases.map(PhaseRecord.init)
  }

  /// Runs the whole trial.
  /// - Parameter opened: called when the store is open, with the swap file in use.
  /// - Throws: `StoreError` for what the store refuses, `TrialError` when the trial was interrupted. A
  ///   page that comes back wrong is not an error here: it is in the report.
  public func run(opened: () -> Void = {}) throws -> TrialReport {
    let giveBack = ReturnPhase(plan: plan, reader: reader)
    return try withStore { store, sampler, start in
      opened()
      progress.begin(store: store, total: 2 * (plan.persistentTarget + plan.discardableCount))
      defer { progress.end() }
      let run = PhaseRunner(store: store, sampler: sampler, progress: progress)
      let (feeder, cohort) = try putAll(store, run)
      let fullest = store.statistics()
      plan.releaseInput()
      try run(records[3]) { try giveBack.run(store, $0, progress) }
      let emptied = store.statistics()
      progress.end()
      store.close()
      sampler.stop()
      giveBack.checkDestructors()
      return TrialReport(
        TrialOutcome(
          plan: plan, settings: settings, storeWarnings: store.warnings, feeder: feeder,
          giveBack: giveBack, records: records, cohort: cohort, fullest: fullest, emptied: emptied,
          peakBytes: sampler.peakBytes, nanoseconds: monotonicNanoseconds() - start))
    }
  }

  /// Puts everything, then suspends the store instead of taking everything back.
  /// - Parameters:
  ///   - run: the number that tells this trial's pages from another's; among the session's attributes too.
  ///   - suspending: called when all is put and the suspend begins, with what tells how far it is: bytes written, of
  ///     about how many.
  ///   - stopped: ends the process, which was asked to stop in the middle of the suspend; gets whether a checkpoint
  ///     with all pages was completed before.
  /// - Throws: as `run`, before anything is put when the chain cannot be suspended.
  public func suspend(
    run number: UInt64, suspending: (@escaping @Sendable () -> WorkSample) -> Void,
    stopped: (_ isKept: Bool, TrialError) -> Never
  ) throws -> SuspendReport {
    try withStore { store, sampler, start in
      // An empty checkpoint: what cannot be kept is told before the work, not after it.
      let empty = try store.checkpoint().sequence
      progress.begin(store: store, total: plan.persistentTarget + plan.discardableCount)
      defer { progress.end() }
      let run = PhaseRunner(store: store, sampler: sampler, progress: progress)
      let (feeder, _) = try putAll(store, run)
      let list = PageList(pageSize: plan.input.pageSize, run: number)
      let listPages = try list.put(plan.table, into: store)
      plan.releaseInput()
      let fullest = store.statistics()
      progress.end()
      suspending(Self.suspendSample(of: store, from: fullest))
      let suspended = monotonicNanoseconds()
      let checkpoint = try Suspension.run(store) { completed, cause in stopped(completed > empty, cause) }
      let seconds = Double(monotonicNanoseconds() - suspended) / 1e9
      return SuspendReport(
        plan: plan, feeder: feeder, listPages: listPages, fullest: fullest, checkpoint: checkpoint, seconds: seconds,
        total: Double(monotonicNanoseconds() - start) / 1e9, warnings: store.warnings)
    }
  }

  /// How far a suspend is: what came to the disk, of what was in RAM.
  private static func suspendSample(
    of store: Store, from before: StoreStatistics
  ) -> @Sendable () -> WorkSample {
    let total = before.levels.reduce(0) { $0 + $1.chunkBytes }
    let onDisk = before.levels.reduce(0) { $0 + $1.diskBytes }
    return {
      let now = store.statistics().levels.reduce(0) { $0 + $1.diskBytes }
      return WorkSample(done: min(total, max(0, now - onDisk)), total: total)
    }
  }

  /// Opens the store, with what it uses being sampled, and closes it after `body`.
  private func withStore<Result>(
    _ body: (Store, MemorySampler, _ start: UInt64) throws -> Result
  ) throws -> Result {
    let drops = plan.table.drops
    guard let sampler = MemorySampler() else {
      throw TrialError.input("/proc is not mounted: the trial cannot see what memory it uses")
    }
    // From here on, what this process uses more than now is the store's.
    stowage_trial_trim_heap()
    sampler.start()
    defer { sampler.stop() }
    let start = monotonicNanoseconds()
    let store = try Store(configuration: settings.configuration, chain: settings.chain) { page in
      drops.note(tag: page.tag, reason: UInt32(DropReason.allCases.firstIndex(of: page.reason)!))
    }
    let backing = settings.backingPath.flatMap { try? OpenFile.reading($0).get() }
    if let backing { sampler.watch(backing.descriptor) }
    defer { withExtendedLifetime(backing) { sampler.stop() } }
    defer { store.close() }
    return try body(store, sampler, start)
  }

  /// The three phases that put.
  private func putAll(_ store: Store, _ run: PhaseRunner) throws -> (PageFeeder, (pages: Int, costs: [LevelCost?])) {
    let feeder = PageFeeder(plan: plan, reader: reader, store: store, progress: progress)
    let cohort = try run(records[0]) { record in
      try CohortPhase(
        store: store, settings: settings, feeder: feeder, progress: progress,
        target: plan.persistentTarget
      ).run(record)
    }
    try run(records[1]) { try paced(store, feeder, $0) }
    try run(records[2]) { record in
      try feeder.feed(until: plan.persistentTarget, batches: reader.capacity, record) {}
    }
    return (feeder, cohort)
  }

  /// Lets demotion follow after every few pages, so that each level fills in its turn.
  private func paced(_ store: Store, _ feeder: PageFeeder, _ record: PhaseRecord) throws {
    let goal = plan.persistentTarget - plan.persistentTarget / Self.burstPart
    let batch = max(16, settings.configuration.memoryLimit / 128 / plan.input.pageSize)
    try feeder.feed(until: goal, batches: batch, record) {
      _ = try store.settle(within: Self.pacePatience)
    }
  }
}

/// Runs one phase after the other, and measures around them.
private struct PhaseRunner {
  let store: Store
  let sampler: MemorySampler
  let progress: TrialProgress

  func callAsFunction<Result>(_ record: PhaseRecord, _ body: (PhaseRecord) throws -> Result) throws -> Result {
    progress.enter(record.name)
    _ = sampler.takePhasePeak()
    record.begin(store.statistics())
    let result = try body(record)
    record.end(store.statistics())
    record.peakBytes = sampler.takePhasePeak()
    return result
  }
}

/// All that a trial has measured.
struct TrialOutcome {
  var plan: TrialPlan
  var settings: TrialSettings
  var storeWarnings: [String]
  var feeder: PageFeeder
  var giveBack: ReturnPhase
  var records: [PhaseRecord]
  var cohort: (pages: Int, costs: [LevelCost?])
  /// At the end of the burst.
  var fullest: StoreStatistics
  /// When everything was taken back.
  var emptied: StoreStatistics
  var peakBytes: Int
  var nanoseconds: UInt64
}
