// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// One thread that runs one closure and is waited for.
final class BackgroundThread: Sendable {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private let thread = Mutex<pthread_t?>(nil)

  func start(_ run: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(Body(run)).toOpaque()
    var started = pthread_t()
    let code = pthread_create(
      &started, nil,
      { @Sendable argument in
        Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, body)
    precondition(code == 0, "no thread can be started: \(Errno(code))")
    thread.withLock { $0 = started }
  }

  /// Waits for the end of the closure; at once when none was started.
  func join() {
    let started = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    if let started { pthread_join(started, nil) }
  }
}
