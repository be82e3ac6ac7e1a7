// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Runs a body on threads of its own, each told its number, and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Work {
    let number: Int
    let body: @Sendable (Int) -> Void
    init(_ number: Int, _ body: @escaping @Sendable (Int) -> Void) { (self.number, self.body) = (number, body) }
  }
  var threads: [pthread_t] = []
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
  for thread in threads { pthread_join(thread, nil) }
}
