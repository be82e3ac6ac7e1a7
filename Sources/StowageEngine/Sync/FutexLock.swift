// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Glibc
import Synchronization

/// A lock of one word, for sections of a few dozen instructions; spins briefly, then sleeps in the kernel.
///
/// The three-state scheme (free, held, held with sleepers) is the second mutex of Ulrich Drepper,
/// "Futexes Are Tricky" (2011).
///
/// Sound because the word is allocated by itself on a cache line that lives as long as the owner keeps the
/// lock, and is only touched as an atomic or by the kernel's futex, which treats it as one.
struct FutexLock: @unchecked Sendable {
  private let word: UnsafeMutablePointer<Atomic<UInt32>>

  init() {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    word = memory.bindMemory(to: Atomic<UInt32>.self, capacity: 1)
    word.initialize(to: Atomic(0))
  }

  func deallocate() { UnsafeMutableRawPointer(word).deallocate() }

  @inline(__always) func lock() {
    if word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { return }
    lockSlowly()
  }

  /// Takes the lock if it comes free within about `milliseconds`. For the control side, not the data path.
  func tryLock(milliseconds: Int) -> Bool {
    for attempt in 0...milliseconds {
      if word.pointee.compareExchange(expected: 0, desired: 2, ordering: .acquiring).exchanged { return true }
      if attempt < milliseconds { usleep(1000) }
    }
    return false
  }

  /// Takes the lock, waiting at most so many nanoseconds; false when it was not to be had.
  func lock(timeout: UInt64) -> Bool {
    if word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { return true }
    if spin() { return true }
    let until = monotonicNanoseconds() &+ timeout
    while word.pointee.exchange(2, ordering: .acquiring) != 0 {
      let now = monotonicNanoseconds()
      guard now < until else { return false }
      _ = stowage_futex_wait(raw, 2, Int64(clamping: until - now))
    }
    return true
  }

  @inline(__always) func unlock() {
    if word.pointee.exchange(0, ordering: .releasing) == 2 { wakeOne() }
  }

  /// Whether somebody sleeps for it, or did a moment ago.
  var isContended: Bool { word.pointee.load(ordering: .relaxed) == 2 }

  private func spin() -> Bool {
    for _ in 0..<Self.spins {
      if word.pointee.load(ordering: .relaxed) == 0,
        word.pointee.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
      {
        return true
      }
      stowage_pause()
    }
    return false
  }

  @inline(never) private func lockSlowly() {
    if spin() { return }
    while word.pointee.exchange(2, ordering: .acquiring) != 0 {
      _ = stowage_futex_wait(raw, 2, -1)
    }
  }

  @inline(never) private func wakeOne() { stowage_futex_wake(raw, 1) }

  private var raw: UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(word).assumingMemoryBound(to: UInt32.self)
  }

  static let spins = 200

  @inline(__always) func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result)
    throws(Failure) -> Result
  {
    lock()
    defer { unlock() }
    return try body()
  }
}

/// Serialises the calls into a tier that stands one call at a time; free of cost for one that is parallel.
public struct Gate: Sendable {
  private let gate: FutexLock?

  /// The lock is never freed, as tiers are never unloaded.
  init(serial: Bool) { gate = serial ? FutexLock() : nil }

  /// False when a call that is under way did not end in time.
  func tryEnter(milliseconds: Int) -> Bool { gate?.tryLock(milliseconds: milliseconds) ?? true }
  /// False when it did not end within so many nanoseconds.
  @inline(__always) func enter(timeout: UInt64) -> Bool { gate?.lock(timeout: timeout) ?? true }
  @inline(__always) func leave() { if let gate { gate.unlock() } }
}

/// An event that threads wait for: a counter that every notification moves on.
///
/// A waiter reads `ticket` while it still holds the lock that guards what it looked at, releases the lock
/// and waits: a notification in between changes the counter, so it is never missed.
struct Event: @unchecked Sendable {
  private let words: UnsafeMutablePointer<Words>

  private struct Words: ~Copyable {
    let counter = Atomic<UInt32>(0)
    let sleepers = Atomic<UInt32>(0)
  }

  init() {
    words = .allocate(capacity: 1)
    words.initialize(to: Words())
  }

  func deallocate() {
    words.deinitialize(count: 1)
    words.deallocate()
  }

  var ticket: UInt32 { words.pointee.counter.load(ordering: .acquiring) }

  /// Waits until there was a notification after `ticket` was read, at most `timeout` nanoseconds; false when there was
  /// none.
  @discardableResult func wait(_ ticket: UInt32, timeout: UInt64) -> Bool {
    words.pointee.sleepers.add(1, ordering: .sequentiallyConsistent)
    if words.pointee.counter.load(ordering: .sequentiallyConsistent) == ticket {
      let word = UnsafeMutableRawPointer(words).assumingMemoryBound(to: UInt32.self)
      // Threads that wait are in core dumps, with their registers.
      stowage_forget_registers()
      _ = stowage_futex_wait(word, ticket, Int64(clamping: timeout))
    }
    words.pointee.sleepers.subtract(1, ordering: .relaxed)
    return words.pointee.counter.load(ordering: .relaxed) != ticket
  }

  /// Wakes every waiter; a system call only when there is one.
  @inline(__always) func notify() {
    words.pointee.counter.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if words.pointee.sleepers.load(ordering: .sequentiallyConsistent) != 0 { wake() }
  }

  /// Wakes one waiter, which wakes the next when there is more to do than it can.
  @inline(__always) func notifyOne() {
    words.pointee.counter.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if words.pointee.sleepers.load(ordering: .sequentiallyConsistent) != 0 { wake(1) }
  }

  @inline(never) private func wake(_ count: Int32 = .max) {
    let word = UnsafeMutableRawPointer(words).assumingMemoryBound(to: UInt32.self)
    stowage_futex_wake(word, count)
  }
}
