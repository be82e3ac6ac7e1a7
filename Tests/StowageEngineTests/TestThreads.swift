// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Threads of a test, each told its number.
struct TestThreads {
  private var threads: [pthread_t] = []

  /// Starts them.
  init(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    final class Work {
      let number: Int
      let body: @Sendable (Int) -> Void
      init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) { (self.number, self.body) = (number, body) }
    }
    for number in 0..<count {
      var thread = pthread_t()
      let work = Unmanaged.passRetained(Work(number, body)).toOpaque()
      let result = pthread_create(
        &thread, nil,
        { @Sendable argument in
          let work = Unmanaged<Work>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
          work.body(work.number)
          return nil
        }, work)
      precondition(result == 0)
      threads.append(thread)
    }
  }

  /// Waits for all of them.
  func join() { for thread in threads { pthread_join(thread, nil) } }
}

/// Runs a body on threads of its own, each told its number, and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) { TestThreads(count, body).join() }
