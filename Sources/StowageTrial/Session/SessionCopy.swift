// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
public import StowageEngine
import Synchronization

/// Takes every page of a session over to another one, under the handles and tags that they have.
public struct SessionCopy {
  private static let batch = 16
  private static let attempts = 5
  private static let pauseBetweenAttempts: useconds_t = 200_000

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
    let sweep = Sweep(source: source, target: target, pages: pages)
    let pageSize = target.pageSize
    copying { WorkSample(done: sweep.done * pageSize, total: pages.count * pageSize) }
    let threads = (0..<max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))).map { _ in BackgroundThread() }
    for thread in threads { thread.start { sweep.work() } }
    for thread in threads { thread.join() }
    try Interruption.check()
    if let failure = sweep.failure { throw failure }
    return pages.count
  }

  /// Work that several threads share.
  private final class Sweep: Sendable {
    private let source: Store
    private let target: Store
    private let pages: [PageSummary]
    private let next = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)
    private let failed = Mutex<StoreError?>(nil)

    init(source: Store, target: Store, pages: [PageSummary]) {
      self.source = source
      self.target = target
      self.pages = pages
    }

    var done: Int { finished.load(ordering: .relaxed) }
    var failure: StoreError? { failed.withLock { $0 } }

    /// What is not to be had now is asked for again for a while.
    private func peek(_ handle: Handle, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) {
      for attempt in 1... {
        do throws(StoreError) {
          _ = try source.peek(handle, into: buffer)
          return
        } catch {
          guard case .unavailable = error, attempt < SessionCopy.attempts, (try? Interruption.check()) != nil else { throw error }
          usleep(SessionCopy.pauseBetweenAttempts)
        }
      }
    }

    func work() {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: source.pageSize, alignment: 4096)
      defer { buffer.deallocate() }
      while failure == nil, (try? Interruption.check()) != nil {
        let first = next.add(SessionCopy.batch, ordering: .relaxed).oldValue
        guard first < pages.count else { return }
        for page in pages[first..<min(first + SessionCopy.batch, pages.count)] {
          do throws(StoreError) {
            try peek(page.handle, into: buffer)
            try target.replace(page.handle, with: UnsafeRawBufferPointer(buffer))
          } catch {
            return failed.withLock { $0 = $0 ?? error }
          }
          finished.add(1, ordering: .relaxed)
        }
      }
    }
  }
}
