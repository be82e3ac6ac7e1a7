// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Testing

extension FaultTests {
  /// A backing that answers OK and gives other bytes: never wrong bytes, exactly the pages that are touched.
  @Suite struct DamageTests {
    private func filled(_ form: String = "faulty") throws -> (Rig, Knobs, Handle, Int) {
      let (tier, knobs) = faultyBacking(form)
      let rig = try Rig([tier], isManual: form == "faulty")
      try rig.put(300)
      rig.settle()
      let (bad, slot) = try #require(rig.slots(knobs, of: 2000).first)
      return (rig, knobs, bad, slot)
    }

    @Test("a bit that flips on its way is read once more, and nobody notices", arguments: ["faulty", "faulty-async"])
    func transientFlip(_ form: String) throws {
      let (rig, knobs, bad, slot) = try filled(form)
      knobs[.flipSlot] = slot
      knobs[.flipCharges] = 1
      #expect(rig.take(bad) == .right)
      #expect(knobs[.flipCharges] == 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a bit that stays flipped is an error for exactly its page", arguments: ["faulty", "faulty-async"])
    func permanentFlip(_ form: String) throws {
      let (rig, knobs, bad, slot) = try filled(form)
      knobs[.flipSlot] = slot
      knobs[.flipCharges] = -1
      let outcome = rig.take(bad)
      #expect(outcome.isUnreadable, "\(outcome)")
      #expect(outcome.text.contains(knobs.name))
      #expect(outcome.text.contains("checksum"))
      #expect(rig.take(bad) == .failed(.staleHandle(bad)))
      #expect(rig.wait { rig.settle(); return rig.drops.all.count > 0 })
      #expect(rig.drops.all.map(\.handle) == [bad])
      #expect(rig.drops.all.map(\.reason) == [.unreadable])
      #expect(rig.level(1).pagesDropped == 1)
      rig.forget([bad])
      rig.expectTakesAll()
      #expect(rig.drops.all.count == 1)
    }

    @Test("a lost write is seen: the slot's former page is never given")
    func lostWrite() throws {
      let (tier, knobs) = faultyBacking(slots: 200)
      let rig = try Rig([tier])
      // Fill every slot once and take what is in them, so that each holds an older page of ours.
      try rig.put(200)
      rig.settle()
      let former = rig.level(1).pages
      rig.expectTakesAll()
      rig.settle()
      knobs[.loseCharges] = 3
      try rig.put(200)
      rig.settle()
      #expect(knobs[.loseCharges] == 0)
      #expect(rig.level(1).pages >= former - 8)
      var lost = 0
      for handle in rig.handles {
        let outcome = rig.take(handle)
        if outcome.isUnreadable {
          lost += 1
        } else {
          #expect(outcome == .right)
        }
      }
      #expect(lost == 3)
      rig.settle()
      #expect(rig.drops.of(.unreadable).count == 3)
      #expect(rig.drops.all.count == 3)
    }

    @Test("a misdirected write costs its own page and the one that it hits")
    func misdirectedWrite() throws {
      let (rig, knobs, victim, slot) = try filled()
      knobs[.misdirectTo] = slot
      knobs[.misdirectCharges] = 1
      try rig.put(100)
      rig.settle()
      #expect(knobs[.misdirectCharges] == 0)
      var unreadable: [Handle] = []
      for handle in rig.handles {
        let outcome = rig.take(handle)
        if outcome.isUnreadable {
          unreadable.append(handle)
        } else {
          #expect(outcome == .right)
        }
      }
      #expect(unreadable.count == 2)
      #expect(unreadable.contains(victim))
      rig.settle()
      #expect(Set(rig.drops.of(.unreadable).map(\.handle)) == Set(unreadable))
    }

    @Test("a page found damaged by peek or touch is dropped once, and its slot used again")
    func damagedByPeekAndTouch() throws {
      let (rig, knobs, bad, slot) = try filled()
      knobs[.flipSlot] = slot
      knobs[.flipCharges] = -1
      #expect(rig.peek(bad).isUnreadable)
      #expect(throws: StoreError.staleHandle(bad)) { try rig.store.touch(bad) }
      #expect(throws: StoreError.staleHandle(bad)) { try rig.store.discard(bad) }
      rig.settle()
      #expect(rig.drops.all.count == 1)
      rig.forget([bad])
      knobs[.flipSlot] = -1
      rig.expectTakesAll()
      #expect(rig.level(1).diskBytes == 0)
    }

    @Test("a flip between two backings on the way down: read again, then dropped", arguments: [1, -1])
    func flipBetweenBackings(_ charges: Int) throws {
      let (first, knobs) = faultyBacking("faulty-transient", slots: 100)
      let (second, other) = faultyBacking()
      let rig = try Rig([first, second])
      try rig.put(120)
      rig.settle()
      let slots = rig.slots(knobs, of: 100)
      let oldest = try #require(rig.handles.first { slots[$0] != nil })
      knobs[.flipSlot] = try #require(slots[oldest])
      knobs[.flipCharges] = charges
      // The upper backing overflows: its oldest go to the lower one, read and checked on the way.
      try rig.put(200)
      rig.settle()
      #expect(rig.level(2).pages > 0)
      #expect(other[.violations] == 0)
      if charges == 1 {
        #expect(knobs[.flipCharges] == 0)
        #expect(rig.drops.all.isEmpty, "a passing fault has cost pages")
      } else {
        // The bad slot is used again, and may cost another page.
        #expect(rig.drops.all.first?.handle == oldest)
        #expect(rig.drops.all.count <= 3 && rig.drops.all.allSatisfy { $0.reason == .unreadable })
        rig.forget(rig.drops.all.map(\.handle))
      }
      knobs[.flipSlot] = -1
      rig.expectTakesAll()
    }

    @Test("damage that the upper of two backings reports on the way down: read again, then exactly its page is dropped",
      arguments: [Code.corrupt, Code.auth, Code.gone], [1, 2])
    func damageBetweenBackings(_ code: Int, _ charges: Int) throws {
      let (first, knobs) = faultyBacking("faulty-transient", slots: 100)
      let (second, _) = faultyBacking()
      let rig = try Rig([first, second])
      try rig.put(120)
      rig.settle()
      let slots = rig.slots(knobs, of: 100)
      let oldest = try #require(rig.handles.first { slots[$0] != nil })
      knobs[.readSlot] = try #require(slots[oldest])
      knobs[.readCode] = code
      knobs[.readCharges] = charges
      try rig.put(200)
      rig.settle()
      #expect(knobs[.readCharges] == 0)
      #expect(rig.level(1).degraded == nil, "\(rig.level(1).degraded ?? "")")
      #expect(rig.level(2).pages > 0)
      #expect(rig.drops.all.map(\.handle) == (charges == 1 ? [] : [oldest]))
      #expect(rig.drops.all.allSatisfy { $0.reason == .unreadable && $0.level == 1 })
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectTakesAll()
      #expect(rig.drops.all.count == charges - 1)
    }

    @Test("a damaged frame costs exactly its pages, the others of the segment stay")
    func damagedFrame() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (tier, knobs) = faultyBacking()
      let rig = try Rig([pack, tier])
      try rig.put(600, payload: 900)
      rig.settle()
      #expect(rig.level(2).pages > 100)
      knobs[.flipSlot] = 3
      knobs[.flipCharges] = -1
      var unreadable: [Handle] = []
      for handle in rig.handles {
        let outcome = rig.take(handle)
        if outcome.isUnreadable { unreadable.append(handle) } else { #expect(outcome == .right) }
      }
      // Four chunks of 900 bytes fit a frame.
      #expect((1...4).contains(unreadable.count), "\(unreadable.count)")
      rig.settle()
      #expect(Set(rig.drops.all.map(\.handle)) == Set(unreadable))
      #expect(rig.drops.all.count == unreadable.count)
      #expect(rig.statistics.pages == 0)
    }

    @Test("a damaged sparse frame that compaction meets is dropped, and the backing goes on")
    func damagedSparseFrame() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (tier, knobs) = faultyBacking(slots: 120)
      let rig = try Rig([pack, tier])
      #expect(throws: Never.self, "\(rig.whereabouts)") { try rig.put(500, payload: 900) }
      rig.settle()
      // Leave one page in four, so that every frame in a slot is sparse; then one slot goes bad.
      for (index, handle) in rig.handles.enumerated() where index % 4 != 0 { #expect(rig.take(handle) == .right) }
      rig.settle()
      let bad = 5
      knobs[.flipSlot] = bad
      knobs[.flipCharges] = -1
      for _ in 0..<20 {
        _ = rig.putUntilFull(most: 100, payload: 900)
        rig.clock?.advance(6000)
        rig.settle()
      }
      #expect(rig.statistics.framesCompacted > 0)
      #expect(rig.level(2).degraded == nil, "\(rig.level(2).degraded ?? "")")
      rig.forget(rig.drops.of(.unreadable).map(\.handle))
      #expect(rig.drops.all.count <= 4)
      knobs[.flipSlot] = -1
      rig.expectTakesAll()
    }
  }
}
