// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport

/// What the owner of a simulated store compares with what he knows.
extension SessionWorld {
  func compare(_ handle: Handle, _ page: Page, _ tag: UInt64) {
    guard tag == page.tag, buffer.matches(page.contents) else {
      counts.wrongPages += 1
      return fail("page \(handle) has another tag or other contents")
    }
  }

  // MARK: Damage

  /// The disk gave other bytes than what was written since it had given so many.
  func hasReadDamage(since reads: Int) -> Bool { profile.isDamaged && reads < readsSoFar }

  var readsSoFar: Int { (try? disk.damagedReads) ?? 0 }

  /// The store says that a page is unreadable: true only if the disk gave other bytes before.
  /// - Parameter reads: damaged reads before.
  func noteUnreadable(_ handle: Handle, since reads: Int) {
    if known.vanished.remove(handle) == nil, !hasReadDamage(since: reads), !known.lost.contains(handle) {
      counts.wrongPages += 1
      fail("page \(handle) was dropped as unreadable, and nothing was damaged")
    }
    if known.lost.insert(handle).inserted { counts.pagesNamed += 1 }
  }

  /// Uses a page. That it is unreadable is right when the disk gave other bytes for it.
  func reading(_ handle: Handle, _ body: () throws(StoreError) -> Void) throws(StoreError) {
    let reads = readsSoFar
    do {
      try body()
    } catch .unreadable(let named, _, _) where named == handle {
      noteUnreadable(handle, since: reads)
      forget(handle)
    } catch .staleHandle(let named) where named == handle && mayBeGone(handle) {
      // If the destructor has not told by now, in the middle of the call, it still has to.
      if known.live[handle] != nil { known.vanished.insert(handle) }
      forget(handle)
    }
  }

  /// It was found damaged by the way, or dropped for want of room: of either the destructor will tell.
  private func mayBeGone(_ handle: Handle) -> Bool {
    hasReadDamage(since: readsAtOpen) || known.live[handle]?.kind != .persistent
  }

  // MARK: After a resume

  /// What the owner knows is what it was at the cut that was resumed.
  func adoptCut(_ store: Store) -> Bool {
    let sequence = store.sessionSequence
    guard sequence >= known.completed, let expected = known.cuts[sequence] else {
      counts.notResumed += 1
      let cuts = known.cuts.keys.sorted().suffix(4)
      fail("resumed checkpoint \(sequence), of \(cuts); \(known.completed) had completed")
      return false
    }
    known.completed = sequence
    known.ended += known.live.keys.filter { expected[$0] == nil }.sorted { $0.rawValue < $1.rawValue }
    known.live = expected
    known.cuts = [sequence: expected]
    known.order = known.live.keys.sorted { $0.rawValue < $1.rawValue }
    return true
  }

  func compareAll(_ store: Store) {
    let expected = known.live
    do {
      try findAll(store, expected)
      known.order = known.live.keys.sorted { $0.rawValue < $1.rawValue }
      known.lost = []
      for handle in known.order {
        guard let page = expected[handle] else { continue }
        try compare(handle, page, store)
        counts.pagesCompared += 1
      }
      for handle in known.ended where known.live[handle] == nil && !known.lost.contains(handle) {
        check(stale: handle, store)
      }
    } catch { fail("after a resume: \(error)") }
  }

  /// A page whose every read was damaged is named; any other is right.
  private func compare(_ handle: Handle, _ page: Page, _ store: Store) throws(StoreError) {
    let (namedBefore, reads) = (counts.pagesNamed, readsSoFar)
    try reading(handle) { () throws(StoreError) in compare(handle, page, try store.peek(handle, into: buffer.bytes)) }
    if hasReadDamage(since: reads), counts.pagesNamed == namedBefore, known.live[handle] != nil {
      counts.wrongPages += 1
      fail("page \(handle) was read from a damaged slot, and is not named")
    }
  }

  /// Exactly the pages at the cut are there; of those that were said to be unreadable some may not be.
  private func findAll(_ store: Store, _ expected: [Handle: Page]) throws(StoreError) {
    var found: Set<Handle> = []
    try store.forEachPage { page in
      found.insert(page.handle)
      if expected[page.handle]?.tag != page.tag { fail("page \(page.handle) was not there at the cut") }
    }
    for handle in expected.keys where !found.contains(handle) {
      if !known.lost.contains(handle) {
        counts.wrongPages += 1
        fail("page \(handle) of the cut is missing")
      }
      known.live[handle] = nil
    }
  }

  private func check(stale handle: Handle, _ store: Store) {
    do {
      _ = try store.peek(handle, into: buffer.bytes)
      fail("handle \(handle), of no page at the cut, is good")
    } catch StoreError.staleHandle { } catch { fail("\(error)") }
  }
}
