// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import StowageEngine
import StowageTestSupport
import Synchronization

/// Pages that all threads use at once. Of each exactly one take, discard or drop ends it; whoever loads one sees
/// contents that it had at some moment of the call.
final class SharedPages: Sendable {
  final class Page: Sendable {
    let handle: Handle
    let tag: UInt64
    let owner: Int
    /// Versions of its contents: the last one begun, and the last one that replace confirmed.
    let begun = Atomic<UInt64>(0)
    let confirmed = Atomic<UInt64>(0)
    /// Takes and discards that succeeded.
    let ended = Atomic<Int>(0)
    /// What take gave; no replace may be confirmed past it.
    let taken = Atomic<UInt64>(.max)

    init(_ handle: Handle, _ tag: UInt64, _ owner: Int) { (self.handle, self.tag, self.owner) = (handle, tag, owner) }

    func contents(_ version: UInt64) -> Contents {
      Contents(seed: tag << 20 | version, kind: Contents.firstWithSeed + UInt32(tag % 4))
    }
  }

  private let slots: Locked<[Page?]>
  private let everything = Locked<[Page]>([])
  private let count: Int
  private let store: Store
  private let failures: Failures

  init(_ store: Store, _ failures: Failures, count: Int = 24) {
    (self.store, self.failures, self.count) = (store, failures, count)
    slots = Locked(Array(repeating: nil, count: count))
  }

  var all: [Page] { everything.withLock { $0 } }

  func step(_ number: Int, _ random: inout SeededRandom, _ buffer: PageBuffer, _ nextTag: inout UInt64) {
    let slot = random.below(count)
    guard let page = slots.withLock({ $0[slot] }) else { return put(slot, number, &random, buffer, &nextTag) }
    let isDead = page.ended.load(ordering: .acquiring) > 0
    do {
      switch random.below(10) {
      case 0...2:
        let low = page.confirmed.load(ordering: .acquiring)
        let tag = try store.take(page.handle, into: buffer.bytes)
        check(page, tag, low, buffer, "take")
        end(page, slot, isDead)
      case 3:
        try store.discard(page.handle)
        end(page, slot, isDead)
      case 4...6:
        let low = page.confirmed.load(ordering: .acquiring)
        check(page, try store.peek(page.handle, into: buffer.bytes), low, buffer, "peek")
      case 7: try store.touch(page.handle)
      default:
        // Only the owner replaces, so that versions follow each other.
        guard page.owner == number else { return }
        try replace(page, buffer)
      }
      if isDead { failures.add("shared page \(page.handle): answered after its end") }
    } catch .staleHandle {
      slots.withLock { if $0[slot] === page { $0[slot] = nil } }
    } catch .full {
    } catch { failures.add("shared page \(page.handle): \(error)") }
  }

  private func replace(_ page: Page, _ buffer: PageBuffer) throws(StoreError) {
    let version = page.begun.load(ordering: .relaxed) + 1
    buffer.fill(page.contents(version))
    page.begun.store(version, ordering: .releasing)
    try store.replace(page.handle, with: buffer.read)
    page.confirmed.store(version, ordering: .releasing)
  }

  private func put(
    _ slot: Int, _ number: Int, _ random: inout SeededRandom, _ buffer: PageBuffer, _ nextTag: inout UInt64
  ) {
    nextTag += 1
    let tag = nextTag
    buffer.fill(Contents(seed: tag << 20, kind: Contents.firstWithSeed + UInt32(tag % 4)))
    do {
      let handle = try store.put(buffer.read, tag: tag, kind: random.one(in: 4) ? .discardable : .persistent)
      let page = Page(handle, tag, number)
      everything.withLock { $0.append(page) }
      // Whatever stood there meanwhile stays among everything, and is ended by close.
      slots.withLock { $0[slot] = page }
    } catch .full {
    } catch { failures.add("shared put: \(error)") }
  }

  private func end(_ page: Page, _ slot: Int, _ isDead: Bool) {
    if page.ended.add(1, ordering: .acquiringAndReleasing).newValue > 1 || isDead {
      failures.add("shared page \(page.handle): ended twice")
    }
    slots.withLock { if $0[slot] === page { $0[slot] = nil } }
  }

  private func check(_ page: Page, _ tag: UInt64, _ low: UInt64, _ buffer: PageBuffer, _ call: String) {
    if tag != page.tag { failures.add("shared \(call) of \(page.handle): tag \(tag), not \(page.tag)") }
    let version = buffer.seed & 0xF_FFFF
    guard buffer.seed >> 20 == page.tag & (1 << 44 - 1), buffer.matches(page.contents(version)) else {
      return failures.add("shared \(call) of \(page.handle): other bytes")
    }
    if call == "take" { page.taken.store(version, ordering: .releasing) }
    let high = page.begun.load(ordering: .acquiring)
    if version < low || version > high {
      failures.add("shared \(call) of \(page.handle): version \(version), confirmed \(low), begun \(high)")
    }
  }
}
