// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

/// Sessions through power cuts, each run from one seed.
@Suite(.serialized) struct SessionSimulationTests {
  /// Crashes over all seeds: STOWAGE_TEST_CRASHES.
  private static let crashes =
    ProcessInfo.processInfo.environment["STOWAGE_TEST_CRASHES"].flatMap { Int($0) } ?? 1200
  /// One seed only: STOWAGE_TEST_WORLD.
  private static let only = ProcessInfo.processInfo.environment["STOWAGE_TEST_WORLD"].flatMap { UInt64($0) }

  private static func tiers(_ seed: UInt64) throws -> [ChainTier] {
    var kinds: [TestTier.Kind]
    switch seed % 4 {
    case 0: kinds = [.rle, .lzTransparent, .cipherKept]
    case 1: kinds = [.lzTransparent]
    case 2: kinds = [.rleTransparent, .xor]
    default: kinds = [.cipherKept]
    }
    if seed % 8 >= 4 { kinds.removeLast() }
    return try kinds.enumerated().map { index, kind in
      var tier = ChainTier(try shared(kind), name: "\(kind.name)-\(index + 1)")
      // Some levels are only passed through.
      if seed % 3 == 0, index == kinds.count - 1 { tier.limit = 0 }
      return tier
    }
  }

  private static let loaded = Locked<[TestTier.Kind: TestTier]>([:])
  private static func shared(_ kind: TestTier.Kind) throws -> TierTable {
    try loaded.withLock { known in
      let tier = try known[kind] ?? TestTier(kind)
      known[kind] = tier
      return tier.table
    }
  }

  @Test("after every crash the last checkpoint is there, whole")
  func crashes() throws {
    var total = SessionWorld.Counts()
    var seed = Self.only ?? TestSeed.value &* 1000
    let began = ContinuousClock.now
    repeat {
      let world = try SessionWorld(
        seed, disk: 0, tiers: try Self.tiers(seed), slots: seed % 7 == 0 ? 150 : 500 + Int(seed % 5) * 200, interleaves: seed % 5 != 0)
      for _ in 0..<8 where world.failures.isEmpty { try world.life(operations: 300) }
      world.close()
      let counts = world.counts
      total.crashes += counts.crashes
      total.resumes += counts.resumes
      total.suspends += counts.suspends
      total.checkpoints += counts.checkpoints
      total.failedCheckpoints += counts.failedCheckpoints
      total.pagesCompared += counts.pagesCompared
      total.interleaved += counts.interleaved
      total.automatic += counts.automatic
      for failure in world.failures { Issue.record("\(failure); repeat it with STOWAGE_TEST_WORLD=\(seed)") }
      guard world.failures.isEmpty, Self.only == nil else { break }
      seed &+= 1
    } while total.crashes < Self.crashes
    print("sessions: \(total), \((ContinuousClock.now - began).formatted())")
    if Self.only == nil {
      #expect(total.resumes > total.crashes / 2 && total.suspends > 0 && total.checkpoints > 0)
      #expect(total.interleaved > 0 && total.failedCheckpoints > 0)
    }
  }
}
