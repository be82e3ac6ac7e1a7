// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem

/// Time, randomness and scheduling as the engine sees them, so that it can be simulated from a seed.
/// Storage comes as tiers.
public struct Environment: Sendable {
  public enum Scheduling: Sendable, Hashable {
    /// Threads of the engine's own, and deadlines for calls into backings.
    case threads
    /// No thread: engine work runs in `Store.step`, and in calls that wait for room. Calls into
    /// backings run at once on the caller's thread, by their plain form and without deadlines.
    case manual
  }

  /// Monotonic time in nanoseconds. Any thread.
  public var now: @Sendable () -> UInt64
  /// Random 64 bits; they need not be fit for keys (tiers make those). Any thread.
  public var random: @Sendable () -> UInt64
  public var scheduling: Scheduling
  /// For simulations that compare with a model: called at the instant that a checkpoint keeps, with its number, the store's
  /// lock held: it must not use the store.
  public var atCut: (@Sendable (UInt64) -> Void)?
  /// For tests: called when pages are being loaded ahead and the rest of the index is not counted yet, which waits for it.
  public var whileLoading: (@Sendable () -> Void)?

  public init(
    now: @escaping @Sendable () -> UInt64, random: @escaping @Sendable () -> UInt64,
    scheduling: Scheduling
  ) {
    self.now = now
    self.random = random
    self.scheduling = scheduling
  }

  /// The machine's clock, the kernel's randomness, threads.
  public static let system = Environment(
    now: monotonicNanoseconds,
    random: {
      var word: UInt64 = 0
      _ = stowage_random_fill(&word, 8)
      return word
    },
    scheduling: .threads)
}
