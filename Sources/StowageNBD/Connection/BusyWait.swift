// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import Glibc
internal import Synchronization

/// Waits for the next request awake, for a moment, while requests come one soon after the other: falling asleep and being
/// woken costs more than a page in RAM does. A client that makes one wait in vain, as it pauses or has no processor of its
/// own, is waited for asleep for a while. One thread's own.
struct BusyWait {
  /// As long as a client may take from one answer to its next request.
  private static let most: UInt64 = 50_000

  /// At most half of the processors wait awake, so that clients on this machine have theirs.
  private static let allowed = max(0, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) / 2)
  private static let waiting = Atomic<Int>(0)

  /// So many requests have to come soon before one is waited for awake.
  private var soonNeeded = 1
  /// What that becomes when waiting was in vain: twice as many, up to here.
  private var penalty = 1
  private static let penaltyMost = 1024

  /// As `Transport.receive` without a deadline.
  mutating func receive(_ transport: Transport, _ bytes: UnsafeMutableRawPointer, _ room: Int) -> Int {
    guard !transport.isEncrypted else { return transport.receive(bytes, room) }
    if soonNeeded == 0 {
      if let count = receiveAwake(transport, bytes, room) {
        penalty = max(1, penalty - 1)
        return count
      }
      penalty = min(2 * penalty, Self.penaltyMost)
      soonNeeded = penalty
    }
    let began = monotonicNow()
    let count = transport.receive(bytes, room)
    if monotonicNow() &- began < Self.most {
      soonNeeded -= 1
    } else {
      soonNeeded = penalty
    }
    return count
  }

  /// Nil when nothing came in that time, or enough others wait so.
  private func receiveAwake(_ transport: Transport, _ bytes: UnsafeMutableRawPointer, _ room: Int) -> Int? {
    defer { Self.waiting.subtract(1, ordering: .relaxed) }
    guard Self.waiting.add(1, ordering: .relaxed).newValue <= Self.allowed else { return nil }
    let until = monotonicNow() &+ Self.most
    repeat {
      if let count = transport.receiveNow(bytes, room) { return count }
      for _ in 0..<8 { stowage_pause() }
    } while monotonicNow() < until
    return nil
  }
}
