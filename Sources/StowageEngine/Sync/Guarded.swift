// SPDX-License-Identifier: Apache-2.0

/// A value behind a lock, for what is used seldom: reasons, messages, drops that wait.
///
/// Not the standard `Mutex`: that one locks inside a library that ThreadSanitizer does not see into, so everything
/// behind it would look like a race. Sound because the value is touched in `withLock` only.
final class Guarded<Value>: @unchecked Sendable {
  private var value: Value
  private let lock = FutexLock()

  init(_ value: sending Value) { self.value = value }
  deinit { lock.deallocate() }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.lock()
    defer { lock.unlock() }
    return body(&value)
  }
}
