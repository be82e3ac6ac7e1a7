// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
import StowageEngine
import Synchronization

/// A suspend on a thread of its own, while this one listens for signals.
enum Suspension {
  private static let moment: useconds_t = 20_000

  /// Suspends the store and waits for it.
  /// - Parameter stopped: called when the process is asked to stop meanwhile, with the last completed checkpoint.
  ///   It ends the process: a suspend cannot be taken back, and what was completed stays good whenever it ends.
  /// - Throws: what the suspend throws.
  static func run(
    _ store: Store, stopped: (_ completed: UInt64, TrialError) -> Never
  ) throws(StoreError) -> CheckpointReport {
    let outcome = Outcome()
    let thread = BackgroundThread()
    thread.start {
      do throws(StoreError) {
        outcome.set(.success(try store.suspend()))
      } catch {
        outcome.set(.failure(error))
      }
    }
    while true {
      if let result = outcome.value {
        thread.join()
        return try result.get()
      }
      do throws(TrialError) {
        try Interruption.check()
      } catch {
        stopped(store.sessionSummary?.sequence ?? 0, error)
      }
      usleep(moment)
    }
  }

  private final class Outcome: Sendable {
    private let result = Mutex<Result<CheckpointReport, StoreError>?>(nil)
    var value: Result<CheckpointReport, StoreError>? { result.withLock { $0 } }
    func set(_ value: Result<CheckpointReport, StoreError>) { result.withLock { $0 = value } }
  }
}
