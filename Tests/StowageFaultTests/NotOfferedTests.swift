// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import StowageEngine
import StowageTestSupport
import Testing

extension FaultTests {
  /// The rule of the ABI on what a tier does not offer: it is done in another way, or refused. It is never passed on to
  /// the tier below.
  @Suite struct NotOfferedTests {
    private static let unsupported = Int(STOWAGE_UNSUPPORTED)

    @Test("what a transparent tier answers UNSUPPORTED to does not reach the tier below it")
    func cipher() throws {
      let (cipher, knobs) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([cipher, backing])
      knobs[.encodeCode] = Self.unsupported
      knobs[.encodeCharges] = -1
      guard case .full(let reason) = rig.putUntilFull(most: 400) else {
        Issue.record("pages went somewhere")
        return
      }
      #expect(reason.contains(knobs.name))
      #expect(knobs[.encodes] > 0)
      #expect(disk[.writes] == 0 && disk[.slotsWritten] == 0 && disk[.trims] == 0 && disk[.syncs] == 0)
      #expect(rig.level(2).pages == 0)
      rig.expectTakesAll()
    }

    @Test("what it does not decode is not read as it is")
    func decode() throws {
      let (cipher, knobs) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([cipher, backing])
      try rig.put(300)
      rig.settle()
      #expect(rig.level(2).pages > 0)
      knobs[.decodeCode] = Self.unsupported
      knobs[.decodeCharges] = -1
      let written = disk[.slotsWritten]
      let outcomes = rig.handles.map { rig.peek($0) }
      #expect(outcomes.contains { $0.isUnavailable })
      #expect(outcomes.allSatisfy { $0 == .right || $0.isUnavailable })
      #expect(disk[.slotsWritten] == written)
      knobs[.decodeCharges] = 0
      rig.expectTakesAll()
    }
  }
}
