// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Testing

/// Random operations from several threads against a plain model, over many chains.
@Suite(.serialized) struct ModelTests {
  @Test(arguments: ModelChain.selected) func `every page comes back`(chain: ModelChain) throws {
    let weights = ModelChain.all.reduce(0) { $0 + $1.weight }
    let operations = Int((Double(TestSeed.operations) * chain.weight / weights).rounded(.up))
    let began = ContinuousClock.now
    let outcome = try ModelRun(chain, seed: TestSeed.value, operations: operations).run()
    let statistics = outcome.statistics
    print(
      "\(chain): \(outcome.operations) operations in \(ContinuousClock.now - began), \(outcome.refusals) refusals,",
      "\(statistics.skips) skips, compacted \(statistics.chunksCompacted) chunks, \(statistics.framesCompacted) frames;",
      statistics.levels.map { "\($0.name) \($0.pagesEntered)" }.joined(separator: ", "))
    for failure in outcome.failures { Issue.record("\(failure) (STOWAGE_TEST_SEED=\(TestSeed.value))") }
    guard operations >= 20_000 else { return }
    for level in statistics.levels where !chain.unreachable.contains(level.name) {
      #expect(level.pagesEntered > 0, "nothing reached level '\(level.name)'")
    }
    #expect(statistics.chunksCompacted > 0, "no segment was compacted")
    if chain.skips { #expect(statistics.skips > 0, "nothing skipped a level") }
    if chain.compactsFrames { #expect(statistics.framesCompacted > 0, "no frame was compacted") }
  }
}
