// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
public import StowageEngine
import Synchronization

/// Takes every page of a session over to another one, under the handles and tags that they have.
public struct SessionCopy {
  private let source: Store
  private let target: Store

  /// - Parameters:
  ///   - source: resumed, or looked at.
  ///   - target: its session was just begun.
  public init(from source: Store, to target: Store) {
    self.source = source
    self.target = target
  }

  /// Copies all pages, by as many threads as there are processors.
  /// - Parameter copying: called when it begins, with what tells how far it is, in bytes.
  /// - Returns: how many pages there are.
  /// - Throws: the first page's `StoreError`, `TrialError` when the process was asked to stop. The target is no copy then.
  public func run(copying: (@escaping @Sendable () -> WorkSample) -> Void) throws -> Int {
    let pages = try target.adoptPages(of: source)
    let sweep = PageSweep(pages, pageSize: target.pageSize)
    let failed = FirstFailure()
    copying { sweep.sample }
    sweep.run(threads: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) { [source, target] page, buffer in
      do throws(StoreError) {
        _ = try PageSweep.peek(source, page.handle, into: buffer)
        try target.replace(page.handle, with: UnsafeRawBufferPointer(buffer))
      } catch {
        failed.error.withLock { $0 = $0 ?? error }
        sweep.stop()
      }
    }
    try Interruption.check()
    if let failure = failed.error.withLock({ $0 }) { throw failure }
    return pages.count
  }

  private final class FirstFailure: Sendable {
    let error = Mutex<StoreError?>(nil)
  }
}
