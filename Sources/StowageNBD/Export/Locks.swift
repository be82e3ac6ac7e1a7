// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// A lock of pthread's with a condition: for what threads of this module share.
///
/// Sound because both live in memory of their own from `init` to `deallocate`, which the owner calls when no thread can
/// use them any more.
struct Monitor: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  init() {
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  func deallocate() {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  @inline(__always) func lock() { pthread_mutex_lock(mutex) }
  @inline(__always) func unlock() { pthread_mutex_unlock(mutex) }

  @inline(__always) func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure)
    -> Result
  {
    lock()
    defer { unlock() }
    return try body()
  }

  /// With the lock, which is not held meanwhile.
  func wait() { pthread_cond_wait(condition, mutex) }

  /// The same, until a moment of the monotonic clock; false when that came first.
  func wait(until deadline: UInt64) -> Bool {
    var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
    return pthread_cond_timedwait(condition, mutex, &time) == 0
  }

  func notifyAll() { pthread_cond_broadcast(condition) }
  func notifyOne() { pthread_cond_signal(condition) }
}

/// Locks that the blocks of an export share: one that changes a block holds the block's.
///
/// Sound for the same reasons as `Monitor`.
struct StripeLocks: @unchecked Sendable {
  /// So many that writers of different blocks rarely meet.
  private static let count = 1024
  private let mutexes: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    mutexes = .allocate(capacity: Self.count)
    for index in 0..<Self.count { pthread_mutex_init(mutexes + index, nil) }
  }

  func deallocate() {
    for index in 0..<Self.count { pthread_mutex_destroy(mutexes + index) }
    mutexes.deallocate()
  }

  @inline(__always) func lock(_ block: Int) { pthread_mutex_lock(mutexes + block & (Self.count - 1)) }
  @inline(__always) func unlock(_ block: Int) { pthread_mutex_unlock(mutexes + block & (Self.count - 1)) }
}

/// Nanoseconds of the monotonic clock.
@inline(__always) func monotonicNow() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
