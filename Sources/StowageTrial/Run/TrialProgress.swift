// SPDX-License-Identifier: Apache-2.0
public import StowageEngine
import Synchronization

/// How far a trial is, for a display on another thread.
public final class TrialProgress: Sendable {
  private let done = Atomic<Int>(0)
  private let total = Atomic<Int>(0)
  private let phaseIndex = Atomic<Int>(-1)
  private let store = Mutex<Store?>(nil)
  private let step = Mutex<String>("")

  public init() {}

  /// One look at the trial.
  public struct Snapshot: Sendable {
    /// Calls made of all that the trial makes.
    public var done: Int
    public var total: Int
    /// What is done now, such as "burst"; empty before the first phase.
    public var phase: String
    /// More about it, such as the level that is being filled.
    public var step: String
    /// nil while there is no store, and when it was not asked for.
    public var statistics: StoreStatistics?
  }

  public func snapshot(withStatistics: Bool = true) -> Snapshot {
    let phase = phaseIndex.load(ordering: .relaxed)
    return Snapshot(
      done: done.load(ordering: .relaxed), total: total.load(ordering: .relaxed),
      phase: phase < 0 ? "" : PhaseRecord.Name.allCases[phase].rawValue,
      step: step.withLock { $0 }, statistics: withStatistics ? store.withLock { $0 }?.statistics() : nil)
  }

  func begin(store: Store, total: Int) {
    self.total.store(total, ordering: .relaxed)
    self.store.withLock { $0 = store }
  }

  func enter(_ phase: PhaseRecord.Name) {
    phaseIndex.store(PhaseRecord.Name.allCases.firstIndex(of: phase)!, ordering: .relaxed)
    enter(step: "")
  }

  func enter(step: String) { self.step.withLock { $0 = step } }

  func advance(_ count: Int) { done.add(count, ordering: .relaxed) }

  /// The store is about to be closed.
  func end() { store.withLock { $0 = nil } }
}
