// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Testing

extension FaultTests {
  /// Dropping discardable pages for want of room, many of them.
  @Suite struct DropTests {
    @Test("dropping a frame for want of room takes a time that does not grow with how many there are, oldest first")
    func many() throws {
      let few = try milliseconds(toDrop: 2000, of: 2500)
      let many = try milliseconds(toDrop: 2000, of: 60000)
      #expect(many < few * 4 + 40, "\(many) ms instead of \(few) ms")
    }

    private func milliseconds(toDrop wanted: Int, of count: Int) throws -> Double {
      var (backing, _) = faultyBacking(slots: count)
      backing.isDiscardPoint = false
      let rig = try Rig([backing], memory: 16 << 20)
      rig.isPaced = false
      try rig.put(count + 30, payload: 500, kind: .discardable)
      #expect(rig.level(1).discardablePages > count - 100)
      let took = StowageFaultTests.milliseconds { #expect(rig.putUntilFull(most: wanted, payload: 500) == nil) }
      let drops = rig.drops.all
      #expect(drops.count > wanted - 400, "\(drops.count)")
      #expect(drops.allSatisfy { $0.reason == .noRoom && $0.kind == .discardable && $0.level <= 1 })
      #expect(drops.map(\.handle) == Array(rig.handles.prefix(drops.count)), "not the oldest first")
      return took
    }
  }
}
