// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
import StowageEngine
import Synchronization

/// Goes through a session's pages with several threads, until all are seen to, it is told to stop, or the process is.
final class PageSweep: Sendable {
  private static let batch = 16
  private static let attempts = 5
  private static let pauseBetweenAttempts: useconds_t = 200_000

  private let pages: [PageSummary]
  private let pageSize: Int
  private let next = Atomic<Int>(0)
  private let finished = Atomic<Int>(0)
  private let isStopped = Atomic<Bool>(false)

  init(_ pages: [PageSummary], pageSize: Int) {
    self.pages = pages
    self.pageSize = pageSize
  }

  /// Pages that were seen to.
  var done: Int { finished.load(ordering: .relaxed) }
  /// In bytes.
  var sample: WorkSample { WorkSample(done: done * pageSize, total: pages.count * pageSize) }

  /// No thread takes another page.
  func stop() { isStopped.store(true, ordering: .relaxed) }

  /// Calls `body` for every page, on `threads` threads, with a page's room that is that thread's. Returns when they have ended.
  func run(threads count: Int, _ body: @escaping @Sendable (PageSummary, UnsafeMutableRawBufferPointer) -> Void) {
    let threads = (0..<max(1, count)).map { _ in BackgroundThread() }
    for thread in threads { thread.start { [self] in work(body) } }
    for thread in threads { thread.join() }
  }

  private func work(_ body: (PageSummary, UnsafeMutableRawBufferPointer) -> Void) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    while !isStopped.load(ordering: .relaxed), (try? Interruption.check()) != nil {
      let first = next.add(Self.batch, ordering: .relaxed).oldValue
      guard first < pages.count else { return }
      for page in pages[first..<min(first + Self.batch, pages.count)] {
        body(page, buffer)
        finished.add(1, ordering: .relaxed)
      }
    }
  }

  /// Reads a page. What is not to be had now is asked for again, for a second.
  /// - Returns: its tag.
  static func peek(_ store: Store, _ handle: Handle, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)
    -> UInt64
  {
    var attempt = 1
    while true {
      do throws(StoreError) {
        return try store.peek(handle, into: buffer)
      } catch {
        guard case .unavailable = error, attempt < attempts, (try? Interruption.check()) != nil else { throw error }
        attempt += 1
        usleep(pauseBetweenAttempts)
      }
    }
  }
}
