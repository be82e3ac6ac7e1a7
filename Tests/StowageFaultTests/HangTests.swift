// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// Calls that are slow or never return: errors by the deadline, others served, everything cleaned up at their end.
  @Suite struct HangTests {
    private func filled(_ form: String, pages: Int = 300) throws -> (Rig, Knobs, Handle, Int) {
      let (tier, knobs) = faultyBacking(form)
      let rig = try Rig([tier], isManual: false)
      try rig.put(pages)
      rig.settle()
      let (bad, slot) = try #require(rig.slots(knobs, of: 2000).first)
      return (rig, knobs, bad, slot)
    }

    @Test("a read that hangs: unavailable by the deadline, others served, later it comes back",
      arguments: ["faulty", "faulty-async"])
    func hangingRead(_ form: String) throws {
      let (rig, knobs, bad, slot) = try filled(form)
      knobs[.hangSlot] = slot
      knobs[.hangRead] = 1
      var outcome = Outcome.wrong
      let took = milliseconds { outcome = rig.take(bad) }
      #expect(outcome.isUnavailable, "\(outcome)")
      #expect(outcome.text.contains(knobs.name))
      #expect(outcome.text.contains("did not return"))
      #expect((190...600).contains(took), "\(took) ms")
      #expect(knobs[.hanging] == 1)
      // Everything else is served meanwhile, puts too.
      let others = milliseconds { rig.expectAllRight(except: [bad]) }
      #expect(others < 3000)
      try rig.put(50)
      rig.settle()
      #expect(rig.peek(bad).isUnavailable)
      knobs[.hangRead] = 0
      #expect(rig.wait { knobs[.hanging] == 0 && rig.peek(bad) == .right })
      #expect(rig.take(bad) == .right)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
      #expect(knobs[.violations] == 0)
    }

    @Test("writes that hang: put refuses in time, nothing is lost, demotion goes on after them",
      arguments: ["faulty", "faulty-async"])
    func hangingWrite(_ form: String) throws {
      let (tier, knobs) = faultyBacking(form)
      let rig = try Rig([tier], isManual: false)
      knobs[.hangWrite] = 1
      var refusal: StoreError?
      let took = milliseconds { refusal = rig.putUntilFull(most: 400) }
      guard case .full(let reason) = refusal else { Issue.record("\(String(describing: refusal))"); return }
      #expect(reason.contains(knobs.name))
      #expect(took < 6000, "\(took) ms")
      #expect(rig.level(1).degraded?.contains("did not return") == true, "\(rig.level(1))")
      rig.expectAllRight()
      knobs[.hangWrite] = 0
      #expect(rig.wait(seconds: 8) { rig.level(1).degraded == nil && rig.level(1).pages > 0 })
      try rig.put(200)
      rig.expectAllRight()
      rig.expectTakesAll()
      rig.settle()
      // Every slot is free again: those of the writes that were set aside too.
      #expect(rig.wait { rig.level(1).diskBytes == 0 })
      #expect(knobs[.violations] == 0)
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a write that ends late does not harm what its slots hold by then", arguments: ["faulty", "faulty-async"])
    func lateWrite(_ form: String) throws {
      let (tier, knobs) = faultyBacking(form, slots: 400)
      let rig = try Rig([tier], isManual: false)
      knobs[.hangWrite] = 1
      knobs[.hangSlot] = 5
      _ = rig.putUntilFull(most: 150)
      #expect(rig.wait { knobs[.hanging] > 0 })
      // The other slots are used meanwhile.
      #expect(
        rig.wait(seconds: 8) { rig.level(1).pages > 50 || rig.putUntilFull(most: 20) == nil && rig.level(1).pages > 50 }
      )
      rig.expectAllRight()
      knobs[.hangWrite] = 0
      #expect(rig.wait { knobs[.hanging] == 0 })
      _ = rig.putUntilFull(most: 100)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a trim that ends late does not harm pages stored since", arguments: ["faulty", "faulty-async"])
    func lateTrim(_ form: String) throws {
      let (tier, knobs) = faultyBacking(form, slots: 600)
      let rig = try Rig([tier], isManual: false)
      try rig.put(600)
      rig.settle()
      knobs[.hangTrim] = 1
      rig.expectTakesAll()
      // Whole words of slots are free: they are trimmed, and the trims hang past their deadline.
      #expect(rig.wait { knobs[.hanging] > 0 })
      sleepBriefly(milliseconds: 1500)
      try rig.put(200)
      rig.settle()
      #expect(rig.level(1).pages > 0)
      knobs[.hangTrim] = 0
      #expect(rig.wait { knobs[.hanging] == 0 })
      sleepBriefly(milliseconds: 50)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
      #expect(knobs[.violations] == 0)
    }

    @Test("a slow call within the deadline is only slow", arguments: ["faulty", "faulty-async"])
    func slow(_ form: String) throws {
      let (rig, knobs, slow, _) = try filled(form)
      knobs[.readDelay] = 60_000
      let took = milliseconds { #expect(rig.take(slow) == .right) }
      #expect((55...180).contains(took), "\(took) ms")
      knobs[.readDelay] = 0
      knobs[.writeDelay] = 20_000
      try rig.put(100)
      rig.expectTakesAll()
      #expect(rig.level(1).degraded == nil)
    }

    @Test("a sync that hangs makes flush fail in time")
    func hangingSync() throws {
      let (rig, knobs, _, _) = try filled("faulty")
      knobs[.hangSync] = 1
      let took = milliseconds {
        do {
          try rig.store.flush(timeout: .seconds(5))
          Issue.record("flush succeeded")
        } catch { #expect("\(error)".contains(knobs.name)) }
      }
      #expect(took < 3000)
      knobs[.hangSync] = 0
      #expect(rig.wait { knobs[.hanging] == 0 })
      try rig.store.flush(timeout: .seconds(5))
      rig.expectTakesAll()
    }

    @Test("a read on the way down that hangs is one call, not ever more; the others go down, and it too in the end",
      arguments: ["faulty-transient", "faulty-async-transient"])
    func hangingReadOnTheWayDown(_ form: String) throws {
      let (first, knobs) = faultyBacking(form, slots: 100)
      let (second, _) = faultyBacking()
      let rig = try Rig([first, second], isManual: false)
      try rig.put(120)
      rig.settle()
      let slots = rig.slots(knobs, of: 100)
      let oldest = try #require(rig.handles.first { slots[$0] != nil })
      knobs[.hangSlot] = try #require(slots[oldest])
      knobs[.hangRead] = 1
      // As many as come by that slot in the order many times.
      #expect(rig.putUntilFull(most: 1200) == nil)
      #expect(rig.wait(seconds: 1) { knobs[.hanging] > 1 } == false, "\(knobs[.hanging]) calls hang")
      #expect(rig.level(2).pages > 1000, "\(rig.whereabouts)")
      rig.expectAllRight(except: [oldest])
      knobs[.hangRead] = 0
      #expect(rig.wait { knobs[.hanging] == 0 && rig.peek(oldest) == .right })
      try rig.store.flush(timeout: .seconds(5))
      #expect(rig.level(1).pages == 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
      #expect(knobs[.violations] == 0)
    }

    @Test("many threads at one hanging slot do not keep the others from being served",
      arguments: ["faulty", "faulty-async"])
    func crowd(_ form: String) throws {
      let (rig, knobs, bad, slot) = try filled(form)
      knobs[.hangSlot] = slot
      knobs[.hangRead] = 1
      let store = rig.store
      // As often as there are threads and requests, and more.
      let unavailable = Atomic<Int>(0)
      let threads = (0..<3).map { _ in
        Background {
          let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
          defer { page.deallocate() }
          for _ in 0..<14 {
            do { try store.peek(bad, into: page) } catch {
              if case StoreError.unavailable = error { unavailable.add(1, ordering: .relaxed) }
            }
          }
        }
      }
      for thread in threads { thread.join() }
      #expect(unavailable.load(ordering: .relaxed) == 42)
      rig.expectAllRight(except: [bad])
      knobs[.hangRead] = 0
      #expect(rig.wait { knobs[.hanging] == 0 })
      rig.expectTakesAll()
      #expect(knobs[.violations] == 0)
    }

    @Test("a tier that stands one call at a time and hangs does not hang statistics, limits or pages in RAM")
    func hangingSerial() throws {
      let (rig, knobs, bad, _) = try filled("faulty-serial")
      knobs[.hangRead] = 1
      #expect(rig.take(bad).isUnavailable)
      let store = rig.store
      let isDone = Atomic<Bool>(false)
      let watch = Watch(milliseconds: 3000) { knobs[.hangRead] = 0 }
      try store.setLimit(1 << 20, level: 1)
      _ = store.statistics()
      try rig.put(1)
      isDone.store(true, ordering: .relaxed)
      #expect(!watch.end(), "a call waited for the tier that hangs")
      knobs[.hangRead] = 0
      #expect(rig.wait { rig.peek(bad) == .right })
      rig.expectTakesAll()
      #expect(knobs[.violations] == 0)
    }

    @Test("closing with a call that never returns ends in time; its late end harms nothing",
      arguments: ["faulty", "faulty-async"], [BackingKnob.hangRead, .hangWrite])
    func closeWhileHanging(_ form: String, _ what: BackingKnob) throws {
      let (tier, knobs) = faultyBacking(form)
      do {
        let rig = try Rig([tier], isManual: false)
        if what == .hangWrite { knobs[.hangWrite] = 1 }
        _ = rig.putUntilFull(most: 200)
        rig.settle()
        if what == .hangRead {
          let bad = try #require(rig.slots(knobs, of: 2000).first?.key)
          knobs[.hangRead] = 1
          #expect(rig.take(bad).isUnavailable)
        }
        #expect(rig.wait { knobs[.hanging] > 0 })
        let pages = rig.handles.count
        let took = milliseconds { rig.store.close() }
        #expect(took < 7000, "\(took) ms")
        #expect(rig.drops.of(.closed).count == pages)
        #expect(knobs[.violations] == 0)
      }
      // The store is gone; now the calls end.
      knobs[what] = 0
      sleepBriefly(milliseconds: 100)
      #expect(knobs[.violations] == 0)
    }

    @Test("hangs that end leave no thread and no request behind", arguments: ["faulty", "faulty-async"])
    func nothingLeaks(_ form: String) throws {
      let before = threadCount()
      do {
        let (rig, knobs, bad, slot) = try filled(form)
        for _ in 0..<4 {
          knobs[.hangSlot] = slot
          knobs[.hangRead] = 1
          #expect(rig.peek(bad).isUnavailable)
          knobs[.hangRead] = 0
          #expect(rig.wait { knobs[.hanging] == 0 })
        }
        rig.expectTakesAll()
        rig.store.close()
        #expect(knobs[.closes] == 1)
        #expect(knobs[.violations] == 0)
      }
      var after = threadCount()
      for _ in 0..<100 where after > before {
        sleepBriefly(milliseconds: 10)
        after = threadCount()
      }
      #expect(after <= before)
    }
  }
}

/// Does something after a time, unless it is ended before.
final class Watch: @unchecked Sendable {
  private let ended = Atomic<Bool>(false)
  private let fired = Atomic<Bool>(false)
  private var thread: Background?

  init(milliseconds: Int, _ body: @escaping @Sendable () -> Void) {
    thread = Background { [self] in
      for _ in 0..<(milliseconds / 5) {
        if ended.load(ordering: .acquiring) { return }
        sleepBriefly(milliseconds: 5)
      }
      fired.store(true, ordering: .releasing)
      body()
    }
  }

  /// Whether it was done.
  func end() -> Bool {
    ended.store(true, ordering: .releasing)
    thread?.join()
    thread = nil
    return fired.load(ordering: .acquiring)
  }
}
