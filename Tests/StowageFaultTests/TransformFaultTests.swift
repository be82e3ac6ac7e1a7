// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Synchronization
import Testing

extension FaultTests {
  /// Transforms that fail, lie or give back other bytes.
  @Suite struct TransformFaultTests {
    @Test("a compressor that fails is passed over, marked, and used again; nothing is lost",
      arguments: [Code.retry, Code.io, Code.invalid, Code.corrupt], ["squeeze", "pack"])
    func encodeFails(_ code: Int, _ form: String) throws {
      let (squeeze, knobs) = faultyTransform(form)
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, backing])
      knobs[.encodeCode] = code
      knobs[.encodeCharges] = -1
      try rig.put(400)
      rig.settle()
      #expect(rig.level(1).pages == 0)
      #expect(rig.level(1).degraded?.contains("told to fail encoding") == true, "\(rig.level(1))")
      #expect(rig.level(2).pages > 0, "pages do not go past the tier that fails")
      #expect(rig.level(1).pagesSkipped > 0)
      #expect(knobs[.encodes] < 40, "\(knobs[.encodes]) tries of a broken tier")
      rig.expectAllRight()
      knobs[.encodeCode] = 0
      rig.clock?.advance(60_000)
      try rig.put(100)
      rig.settle()
      #expect(rig.level(1).degraded == nil)
      #expect(rig.level(1).pages > 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test(
      "a cipher that fails stops demotion past it; nothing goes down in the clear", arguments: [Code.retry, Code.io])
    func cipherFails(_ code: Int) throws {
      let (cipher, knobs) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([cipher, backing])
      knobs[.encodeCode] = code
      knobs[.encodeCharges] = -1
      guard case .full(let reason) = rig.putUntilFull(most: 400) else { Issue.record("put went on"); return }
      #expect(reason.contains(knobs.name) && reason.contains("told to fail encoding"))
      #expect(disk[.slotsWritten] == 0)
      #expect(rig.level(2).pages == 0)
      rig.expectAllRight()
      knobs[.encodeCode] = 0
      rig.clock?.advance(60_000)
      try rig.put(200)
      rig.settle()
      #expect(rig.level(2).pages > 0)
      rig.expectTakesAll()
    }

    @Test("a transform that lies about its length is refused, its output thrown away",
      arguments: [0, 4097, 1 << 40, -5], ["squeeze", "pack"])
    func lies(_ length: Int, _ form: String) throws {
      let (squeeze, knobs) = faultyTransform(form)
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, backing])
      knobs[.lieLength] = length
      knobs[.lieCharges] = 2
      try rig.put(300)
      rig.settle()
      for _ in 0..<3 {
        rig.clock?.advance(10_000)
        try rig.put(60)
        rig.settle()
      }
      #expect(knobs[.lieCharges] == 0)
      #expect(rig.level(1).degraded == nil)
      #expect(rig.level(1).pagesEntered > 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a cipher that lies about its length is marked with what it did")
    func cipherLies() throws {
      let (cipher, knobs) = faultyTransform("cipher")
      let (backing, disk) = faultyBacking()
      let rig = try Rig([cipher, backing])
      knobs[.lieLength] = 17
      knobs[.lieCharges] = -1
      _ = rig.putUntilFull(most: 300)
      #expect(rig.level(1).degraded?.contains("17") == true, "\(rig.level(1).degraded ?? "not marked")")
      #expect(disk[.slotsWritten] == 0)
      rig.expectTakesAll()
    }

    @Test("a packing compressor that lies is marked with a reason that says so")
    func packerLies() throws {
      let (pack, knobs) = faultyTransform("pack", limit: 0)
      let (backing, _) = faultyBacking()
      let rig = try Rig([pack, backing])
      knobs[.lieLength] = 0
      knobs[.lieCharges] = -1
      try rig.put(200)
      rig.settle()
      let reason = rig.level(1).degraded ?? "not marked"
      #expect(reason != "ok" && reason != "not marked", "\(reason)")
      rig.expectTakesAll()
    }

    @Test("a decode that fails for now keeps the page; one that finds damage drops exactly it",
      arguments: [Code.retry, Code.io, Code.corrupt, Code.auth])
    func decodeFails(_ code: Int) throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try Rig([squeeze])
      try rig.put(300)
      rig.settle()
      #expect(rig.level(1).pages > 0)
      let oldest = rig.handles[0]
      knobs[.decodeCode] = code
      knobs[.decodeCharges] = 1
      let outcome = rig.take(oldest)
      #expect(outcome.text.contains("told to fail decoding"))
      #expect(outcome.text.contains(knobs.name))
      rig.settle()
      if code == Code.retry || code == Code.io {
        #expect(outcome.isUnavailable)
        #expect(rig.drops.all.isEmpty)
      } else {
        #expect(outcome.isUnreadable)
        #expect(rig.drops.all.map(\.handle) == [oldest])
        rig.forget([oldest])
      }
      rig.expectTakesAll()
    }

    @Test("an error without words is told with its code, not with an older one's words")
    func reasonIsFresh() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try Rig([squeeze])
      try rig.put(300)
      rig.settle()
      knobs[.decodeCode] = Code.retry
      knobs[.decodeCharges] = -1
      #expect(rig.take(rig.handles[0]).text.contains("told to fail decoding"))
      knobs[.speechless] = 1
      knobs[.decodeCode] = Code.io
      let text = rig.take(rig.handles[0]).text
      #expect(text.contains("I/O error"), "\(text)")
      #expect(!text.contains("told"), "\(text)")
    }

    @Test(
      "decode errors on the way down keep every page where it is", arguments: [Code.retry, Code.io],
      ["squeeze", "swab"])
    func decodeFailsInDemotion(_ code: Int, _ form: String) throws {
      let (transform, knobs) = faultyTransform(form, limit: 256 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([transform, backing])
      try rig.put(100)
      rig.settle()
      knobs[.decodeCode] = code
      knobs[.decodeCharges] = 5
      for _ in 0..<30 {
        _ = rig.putUntilFull(most: 30)
        rig.settle()
        rig.clock?.advance(6000)
      }
      #expect(knobs[.decodeCharges] == 0)
      #expect(rig.level(2).pages > 0)
      #expect(rig.drops.all.isEmpty, "\(rig.drops.all.count) pages were dropped for an error that passes")
      rig.expectTakesAll()
    }

    @Test("damage found on the way down drops exactly its page, once, at its level")
    func damageInDemotion() throws {
      let (squeeze, knobs) = faultyTransform("squeeze", limit: 256 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, backing])
      try rig.put(100)
      rig.settle()
      knobs[.decodeCode] = Code.corrupt
      knobs[.decodeCharges] = 3
      try rig.put(900)
      rig.settle()
      #expect(knobs[.decodeCharges] == 0)
      #expect(rig.drops.all.count == 3)
      #expect(rig.drops.all.allSatisfy { $0.reason == .unreadable && $0.level == 1 })
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectTakesAll()
      #expect(rig.drops.all.count == 3)
    }

    @Test("wrong bytes with OK are found by the end-to-end checksum: take, peek and touch", arguments: [0, 1, 2])
    func wrongBytes(_ how: Int) throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try Rig([squeeze]) { $0.checksEndToEnd = true }
      try rig.put(300)
      rig.settle()
      let page = rig.handles[0]
      knobs[.wrongCharges] = 1
      switch how {
      case 0: #expect(rig.take(page).isUnreadable)
      case 1: #expect(rig.peek(page).isUnreadable)
      default:
        do {
          try rig.store.touch(page)
          Issue.record("touch stored what a tier decoded wrongly")
        } catch {
          guard case .unreadable = error else { Issue.record("\(error)"); break }
        }
      }
      #expect(knobs[.wrongCharges] == 0)
      #expect(rig.take(page) == .failed(.staleHandle(page)))
      rig.settle()
      #expect(rig.drops.all.map(\.handle) == [page])
      rig.forget([page])
      rig.expectTakesAll()
    }

    @Test("wrong bytes decoded on the way down are found in the end")
    func wrongBytesInDemotion() throws {
      let (squeeze, knobs) = faultyTransform("squeeze", limit: 256 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, backing]) { $0.checksEndToEnd = true }
      try rig.put(100)
      rig.settle()
      knobs[.wrongCharges] = 4
      try rig.put(900)
      rig.settle()
      #expect(knobs[.wrongCharges] == 0)
      var unreadable = 0
      for handle in rig.handles {
        let outcome = rig.take(handle)
        if outcome.isUnreadable { unreadable += 1 } else { #expect(outcome == .right) }
      }
      #expect(unreadable == 4)
      rig.settle()
      #expect(rig.drops.all.count == 4)
    }

    @Test("a frame that is not authentic is read once more; then it costs exactly its pages", arguments: [nil, 0])
    func cipherFindsDamage(_ limit: Int?) throws {
      let (cipher, knobs) = faultyTransform("cipher", limit: limit)
      let (backing, _) = faultyBacking()
      let rig = try Rig([cipher, backing])
      try rig.put(300)
      rig.settle()
      knobs[.decodeCode] = Code.auth
      knobs[.decodeCharges] = 1
      #expect(rig.take(rig.handles[0]) == .right)
      #expect(knobs[.decodeCharges] == 0)
      knobs[.decodeCharges] = 2
      let page = rig.handles[0]
      #expect(rig.take(page).isUnreadable)
      #expect(knobs[.decodeCharges] == 0)
      rig.settle()
      #expect(rig.drops.all.map(\.handle) == [page])
      rig.forget([page])
      rig.expectTakesAll()
    }

    @Test("a tier that cannot give a context now makes take unavailable, named, and later it works")
    func contextFails() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try Rig([squeeze])
      try rig.put(300)
      rig.settle()
      knobs[.contextCode] = Code.retry
      knobs[.contextCharges] = 1
      let outcome = rig.take(rig.handles[0])
      #expect(outcome.isUnavailable, "\(outcome)")
      #expect(outcome.text.contains(knobs.name))
      #expect(outcome.text.contains("told to fail opening a context"))
      rig.expectTakesAll()
    }

    @Test("a tier without a context at open refuses the store, and leaves nothing open")
    func contextFailsAtOpen() throws {
      let (first, other) = faultyTransform("squeeze")
      let (second, knobs) = faultyTransform("squeeze")
      knobs[.contextCode] = Code.retry
      knobs[.contextCharges] = -1
      do {
        _ = try Rig([first, second])
        Issue.record("the store opened")
      } catch {
        #expect("\(error)".contains(knobs.name) && "\(error)".contains("told to fail opening a context"))
      }
      #expect(other[.opened] == 1 && other[.closed] == 1 && other[.contexts] == 0)
      #expect(knobs[.opened] == 1 && knobs[.closed] == 1)
      #expect(knobs[.callsWhenClosed] + other[.callsWhenClosed] == 0)
    }

    @Test("after close no tier is called, whatever is asked of the store")
    func nothingAfterClose() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let (backing, disk) = faultyBacking()
      let rig = try Rig([squeeze, backing], isManual: false)
      try rig.put(300)
      let page = rig.handles[0]
      rig.store.close()
      #expect(rig.take(page) == .failed(.closed))
      #expect(rig.peek(page) == .failed(.closed))
      #expect(throws: StoreError.closed) { try rig.store.touch(page) }
      #expect(throws: StoreError.closed) { try rig.store.discard(page) }
      #expect(throws: StoreError.closed) { try rig.put() }
      #expect(throws: StoreError.closed) { try rig.replace(page) }
      #expect(throws: StoreError.closed) { try rig.store.flush() }
      #expect(throws: StoreError.closed) { try rig.store.setMemoryLimit(8 << 20) }
      #expect(throws: StoreError.closed) { try rig.store.setLimit(nil, level: 1) }
      #expect(rig.statistics.pages == 0)
      #expect(rig.store.waitUntilSettled(timeout: .seconds(1)))
      #expect(!rig.store.step())
      rig.store.close()
      #expect(knobs[.callsWhenClosed] == 0)
      #expect(knobs[.contexts] == 0)
      #expect(knobs[.closed] == 1 && disk[.closes] == 1)
      #expect(rig.drops.of(.closed).count == 300)
    }

    @Test("what a tier says of its health stands in the statistics")
    func health() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try Rig([squeeze])
      #expect(rig.level(1).degraded == nil)
      knobs[.healthState] = 2
      #expect(rig.level(1).degraded == "told to be unwell")
      knobs[.healthState] = 1
      #expect(rig.level(1).degraded == nil)
    }
  }
}
