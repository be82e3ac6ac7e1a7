// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Testing

extension FaultTests {
  /// Rules 4 to 7: how pages and frames go down.
  @Suite struct LevelRuleTests {
    /// Whether the beginning of any of our pages stands in the clear in a backing's slots.
    private func hasPlaintext(_ disk: Knobs, slots: Int) -> Bool {
      disk.contains([0, 0, 0, 0, 0xED, 0x5E], slots: slots)
    }

    @Test("rule 4: a terminal level gives on what it was given; each page is a slot of its own")
    func terminal() throws {
      let (squeeze, knobs) = faultyTransform("squeeze", limit: 128 << 10)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([squeeze, backing])
      try rig.put(500)
      #expect(rig.level(2).pages > 100)
      #expect(rig.slots(disk, of: 2000).count == rig.level(2).pages)
      #expect(rig.level(2).diskBytes == rig.level(2).pages * 4096)
      #expect(knobs[.decodes] >= rig.level(2).pages)
      #expect(rig.statistics.skips == 0)
      rig.expectTakesAll()
    }

    @Test("rule 4: a transparent level gives on packed frames, unopened")
    func transparent() throws {
      let (pack, knobs) = faultyTransform("pack", limit: 128 << 10)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([pack, backing])
      #expect(rig.level(1).note == "packs frames")
      try rig.put(1000, payload: 400)
      #expect(rig.level(2).pages > 400)
      #expect(knobs[.decodes] == 0)
      #expect(knobs[.encodes] == rig.level(1).pagesEntered)
      // Ten chunks of 400 bytes fit a frame.
      #expect(rig.level(2).diskBytes <= rig.level(2).pages * 4096 / 7, "\(rig.whereabouts)")
      #expect(hasPlaintext(disk, slots: 2000))
      rig.expectTakesAll()
    }

    @Test("rules 4 and 7: frames go through every transparent tier, in order, and come back")
    func severalTransparent() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (first, one) = faultyTransform("cipher", limit: 256 << 10)
      let (second, two) = faultyTransform("cipher", limit: 256 << 10)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([pack, first, second, backing])
      try rig.put(2500, payload: 900)
      #expect(rig.level(4).pages > 200)
      #expect(rig.level(2).pages > 0 && rig.level(3).pages > 0)
      #expect(one[.encodes] > 0 && two[.encodes] > 0)
      #expect(one[.encodes] >= two[.encodes])
      #expect(one[.decodes] == 0 && two[.decodes] == 0)
      #expect(!hasPlaintext(disk, slots: 2000))
      rig.expectTakesAll()
    }

