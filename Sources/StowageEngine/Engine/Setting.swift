// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Glibc

/// The sizes of an engine, worked out and checked from its configuration.
struct Setting {
  let plan: ChainPlan
  let pageSize: Int
  let segmentSize: Int
  let unit: Int
  let segmentCapacity: Int
  let callers: Int
  let workers: Int
  /// By level, in bytes; nil: automatic.
  let limits: [Int?]
  /// The chain's places, vacant ones among them.
  let places: [ChainTier?]
  /// The level of the session's tier, when there is a session.
  let sessionLevel: Int?

  init(_ configuration: StoreConfiguration, _ chain: [ChainTier]) throws(StoreError) {
    let page = configuration.pageSize
    guard page >= 4096, page <= 65536, page & (page - 1) == 0 else {
      throw .configuration("page size \(page) is not a power of two from 4096 to 65536")
    }
    places = Self.places(chain, isChangeable: configuration.isChainChangeable)
    plan = try ChainPlan(places)
    pageSize = page
    let cores = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    workers = configuration.workers ?? min(cores, 16)
    guard workers >= 1, workers <= 64 else {
      throw .configuration("\(workers) workers are not possible, 1 to 64 are")
    }
    try Self.checkDeadlines(configuration, chain)
    sessionLevel = try Self.sessionLevel(configuration, plan, places)
    callers = min(16, max(4, cores * 2))
    segmentSize = Self.segmentSize(memory: configuration.memoryLimit, page: page)
    unit = max(4, segmentSize >> 16)
    let least = Self.leastMemory(segmentSize, levels: chain.count + 1, workers: workers)
    guard configuration.memoryLimit >= least else {
      throw .configuration(
        "a memory limit of \(configuration.memoryLimit) bytes is too little for \(chain.count) tiers and \(workers) "
          + "workers; at least \(least) bytes are needed"
      )
    }
    let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    segmentCapacity = min(1 << 21, max(physical, configuration.memoryLimit) / segmentSize) * 2
    limits = try Self.limits(configuration, places)
  }

  /// A chain that may change has vacant places before, between and behind its tiers, as many as level numbers allow.
  private static func places(_ chain: [ChainTier], isChangeable: Bool) -> [ChainTier?] {
    guard isChangeable else { return chain }
    let each = max(0, min(4, (62 - chain.count) / (chain.count + 1)))
    let gap = [ChainTier?](repeating: nil, count: each)
    return gap + chain.flatMap { [$0] + gap }
  }

  /// A call takes time: with none given, each would count as failed.
  private static func checkDeadlines(_ configuration: StoreConfiguration, _ chain: [ChainTier]) throws(StoreError) {
    guard configuration.deadline > .zero else {
      throw .configuration("a deadline of \(configuration.deadline) is not possible, it must be positive")
    }
    for tier in chain {
      guard let deadline = tier.deadline, deadline <= .zero else { continue }
      throw .configuration("the deadline of '\(tier.name)' is \(deadline), it must be positive")
    }
  }

  private static func sessionLevel(
    _ configuration: StoreConfiguration, _ plan: ChainPlan, _ places: [ChainTier?]
  ) throws(StoreError) -> Int? {
    guard configuration.session != nil else { return nil }
    guard !configuration.isChainChangeable else {
      throw .configuration("a store with a session has a chain that does not change while it is open")
    }
    guard let level = plan.levels.lastIndex(where: { $0.role == .backing }), let tier = places[level - 1] else {
      throw .configuration("the chain has no persistent tier to keep a session in; add a backing such as a swap file")
    }
    guard plan.levels[level].isPersistent, let backing = tier.table.backing?.pointee, backing.root_read != nil,
      backing.root_swap != nil, backing.sync != nil
    else {
      throw .configuration(
        "a session needs a persistent tier at the end of the chain, and '\(tier.name)' is transient; put a swap file below it")
    }
    return level
  }

  private static func limits(_ configuration: StoreConfiguration, _ chain: [ChainTier?])
    throws(StoreError) -> [Int?]
  {
    let limits = [configuration.storeLimit] + chain.map { $0?.limit }
    for (index, limit) in limits.enumerated() {
      guard let limit, limit < 0 else { continue }
      let name = index == 0 ? "store" : chain[index - 1]?.name ?? ""
      throw .configuration("the limit of '\(name)' is \(limit) bytes, it cannot be negative")
    }
    return limits
  }

  /// Small enough that every level has many segments, large enough that their heads and tails cost little.
  private static func segmentSize(memory: Int, page: Int) -> Int {
    let least = max(32768, page * 8)
    let most = max(262_144, page * 32)
    var size = least
    while size < most, memory / (size * 2) >= 256 { size *= 2 }
    return size
  }

  /// Each level's few segments, the reserve, tables and I/O buffers.
  private static func leastMemory(_ segment: Int, levels: Int, workers: Int) -> Int {
    (levels * 2 + reserve(workers: workers)) * segment + 512 * 1024
  }

  /// Segments beyond the levels' limits, so that take, demotion and compaction always finish: what each worker
  /// may have open or as scratch while it frees its source.
  static func reserve(workers: Int) -> Int { workers * 5 + 2 }
}
