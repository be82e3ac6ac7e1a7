// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Makes what was written durable, for many at once: whoever comes while a checkpoint is being made waits for the next
/// one, which serves all that wait.
final class CommitGroup: @unchecked Sendable {
  private let store: Store
  private let monitor = Monitor()
  // With the monitor's lock.
  private var isRunning = false
  private var begun: UInt64 = 0
  private var ended: UInt64 = 0
  /// The last one that failed.
  private var failed: UInt64 = 0
  private var commits = 0

  init(_ store: Store) { self.store = store }
  deinit { monitor.deallocate() }

  /// Checkpoints made so far.
  var count: Int { monitor.withLock { commits } }

  /// Returns when a checkpoint that was begun after this call has completed.
  func commit() -> NBDStatus {
    monitor.lock()
    defer { monitor.unlock() }
    // One that has begun already may have passed by what the caller wrote.
    let wanted = begun + 1
    while ended < wanted {
      if isRunning {
        monitor.wait()
      } else {
        run()
      }
    }
    return failed >= wanted ? .io : .ok
  }

  /// With the lock, which is not held meanwhile.
  private func run() {
    isRunning = true
    begun += 1
    let own = begun
    monitor.unlock()
    var isDone = true
    do throws(StoreError) { try store.checkpoint() } catch { isDone = false }
    monitor.lock()
    if isDone { commits += 1 } else { failed = own }
    ended = own
    isRunning = false
    monitor.notifyAll()
  }
}
