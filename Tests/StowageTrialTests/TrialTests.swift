// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageTrial

@Suite struct TrialTests {
  private static func plan(_ folder: TemporaryFolder, pages: Int, cachePages: Int) throws -> TrialPlan {
    var input = TrialInput()
    input.files = [try folder.pages(pages)]
    input.pages = pages
    input.cachePages = cachePages
    input.seed = 11
    return try TrialPlan(input)
  }

  private static func chain(_ kinds: [TestTier.Kind]) throws -> [ChainTier] {
    try kinds.map { ChainTier(try TestTier($0).table) }
  }

  @Test(.timeLimit(.minutes(2))) func aWholeTrialGivesEveryPageBack() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let plan = try Self.plan(folder, pages: 12_000, cachePages: 2_000)
    let settings = TrialSettings(
      configuration: StoreConfiguration(memoryLimit: 24 << 20),
      chain: try Self.chain([.rle, .lzTransparent, .cipher, .disk]))
    let progress = TrialProgress()
    let report = try Trial(plan: plan, settings: settings, progress: progress).run()

    #expect(report.isSuccess, "\(report.failures)")
    #expect(report.persistentPages == 12_000 && report.discardablePages == 2_000 && report.pages == 14_000)
    #expect(report.mismatches == 0 && report.lost == 0 && report.full == nil)
    #expect(report.discarded > 0 && report.destructorCalls == report.discarded)
    #expect(report.take.calls == 14_000 - report.discarded)
    #expect(report.levels.map(\.name) == ["store", "rle", "lz-transparent", "cipher", "disk"])
    #expect(report.levels.allSatisfy { $0.pagesEntered > 0 })
    let costs = try report.levels.map { try #require($0.ramBytesPerPage) }
    #expect(costs[0] >= 4096 && costs[1] < costs[0] && costs[2] <= costs[1] && costs[4] < costs[2])
    #expect(report.levels.map(\.cohortPages) == Array(repeating: report.cohortPages, count: 5))
    #expect(try #require(report.levels[4].diskBytesPerPage) > 0)
    #expect(report.phases.map(\.name) == ["growth", "paced", "burst", "give back"])
    #expect(report.phases.dropLast().reduce(0) { $0 + $1.pages } == 14_000)
    let end = progress.snapshot()
    #expect(end.done == end.total - report.discarded || end.done == end.total)
  }

  @Test(.timeLimit(.minutes(1))) func aFullChainIsToldAndNothingIsLost() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let plan = try Self.plan(folder, pages: 4_000, cachePages: 0)
    var configuration = StoreConfiguration(memoryLimit: 8 << 20)
    configuration.putPatience = .milliseconds(100)
    let settings = TrialSettings(configuration: configuration, chain: [])
    let report = try Trial(plan: plan, settings: settings, progress: TrialProgress()).run()
    #expect(report.full != nil)
    #expect(report.persistentPages > 500 && report.persistentPages < 4_000)
    #expect(report.isSuccess, "\(report.failures)")
    #expect(report.text().contains("and then no more"))
  }

  @Test(.timeLimit(.minutes(1))) func wrongAndMissingPagesAreNamed() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let plan = try Self.plan(folder, pages: 100, cachePages: 20)
    let table = plan.table
    let store = try Store(configuration: StoreConfiguration(memoryLimit: 8 << 20), chain: [])
    defer { store.close() }
    let reader = PageReader(sources: plan.sources, table: table, pageSize: 4096)
    let feeder = PageFeeder(plan: plan, reader: reader, store: store, progress: TrialProgress())
    try feeder.feed(until: 100, batches: 16, PhaseRecord(.paced)) {}
    #expect(feeder.persistentPut == 100 && feeder.discardablePut == 20)

    // One page with another hash, one that is gone, one dropped twice, one dropped as it should be.
    let zeros = [UInt8](repeating: 0, count: 4096)
    zeros.withUnsafeBytes { table.noteContents($0, of: 5) }
    for page in [7, 110, 111] { try store.discard(Handle(rawValue: table.handle(page))) }
    for page in [110, 110, 111] { table.drops.note(tag: UInt64(page), reason: 0) }
    let giveBack = ReturnPhase(plan: plan, reader: reader, destructorPatience: .milliseconds(20))
    let record = PhaseRecord(.giveBack)
    try giveBack.run(store, record, TrialProgress())
    giveBack.checkDestructors()

    #expect(record.pages == 117)
    #expect(giveBack.mismatches == 1 && giveBack.lost == 1 && giveBack.discarded == 2)
    #expect(giveBack.destructorFaults == 1)
    #expect(giveBack.failures.count == 3)
    for page in ["persistent page 5 (", "persistent page 7 (", "discardable page 110 (/usr/"] {
      #expect(giveBack.failures.contains { $0.hasPrefix(page) }, "\(page)")
    }
    #expect(store.statistics().pages == 0)
  }
}
