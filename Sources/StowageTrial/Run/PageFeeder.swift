// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
internal import StowageBasics
import StowageEngine

/// Reads the plan's pages batch by batch and puts them into the store, discardable ones spread evenly
/// among the persistent ones.
final class PageFeeder {
  private let table: PageTable
  private let reader: PageReader
  private let store: Store
  private let progress: TrialProgress
  /// Persistent pages that are put in all.
  private let target: Int
  private let batch: UnsafeMutableBufferPointer<UInt32>
  private var nextPersistent = 0
  private var nextDiscardable: Int
  private var cohort = 0
  private(set) var persistentPut = 0
  private(set) var discardablePut = 0
  private(set) var sameFilled = 0
  private(set) var absent = 0
  /// Why the store took no more; nil while it does.
  private(set) var full: String?

  init(plan: TrialPlan, reader: PageReader, store: Store, progress: TrialProgress) {
    table = plan.table
    self.reader = reader
    self.store = store
    self.progress = progress
    target = plan.persistentTarget
    nextDiscardable = table.persistentCount
    batch = .allocate(capacity: reader.capacity)
    batch.initialize(repeating: 0)
  }

  deinit { batch.deallocate() }

  /// Puts about `count` pages taken evenly from all that the trial will put, persistent ones that are
  /// not of one repeated word. Returns how many it put.
  func putCohort(_ count: Int, _ record: PhaseRecord) throws -> Int {
    var pick = 0
    while pick < count, full == nil {
      let size = min(batch.count, count - pick)
      for i in 0..<size { batch[i] = UInt32(evenPlace(pick + i, of: count, among: target)) }
      try put(size, record, sameFilledToo: false)
      pick += size
    }
    cohort = persistentPut
    return cohort
  }

  /// Puts pages until `goal` persistent ones of the trial are in.
  /// - Parameters:
  ///   - size: pages put between two calls of `pause`.
  func feed(until goal: Int, batches size: Int, _ record: PhaseRecord, pause: () throws -> Void) throws {
    while full == nil {
      let count = gather(atMost: min(size, batch.count), persistent: goal - persistentPut)
      guard count > 0 else { return }
      try put(count, record, sameFilledToo: true)
      try pause()
    }
  }

  /// Fills the batch with the next pages; returns how many.
  private func gather(atMost size: Int, persistent limit: Int) -> Int {
    let discardable = table.count - table.persistentCount
    var count = 0
    var persistent = 0
    while count < size {
      let due = discardable * (persistentPut - cohort + persistent) / max(1, target - cohort)
      if nextDiscardable - table.persistentCount < due {
        batch[count] = UInt32(nextDiscardable)
        nextDiscardable += 1
      } else {
        while nextPersistent < table.persistentCount, table.state(nextPersistent) != .planned {
          nextPersistent += 1
        }
        guard persistent < limit, nextPersistent < table.persistentCount else { break }
        batch[count] = UInt32(nextPersistent)
        nextPersistent += 1
        persistent += 1
      }
      count += 1
    }
    return count
  }

  /// Puts the first `count` pages of the batch.
  private func put(_ count: Int, _ record: PhaseRecord, sameFilledToo: Bool) throws {
    try Interruption.check()
    reader.read(UnsafeBufferPointer(rebasing: batch[..<count]))
    let before = persistentPut + discardablePut
    defer { progress.advance(persistentPut + discardablePut - before) }
    for i in 0..<count where full == nil {
      let page = Int(batch[i])
      guard let bytes = reader.page(i) else {
        table.set(.absent, of: page)
        absent += 1
        continue
      }
      var word: UInt64 = 0
      let isSameFilled = stowage_same_filled(bytes.baseAddress!, bytes.count, &word) != 0
      if isSameFilled, !sameFilledToo { continue }
      try put(bytes, as: page, record)
      if isSameFilled, table.state(page) == .stored { sameFilled += 1 }
    }
  }

  private func put(_ bytes: UnsafeRawBufferPointer, as page: Int, _ record: PhaseRecord) throws {
    let isPersistent = table.isPersistent(page)
    table.noteContents(bytes, of: page)
    do {
      let start = monotonicNanoseconds()
      let handle = try store.put(
        bytes, tag: UInt64(page), kind: isPersistent ? .persistent : .discardable)
      record.latencies.record(monotonicNanoseconds() &- start)
      table.noteStored(page, handle: handle.rawValue)
    } catch StoreError.full(let reason) {
      full = reason
      return
    }
    if isPersistent { persistentPut += 1 } else { discardablePut += 1 }
  }
}
