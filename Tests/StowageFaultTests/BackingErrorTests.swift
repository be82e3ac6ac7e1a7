// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Testing

extension FaultTests {
  /// A backing that answers with errors: nothing is lost, the tier is marked and tried again.
  @Suite struct BackingErrorTests {
    @Test(
      "a write error leaves pages where they are, marks the tier with its reason, and is tried again",
      arguments: [Code.full, Code.io, Code.retry, Code.invalid, -77])
    func writeError(_ code: Int) throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      knobs[.writeCode] = code
      knobs[.writeCharges] = -1
      let refusal = rig.putUntilFull(most: 300)
      guard case .full(let reason) = refusal else { Issue.record("put gave \(String(describing: refusal))"); return }
      #expect(reason.contains(knobs.name))
      #expect(reason.contains("told to fail writing"))
      #expect(rig.level(1).degraded?.contains("told to fail writing") == true)
      #expect(rig.level(1).pages == 0)
      #expect(knobs[.writes] >= 1)
      rig.expectAllRight()

      // Not tried before the back-off is over, and then again.
      let tries = knobs[.writes]
      rig.settle()
      #expect(knobs[.writes] == tries)
      knobs[.writeCode] = 0
      rig.clock?.advance(10_000)
      try rig.put(200)
      rig.settle()
      #expect(rig.level(1).degraded == nil)
      #expect(rig.level(1).pages > 0)
      #expect(knobs[.violations] == 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("the back-off grows with each failure and begins anew after a success")
    func backOff() throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      knobs[.writeCode] = Code.retry
      knobs[.writeCharges] = -1
      _ = rig.putUntilFull(most: 300)
      // Tries in 10 s of a broken tier: few, and more at the beginning than at the end.
      var tries: [Int] = []
      for _ in 0..<10 {
        let before = knobs[.writes]
        for _ in 0..<20 {
          rig.clock?.advance(50)
          rig.settle()
        }
        tries.append(knobs[.writes] - before)
      }
      #expect(tries.reduce(0, +) <= 20, "\(tries)")
      #expect(tries[0] > tries[5...].max() ?? 0, "\(tries)")
      #expect(tries[5...].reduce(0, +) >= 1, "it is never tried again: \(tries)")
    }

    @Test("a full backing is passed over for a lower one, and used again later")
    func lowerBacking() throws {
      let (first, knobs) = faultyBacking("faulty-transient")
      let (second, other) = faultyBacking()
      let rig = try Rig([first, second])
      knobs[.writeCode] = Code.full
      knobs[.writeCharges] = -1
      try rig.put(300)
      rig.settle()
      #expect(rig.level(1).pages == 0)
      #expect(rig.level(1).degraded != nil)
      #expect(rig.level(1).pagesSkipped > 0)
      #expect(rig.level(2).pages > 0)
      rig.expectAllRight()
      knobs[.writeCode] = 0
      rig.clock?.advance(60_000)
      try rig.put(300)
      rig.settle()
      #expect(rig.level(1).pages > 0)
      #expect(rig.level(1).degraded == nil)
      #expect(other[.violations] + knobs[.violations] == 0)
      rig.expectTakesAll()
    }

