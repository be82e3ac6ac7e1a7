// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Synchronization

/// One run of the model: threads with pages of their own and shared ones, over one chain.
final class ModelRun: Sendable {
  struct Outcome {
    var statistics: StoreStatistics
    var failures: [String]
    var operations: Int
    var refusals: Int
  }

  private let chain: ModelChain
  private let seed: UInt64
  private let operations: Int
  private let threads = 4
  private let failures = Failures()
  private let drops = DropLog()
  private let owners = Locked<[ModelOwner]>([])
  private let puts = Atomic<Int>(0)

  init(_ chain: ModelChain, seed: UInt64, operations: Int) {
    (self.chain, self.operations) = (chain, operations)
    var random = SeededRandom(seed, chain.name)
    self.seed = random.next()
  }

  func run() throws -> Outcome {
    let loaded = try chain.load()
    let store = try Store(configuration: chain.configuration(), chain: loaded.tiers, destructor: drops.destructor)
    let shared = SharedPages(store, failures)
    let hasDisk = loaded.tiers.contains { $0.table.lifetime == .persistent }
    let share = operations / threads
    onThreads(threads) { [self] number in
      var owner = ModelOwner(
        store, failures, number: number, seed: seed, target: chain.target, discardableShare: chain.discardableShare)
      var changes = LimitChanges(chain, levels: store.levelNames.count, hasDisk: hasDisk)
      for step in 0..<share where failures.isEmpty {
        if owner.random.one(in: 8) {
          shared.step(number, &owner.random, owner.buffer, &owner.nextTag)
        } else {
          owner.step()
        }
        if number == 0, step % 2048 == 2047 { changes.step(store, failures, &owner.random) }
      }
      owners.withLock { $0.append(owner) }
    }
    if failures.isEmpty, !store.waitUntilSettled(timeout: .seconds(60)) { failures.add("the store does not settle") }
    let statistics = store.statistics()
    end(store)
    checkEnds(store, shared, loaded.tests)
    let refusals = owners.withLock { owners in owners.reduce(0) { $0 + $1.refusals } }
    return Outcome(statistics: statistics, failures: failures.all, operations: share * threads, refusals: refusals)
  }

  private func end(_ store: Store) {
    let all = owners.withLock { owners in
      defer { owners = [] }
      return owners
    }
    onThreads(all.count) { [self] index in
      var owner = all[index]
      if failures.isEmpty { owner.finish() }
      owner.buffer.deallocate()
      owners.withLock { $0.append(owner) }
    }
    store.close()
  }

  /// Every handle ended by exactly one of take, discard, drop and close.
  private func checkEnds(_ store: Store, _ shared: SharedPages, _ tiers: [TestTier]) {
    guard failures.isEmpty else { return }
    let told = drops.drops
    if drops.calls != told.count { failures.add("\(drops.calls) destructor calls for \(told.count) pages") }
    var expected = 0
    for owner in owners.withLock({ $0 }) {
      for handle in owner.taken + owner.discarded where told[handle] != nil {
        failures.add("a destructor was called for \(handle), which its owner ended")
      }
      expected += owner.gone.count + owner.live.count
      for page in owner.gone { check(told[page.handle], page, [.discardPoint, .noRoom]) }
      for page in owner.live {
        check(told[page.handle], page, page.isDiscardable ? [.discardPoint, .noRoom, .closed] : [.closed])
      }
    }
    for page in shared.all {
      let ended = page.ended.load(ordering: .acquiring)
      let dropped = told[page.handle] == nil ? 0 : 1
      if ended + dropped != 1 { failures.add("shared page \(page.handle): \(ended) ends, \(dropped) drops") }
      expected += dropped
      let (taken, confirmed) = (page.taken.load(ordering: .acquiring), page.confirmed.load(ordering: .acquiring))
      if taken != .max, taken < confirmed {
        failures.add("shared page \(page.handle): take gave version \(taken), replace had confirmed \(confirmed)")
      }
    }
    if expected != told.count { failures.add("\(told.count) destructor calls, \(expected) expected") }
    for tier in tiers {
      if let complaint = tier.complaint { failures.add(complaint) }
      if tier[.instances] != 0 || tier[.contexts] != 0 {
        failures.add("tier '\(tier.kind.name)': \(tier[.instances]) instances, \(tier[.contexts]) contexts left open")
      }
    }
  }

  private func check(_ drop: DroppedPage?, _ page: ModelOwner.Page, _ reasons: Set<DropReason>) {
    guard let drop else { return failures.add("no destructor call for \(page)") }
    if drop.tag != page.tag || drop.kind != (page.isDiscardable ? .discardable : .persistent)
      || !reasons.contains(drop.reason)
    {
      failures.add("destructor call for \(page): \(drop)")
    }
  }
}

/// What one of the threads does to the store now and then: other limits, a flush.
struct LimitChanges {
  private let chain: ModelChain
  private let levels: Int
  private let hasDisk: Bool

  init(_ chain: ModelChain, levels: Int, hasDisk: Bool) {
    (self.chain, self.levels, self.hasDisk) = (chain, levels, hasDisk)
  }

  mutating func step(_ store: Store, _ failures: Failures, _ random: inout SeededRandom) {
    do {
      switch random.below(8) {
      case 0, 1: try store.setMemoryLimit(chain.memory - random.below(chain.memory / 4))
      case 2: try store.setMemoryLimit(chain.memory)
      case 3, 4:
        let level = random.below(levels)
        if chain.parts.indices.contains(level - 1), chain.parts[level - 1].slots != nil { break }
        let limits: [Int?] = [nil, 0, chain.memory / 16, chain.memory / 4]
        try store.setLimit(limits[random.below(limits.count)], level: level)
      case 5: for level in 0..<levels { try store.setLimit(nil, level: level) }
      default:
        guard hasDisk, random.one(in: 2) else { return }
        try store.flush(timeout: .seconds(20))
      }
    } catch .full {
    } catch { failures.add("changing limits: \(error)\n\(store.statistics())") }
  }
}
