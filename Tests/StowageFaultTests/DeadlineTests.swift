// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Testing

extension FaultTests {
  /// Whatever a tier is asked, and whatever is waited for before it can be: a deadline ends it.
  @Suite struct DeadlineTests {
    /// Whether something ended by itself; after 3 s the knob that makes it wait is turned back.
    private func endsInTime(_ knobs: Knobs, _ knob: BackingKnob, _ body: () throws -> Void) rethrows -> Bool {
      knobs[knob] = 1
      let watch = Watch(milliseconds: 3000) { knobs[knob] = 0 }
      defer { knobs[knob] = 0 }
      try body()
      return !watch.end()
    }

    @Test("a capacity that is never told: the one that was known holds, and nobody waits for it",
      arguments: ["faulty", "faulty-async", "faulty-serial"])
    func capacity(_ form: String) throws {
      let (tier, knobs) = faultyBacking(form)
      let rig = try Rig([tier], isManual: false)
      try rig.put(200)
      rig.settle()
      let isInTime = try endsInTime(knobs, .hangCapacity) {
        try rig.store.setLimit(1 << 20, level: 1)
        #expect(rig.wait { knobs[.asked] == 1 })
        try rig.store.setLimit(2 << 20, level: 1)
        #expect(rig.level(1).limitBytes == 2 << 20)
        try rig.put(1)
      }
      #expect(isInTime, "a call waited for the capacity")
      knobs[.slots] = 300
      #expect(rig.wait { knobs[.asked] == 0 })
      try rig.store.setLimit(nil, level: 1)
      #expect(rig.wait { (try? rig.store.setLimit(nil, level: 1)) != nil && rig.level(1).limitBytes == 300 * 4096 })
      rig.expectTakesAll()
      rig.store.close()
      #expect(knobs[.closes] == 1)
      #expect(knobs[.violations] == 0)
    }

    @Test(
      "a capacity that is not told at open refuses the store in time, by name", arguments: ["faulty", "faulty-async"])
    func capacityAtOpen(_ form: String) throws {
      let (tier, knobs) = faultyBacking(form)
      let isInTime = endsInTime(knobs, .hangCapacity) {
        do {
          _ = try Rig([tier], isManual: false)
          Issue.record("the store was opened")
        } catch { #expect("\(error)".contains(knobs.name) && "\(error)".contains("capacity"), "\(error)") }
      }
      #expect(isInTime)
      sleepBriefly(milliseconds: 100)
      #expect(knobs[.violations] == 0)
    }

    @Test("an address of a slot that is never told makes a take unavailable in time")
    func map() throws {
      let (tier, knobs) = faultyBacking("faulty-mapped")
      let rig = try Rig([tier], isManual: false)
      try rig.put(300)
      rig.settle()
      let bad = try #require(rig.slots(knobs, of: 2000).first?.key)
      let isInTime = endsInTime(knobs, .hangMap) {
        #expect(rig.take(bad).isUnavailable)
        // The call hangs once, not again for each that asks.
        #expect(rig.peek(bad).isUnavailable)
        #expect(knobs[.asked] == 1)
        #expect(rig.peek(rig.handles[rig.handles.count - 1]) == .right)
      }
      #expect(isInTime)
      #expect(rig.wait { knobs[.asked] == 0 && rig.peek(bad) == .right })
      rig.expectTakesAll()
      rig.store.close()
      #expect(knobs[.closes] == 1)
    }

    @Test("a submission that hangs makes takes unavailable and puts go on in RAM, and ends well")
    func submit() throws {
      let (tier, knobs) = faultyBacking("faulty-async")
      let rig = try Rig([tier], isManual: false)
      try rig.put(300)
      rig.settle()
      let bad = try #require(rig.slots(knobs, of: 2000).first?.key)
      let isInTime = try endsInTime(knobs, .hangSubmit) {
        let took = milliseconds { #expect(rig.take(bad).isUnavailable) }
        #expect((190...1500).contains(took), "\(took) ms")
        try rig.put(5)
        #expect(rig.peek(rig.handles[rig.handles.count - 1]) == .right)
      }
      #expect(isInTime)
      #expect(rig.wait { knobs[.asked] == 0 && rig.peek(bad) == .right })
      try rig.put(100)
      rig.expectTakesAll()
      #expect(rig.wait { rig.level(1).diskBytes == 0 })
      rig.store.close()
      #expect(knobs[.closes] == 1)
      #expect(knobs[.violations] == 0)
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a transform that stands one call at a time and is busy makes a take unavailable in time")
    func gate() throws {
      let (squeeze, knobs) = faultyTransform("squeeze-serial")
      let rig = try Rig([squeeze], isManual: false)
      try rig.put(300)
      rig.settle()
      #expect(rig.level(1).pages > 50)
      knobs[.encodeDelay] = 3_000_000
      rig.isPaced = false
      for _ in 0..<4 where knobs[.inEncode] == 0 { _ = try? rig.put(16) }
      #expect(rig.wait { knobs[.inEncode] == 1 })
      knobs[.encodeDelay] = 0
      let oldest = rig.handles[0]
      var outcome = Outcome.wrong
      let took = milliseconds { outcome = rig.take(oldest) }
      #expect(outcome.isUnavailable && outcome.text.contains("one call at a time"), "\(outcome)")
      #expect((190...2000).contains(took), "\(took) ms")
      #expect(rig.wait { rig.peek(oldest) == .right })
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }
  }
}
