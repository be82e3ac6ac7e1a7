// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// The engine without threads, clock and chance of its own: everything follows from the seed.
@Suite(.serialized) struct ManualTests {
  /// A clock that moves a little whenever it is looked at, and random numbers, both from a seed.
  private final class Simulation: Sendable {
    private let state: Locked<(now: UInt64, random: SeededRandom)>

    init(_ seed: UInt64) { state = Locked((1_000_000_000, SeededRandom(seed, "simulation"))) }

    var environment: Environment {
      Environment(
        now: { [self] in
          state.withLock {
            $0.now += 100 + $0.random.next() % 20_000
            return $0.now
          }
        },
        random: { [self] in state.withLock { $0.random.next() } }, scheduling: .manual)
    }
  }

  private static let chains = ["compressors, cipher, disk", "two backings", "terminal xor below packing"]

  @Test(arguments: ModelChain.all.filter { chains.contains($0.name) })
  func `one seed gives one history`(chain: ModelChain) throws {
    let operations = max(2000, TestSeed.operations / 60)
    let first = try history(chain, seed: TestSeed.value, operations: operations)
    let second = try history(chain, seed: TestSeed.value, operations: operations)
    let other = try history(chain, seed: TestSeed.value &+ 1, operations: operations)
    for failure in first.failures + second.failures + other.failures {
      Issue.record("\(failure) (STOWAGE_TEST_SEED=\(TestSeed.value))")
    }
    #expect(first.moments == second.moments)
    #expect(first.drops == second.drops)
    #expect(first.moments != other.moments, "the history does not depend on the seed")
    guard operations >= 10_000 else { return }
    let last = try #require(first.moments.last)
    for level in last.levels { #expect(level.pagesEntered > 0, "nothing reached level '\(level.name)'") }
    #expect(last.chunksCompacted > 0)
  }

  private func history(_ chain: ModelChain, seed: UInt64, operations: Int) throws
    -> (moments: [StoreStatistics], drops: [Handle: DroppedPage], failures: [String])
  {
    let loaded = try chain.load()
    let (drops, failures) = (DropLog(), Failures())
    var configuration = chain.configuration()
    configuration.workers = 1
    let store = try Store(
      configuration: configuration, chain: loaded.tiers, environment: Simulation(seed).environment,
      destructor: drops.destructor)
    var owner = ModelOwner(
      store, failures, number: 0, seed: seed, target: chain.target * 4, discardableShare: chain.discardableShare)
    defer { owner.buffer.deallocate() }
    var moments: [StoreStatistics] = []
    for step in 0..<operations where failures.isEmpty {
      owner.step()
      for _ in 0..<owner.random.below(3) { store.step() }
      if step % 4096 == 4095 { try? store.flush(timeout: .seconds(1000)) }
      if step % 512 == 0 { moments.append(store.statistics()) }
    }
    moments.append(store.statistics())
    owner.finish()
    store.close()
    for tier in loaded.tests { if let complaint = tier.complaint { failures.add(complaint) } }
    let ended = owner.taken.count + owner.discarded.count + drops.calls
    if ended != moments[moments.count - 1].puts {
      failures.add("\(ended) ends of \(moments[moments.count - 1].puts) pages")
    }
    return (moments, drops.drops, failures.all)
  }
}