    @Test("a read error is an error for exactly that page, whose handle stays good", arguments: [Code.io, Code.retry])
    func readError(_ code: Int) throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      try rig.put(300)
      rig.settle()
      let (bad, slot) = try #require(rig.slots(knobs, of: 2000).first)
      knobs[.readCode] = code
      knobs[.readCharges] = -1
      knobs[.readSlot] = slot
      for _ in 0..<3 {
        let outcome = rig.take(bad)
        guard case .failed(.unavailable(let name, let reason)) = outcome else {
          Issue.record("take gave \(outcome)")
          return
        }
        #expect(name == knobs.name)
        #expect(reason.contains("told to fail reading"))
      }
      #expect(rig.peek(bad).isUnavailable)
      #expect(throws: StoreError.self) { try rig.store.touch(bad) }
      rig.expectAllRight(except: [bad])
      knobs[.readCode] = 0
      #expect(rig.take(bad) == .right)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test(
      "a slot of the upper of two backings that cannot be read for now stays; the others go down, tried now and then",
      arguments: [Code.io, Code.retry])
    func readErrorBetweenBackings(_ code: Int) throws {
      let (first, knobs) = faultyBacking("faulty-transient", slots: 100)
      let (second, _) = faultyBacking()
      let rig = try Rig([first, second])
      try rig.put(120)
      rig.settle()
      let slots = rig.slots(knobs, of: 100)
      let oldest = try #require(rig.handles.first { slots[$0] != nil })
      knobs[.readSlot] = try #require(slots[oldest])
      knobs[.readCode] = code
      knobs[.readCharges] = -1
      for _ in 0..<20 {
        _ = rig.putUntilFull(most: 10)
        rig.clock?.advance(6000)
        rig.settle()
      }
      #expect(rig.level(2).pages > 50)
      #expect(knobs[.reads] < 1000, "\(knobs[.reads]) reads")
      rig.expectAllRight(except: [oldest])
      knobs[.readCode] = 0
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("the reason of an error is the one of its call, not of an older one")
    func reasonIsFresh() throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      try rig.put(300)
      rig.settle()
      let (bad, slot) = try #require(rig.slots(knobs, of: 2000).first)
      knobs[.readSlot] = slot
      knobs[.readCharges] = -1
      knobs[.readCode] = Code.retry
      #expect(rig.take(bad).text.contains("told to fail reading"))
      knobs[.silent] = 1
      knobs[.readCode] = Code.io
      #expect(rig.take(bad).text.contains("I/O error"))
      #expect(!rig.take(bad).text.contains("told"))
    }

    @Test("a slot that is gone makes its page unreadable: dropped once, everything else intact")
    func gone() throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      try rig.put(300)
      rig.settle()
      let (bad, slot) = try #require(rig.slots(knobs, of: 2000).first)
      knobs[.readCode] = Code.gone
      knobs[.readCharges] = -1
      knobs[.readSlot] = slot
      #expect(rig.take(bad).isUnreadable)
      #expect(rig.take(bad) == .failed(.staleHandle(bad)))
      rig.settle()
      #expect(rig.drops.all.map(\.handle) == [bad])
      #expect(rig.drops.all.first?.reason == .unreadable)
      #expect(rig.drops.all.first?.level == 1)
      #expect(rig.drops.all.first?.tag == rig.seed(bad))
      rig.forget([bad])
      rig.expectTakesAll()
    }

    @Test("a failing sync makes flush fail; pages stay, and a later flush succeeds")
    func syncError() throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      try rig.put(100)
      knobs[.syncCode] = Code.io
      do {
        try rig.store.flush(timeout: .seconds(5))
        Issue.record("flush succeeded")
      } catch {
        #expect("\(error)".contains(knobs.name))
        #expect("\(error)".contains("told to fail syncing"))
      }
      rig.expectAllRight()
      knobs[.syncCode] = 0
      try rig.store.flush(timeout: .seconds(5))
      #expect(rig.level(1).pages == 100)
      #expect(knobs[.syncs] == 2)
      rig.expectTakesAll()
    }

    @Test("a flush over a tier that cannot write fails, with everything intact")
    func flushWriteError() throws {
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([tier])
      try rig.put(50)
      knobs[.writeCode] = Code.io
      knobs[.writeCharges] = -1
      #expect(throws: StoreError.self) { try rig.store.flush(timeout: .seconds(5)) }
      rig.expectTakesAll()
    }

    @Test("a capacity that shrinks: no slot past the end is written, what lies there comes back while it can")
    func shrinkingCapacity() throws {
      let (tier, knobs) = faultyBacking(slots: 1000)
      let rig = try Rig([tier])
      try rig.put(300)
      rig.settle()
      let used = rig.level(1).pages
      #expect(used > 200)
      knobs[.slots] = 100
      try rig.store.setLimit(nil, level: 1)
      #expect(rig.level(1).limitBytes == 100 * 4096)
      let written = knobs[.slotsWritten]
      guard case .full = rig.putUntilFull(most: 300) else { Issue.record("put went on"); return }
      #expect(knobs[.slotsWritten] == written)
      #expect(knobs[.violations] == 0)
      rig.expectAllRight()
      // Room is made below the new end: it is used again.
      knobs[.slots] = 1000
      try rig.store.setLimit(nil, level: 1)
      rig.clock?.advance(60_000)
      try rig.put(200)
      rig.settle()
      #expect(knobs[.violations] == 0)
      rig.expectTakesAll()
    }

    @Test("a capacity that shrinks or grows without a word is noticed when the tier is full")
    func silentCapacity() throws {
      let (tier, knobs) = faultyBacking(slots: 100)
      let rig = try Rig([tier], isManual: false)
      guard case .full = rig.putUntilFull(most: 400) else { Issue.record("put went on"); return }
      #expect(rig.level(1).pages >= 90, "\(rig.level(1).pages) of 100 slots are used")
      rig.expectAllRight()
      knobs[.slots] = 1000
      #expect(rig.wait { rig.level(1).limitBytes == 1000 * 4096 })
      try rig.put(200)
      rig.settle()
      #expect(knobs[.violations] == 0)
      rig.expectTakesAll()
    }

    @Test("a backing is filled to its last slot before anything is refused")
    func lastSlot() throws {
      let (tier, knobs) = faultyBacking(slots: 61)
      let rig = try Rig([tier])
      guard case .full = rig.putUntilFull(most: 400) else { Issue.record("put went on"); return }
      rig.clock?.advance(60_000)
      rig.settle()
      #expect(rig.level(1).pages == 61)
      #expect(rig.level(1).degraded == nil, "a full tier is not a broken one")
      #expect(knobs[.violations] == 0)
      rig.expectTakesAll()
    }
  }
}
