// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

/// Simulations of sessions run one at a time, as their disks call back.
@Suite(.serialized) enum SimulatedSessions {}

extension SimulatedSessions {
  /// Sessions through power cuts and disks that go wrong, each run from one seed.
  @Suite(.serialized) struct SessionSimulationTests {
    /// Crashes over all seeds: STOWAGE_TEST_CRASHES.
    private static let crashes = CrashMatrix.number("STOWAGE_TEST_CRASHES") ?? 1000
    /// One seed only: STOWAGE_TEST_WORLD.
    private static let only = CrashMatrix.number("STOWAGE_TEST_WORLD").map { UInt64($0) }

    @Test("after every crash the last checkpoint is there, whole")
    func crashes() throws {
      var total = SessionCounts()
      var seed = Self.only ?? TestSeed.value &* 1000
      let began = ContinuousClock.now
      repeat {
        let world = try SessionWorld(seed, try SessionProfile(seed))
        for _ in 0..<8 where world.failures.isEmpty { try world.life(operations: 300) }
        world.close()
        try world.countFaults()
        total.add(world.counts)
        for failure in world.failures { Issue.record("\(failure); repeat it with STOWAGE_TEST_WORLD=\(seed)") }
        guard world.failures.isEmpty, Self.only == nil else { break }
        seed &+= 1
      } while total.allCrashes < Self.crashes
      try CrashMatrix.report("lives", total, since: began)
      guard Self.only == nil else { return }
      #expect(total.resumes > total.allCrashes / 2 && total.suspends > 0 && total.checkpoints > 0)
      #expect(total.interleaved > 0 && total.failedCheckpoints > 0 && total.automatic > 0 && total.full > 0)
      #expect(total.merges > 0)
      #expect(total.pagesNamed > 0 && total.refusals > 0 && total.failedResumes > 0)
      for fault in SimulatedDisk.Fault.allCases { #expect(total.faults[fault] ?? 0 > 0, "\(fault)") }
    }
  }}
