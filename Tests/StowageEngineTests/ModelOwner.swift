// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import StowageEngine
import StowageTestSupport

/// One thread's pages: what it did with the store stands in plain arrays beside it, and every answer is compared.
struct ModelOwner {
  struct Page {
    var handle: Handle
    var tag: UInt64
    var contents: Contents
    var isDiscardable: Bool
  }

  let store: Store
  let failures: Failures
  let number: Int
  var random: SeededRandom
  /// How many pages it likes to have.
  let target: Int
  /// In a hundred.
  let discardableShare: Int
  let buffer: PageBuffer

  var live: [Page] = []
  /// Stale when they were used: a drop must have been told, sooner or later.
  var gone: [Page] = []
  var taken: [Handle] = []
  var discarded: [Handle] = []
  var nextTag: UInt64
  var refusals = 0
  /// Whether a load may be unavailable or a page unreadable: only where faults are injected.
  var toleratesUnavailable = false

  init(_ store: Store, _ failures: Failures, number: Int, seed: UInt64, target: Int, discardableShare: Int) {
    (self.store, self.failures, self.number) = (store, failures, number)
    (self.target, self.discardableShare) = (target, discardableShare)
    random = SeededRandom(seed, "owner \(number)")
    buffer = PageBuffer(store.pageSize)
    nextTag = UInt64(number + 1) << 40
  }

  mutating func step() {
    let dice = random.below(100)
    let putShare = live.count < target ? 60 : 25
    switch dice {
    case ..<putShare: put()
    case _ where live.isEmpty: put()
    default:
      switch random.below(100) {
      case ..<34: take()
      case ..<52: replace()
      case ..<76: peek()
      case ..<84: touch()
      default: discard()
      }
    }
  }

  mutating func put() {
    let contents = Contents.random(&random)
    let isDiscardable = random.below(100) < discardableShare
    nextTag += 1
    buffer.fill(contents)
    do {
      let handle = try store.put(buffer.read, tag: nextTag, kind: isDiscardable ? .discardable : .persistent)
      live.append(Page(handle: handle, tag: nextTag, contents: contents, isDiscardable: isDiscardable))
    } catch .full {
      refused()
    } catch { failures.add("put: \(error)") }
  }

  /// A full store: make room, as an owner would.
  private mutating func refused() {
    refusals += 1
    for _ in 0..<min(16, live.count) { discard() }
  }

  /// Mostly any page, sometimes one of the youngest.
  private mutating func pick() -> Int {
    random.one(in: 4) ? live.count - 1 - random.below(min(64, live.count)) : random.below(live.count)
  }

  private mutating func remove(_ index: Int) {
    live.swapAt(index, live.count - 1)
    live.removeLast()
  }

  /// The error of a call for a page, judged.
  private mutating func judge(_ error: StoreError, _ index: Int, _ call: String) {
    let page = live[index]
    switch error {
    case .staleHandle where page.isDiscardable:
      gone.append(page)
      remove(index)
    case .unavailable where toleratesUnavailable: break
    case .full where call == "replace" || call == "touch": refused()
    default: failures.add("owner \(number), \(call) of \(page): \(error)")
    }
  }

  private func check(_ page: Page, _ tag: UInt64, _ call: String) {
    if tag != page.tag { failures.add("owner \(number), \(call) of \(page): tag \(tag)") }
    if !buffer.matches(page.contents) { failures.add("owner \(number), \(call) of \(page): other bytes") }
  }

  mutating func take() { take(pick()) }

  mutating func take(_ index: Int) {
    let page = live[index]
    do {
      check(page, try store.take(page.handle, into: buffer.bytes), "take")
      taken.append(page.handle)
      remove(index)
      // An ended handle is refused at once, and its place may be another page's by now.
      if random.one(in: 8) { checkStale(page.handle) }
    } catch { judge(error, index, "take") }
  }

  private func checkStale(_ handle: Handle) {
    do {
      try store.peek(handle, into: buffer.bytes)
      failures.add("owner \(number): a taken handle was answered")
    } catch .staleHandle {
    } catch { failures.add("owner \(number): a taken handle gives \(error)") }
  }

  mutating func peek() {
    let index = pick()
    let page = live[index]
    do { check(page, try store.peek(page.handle, into: buffer.bytes), "peek") } catch { judge(error, index, "peek") }
  }

  mutating func replace() {
    let index = pick()
    let contents = Contents.random(&random)
    buffer.fill(contents)
    do {
      try store.replace(live[index].handle, with: buffer.read)
      live[index].contents = contents
    } catch { judge(error, index, "replace") }
  }

  mutating func touch() {
    let index = pick()
    do { try store.touch(live[index].handle) } catch { judge(error, index, "touch") }
  }

  mutating func discard() {
    let index = pick()
    let page = live[index]
    do {
      try store.discard(page.handle)
      discarded.append(page.handle)
      remove(index)
    } catch { judge(error, index, "discard") }
  }

  /// Compares what is left: takes most of it, discards some, and leaves the rest to close.
  mutating func finish() {
    var index = live.count - 1
    while index >= 0 {
      switch random.below(8) {
      case 0: break
      case 1:
        live.swapAt(index, live.count - 1)
        let page = live[live.count - 1]
        do {
          try store.discard(page.handle)
          discarded.append(page.handle)
          live.removeLast()
        } catch { judge(error, live.count - 1, "discard") }
      default: take(index)
      }
      index = min(index, live.count) - 1
    }
  }
}
