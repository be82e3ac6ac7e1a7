// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc

/// A thread of a test's own. Waiting for it has an end, so that what hangs is seen and says where.
public final class Background: @unchecked Sendable {
  private var thread = pthread_t()
  private let body: @Sendable () -> Void
  private let ended = DispatchSemaphore(value: 0)

  /// Starts it.
  public init(_ body: @escaping @Sendable () -> Void) {
    self.body = body
    let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { raw in
      let thread = Unmanaged<Background>.fromOpaque(raw!).takeRetainedValue()
      thread.body()
      thread.ended.signal()
      return nil
    }
    let result = pthread_create(&thread, nil, entry, Unmanaged.passRetained(self).toOpaque())
    precondition(result == 0, "no thread: \(result)")
  }

  /// Waits for its end. One that does not come ends the tests: the thread may have anything in its hands, so no other
  /// test would mean much.
  public func join(within seconds: Int = 300, file: StaticString = #fileID, line: UInt = #line) {
    guard ended.wait(timeout: .now() + .seconds(seconds)) == .success else {
      fatalError("a thread has not ended within \(seconds) s", file: file, line: line)
    }
    pthread_join(thread, nil)
  }
}