    @Test("rule 4: levels with limit 0 are passed through in one step", arguments: [true, false])
    func limitZero(_ isManual: Bool) throws {
      let (squeeze, never) = faultyTransform("squeeze", limit: 0)
      let (pack, knobs) = faultyTransform("pack", limit: 0)
      let (cipher, seal) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([squeeze, pack, cipher, backing], isManual: isManual)
      if isManual { rig.isPaced = true }
      try rig.put(400, payload: 900)
      rig.settle()
      for level in 1...3 { #expect(rig.level(level).pages == 0) }
      #expect(rig.level(4).pages > 300)
      if isManual {
        #expect(never[.encodes] == 0)
        #expect(knobs[.encodes] == rig.level(4).pages)
        #expect(seal[.encodes] * 3 <= rig.level(4).pages + 40)
      }
      #expect(!hasPlaintext(disk, slots: 2000))
      rig.expectTakesAll()
    }

    @Test("rule 4: a store with limit 0 encodes on the caller's thread")
    func storeLimitZero() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, backing], store: 0, isManual: false)
      try rig.put(500)
      rig.settle()
      #expect(rig.level(0).pages == 0)
      #expect(knobs[.encodes] >= 500)
      rig.expectTakesAll()
    }

    @Test("rule 4: a transparent compressor above another one acts as terminal, and says so")
    func transparentAboveCompressor() throws {
      let (upper, _) = faultyTransform("pack", limit: 128 << 10)
      let (lower, _) = faultyTransform("pack", limit: 128 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([upper, lower, backing])
      #expect(rig.level(1).note == "acts as terminal: another compressor stands below")
      #expect(rig.level(2).note == "packs frames")
      try rig.put(700, payload: 900)
      #expect((1...3).allSatisfy { rig.level($0).pages > 0 })
      rig.expectTakesAll()
    }

    @Test("rule 5: incompressible pages are never stored larger, and not tried at every level")
    func incompressible() throws {
      let tiers = (0..<4).map { faultyTransform($0 == 3 ? "pack" : "squeeze", limit: 128 << 10) }
      let (backing, _) = faultyBacking()
      let rig = try Rig(tiers.map(\.tier) + [backing])
      try rig.put(400, payload: 4096)
      #expect(rig.level(5).pages > 100)
      for level in 1...4 { #expect(rig.level(level).chunkBytes <= rig.level(level).pages * 4096) }
      #expect(rig.level(5).diskBytes <= rig.level(5).pages * 4096)
      // Two have tried in vain: the others do not.
      #expect(tiers[2].knobs[.encodes] == 0 && tiers[3].knobs[.encodes] == 0)
      let tries = tiers.map { $0.knobs[.encodes] }.reduce(0, +)
      #expect(tries <= 2 * 400, "\(tries)")
      rig.expectTakesAll()
      #expect(tiers.allSatisfy { $0.knobs[.decodes] == 0 })
    }

    @Test("rule 6: at an ordinary pace nothing skips")
    func ordinaryPace() throws {
      let (first, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (second, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([first, second, backing])
      try rig.put(600)
      #expect(rig.statistics.skips == 0)
      #expect((0..<3).allSatisfy { rig.level($0).pagesSkipped == 0 })
      #expect((1...3).allSatisfy { rig.level($0).pagesEntered > 0 })
      rig.expectTakesAll()
    }

    @Test("rule 6: rapid growth skips levels from the store only, is counted, and nothing overtakes in the store")
    func rapidGrowth() throws {
      let (first, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (second, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([first, second, backing])
      rig.isPaced = false
      try rig.put(1200)
      #expect(rig.statistics.skips > 0)
      #expect(rig.level(1).pagesSkipped > 0)
      #expect(rig.level(3).pagesSkipped == 0)
      let inStore = rig.level(0).pages
      let order = Dictionary(uniqueKeysWithValues: rig.handles.enumerated().map { ($1, $0) })
      // What is in slots has left the store, and the store holds the youngest.
      for handle in rig.slots(disk, of: 2000).keys { #expect(order[handle]! < rig.handles.count - inStore) }
      rig.settle()
      rig.expectTakesAll()
    }

    @Test("rules 6 and 11: rapid growth does not use up a small backing with raw pages")
    func rapidGrowthAndRoom() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (backing, _) = faultyBacking(slots: 120)
      let rig = try Rig([pack, backing])
      rig.isPaced = false
      _ = rig.putUntilFull(most: 600, payload: 900)
      // 55 in the store, 130 in the compressor, four to a slot.
      #expect(rig.handles.count > 400, "full at \(rig.whereabouts)")
      rig.expectTakesAll()
    }

    @Test("rule 7: a cipher is never skipped: not by rapid growth, not by limits, not when the backing is full")
    func mandatory() throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (cipher, knobs) = faultyTransform("cipher", limit: 64 << 10)
      let (upper, one) = faultyBacking("faulty-transient", slots: 300)
      let (lower, two) = faultyBacking(slots: 300)
      let rig = try Rig([squeeze, cipher, upper, lower])
      rig.isPaced = false
      one[.writeCode] = Code.full
      one[.writeCharges] = 1
      try rig.put(350)
      try rig.store.setLimit(0, level: 2)
      rig.clock?.advance(60_000)
      _ = rig.putUntilFull(most: 1000)
      rig.clock?.advance(60_000)
      rig.settle()
      #expect(rig.statistics.skips > 0)
      #expect(rig.level(2).pagesSkipped == 0)
      #expect(one[.slotsWritten] > 0 && two[.slotsWritten] > 0)
      #expect(!hasPlaintext(one, slots: 300) && !hasPlaintext(two, slots: 300))
      #expect(knobs[.encodes] >= rig.level(3).pages + rig.level(4).pages)
      rig.expectTakesAll()
    }
  }
}
