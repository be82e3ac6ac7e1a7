// SPDX-License-Identifier: Apache-2.0
import StowageTestSupport

/// Threads of a test, each told its number.
struct TestThreads {
  private let threads: [Background]

  /// Starts them.
  init(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    threads = (0..<count).map { number in Background { body(number) } }
  }

  /// Waits for all of them.
  func join(within seconds: Int = 300, file: StaticString = #fileID, line: UInt = #line) {
    for thread in threads { thread.join(within: seconds, file: file, line: line) }
  }
}

/// Runs a body on threads of its own, each told its number, and waits for all of them: up to an hour, as a million
/// operations take long under a sanitizer.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  TestThreads(count, body).join(within: 3600)
}
