// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Glibc
import Synchronization

/// How the removal of a tier ended.
public enum TierRemoval: Sendable, Hashable {
  case removed
  /// So many frames still need the tier to be decoded (or segments and slots have come to it again meanwhile).
  case needed(frames: Int)
}

/// Tiers that come and go while the store is open.
///
/// A change is made while every working context is held (so no call into a tier is under way), its last step under the
/// lock too (so no table is being read). Contexts are waited for at most 20 ms at a time: a piece of work that takes
/// longer puts the change off, and nobody else waits for it. Levels keep their numbers; a tier comes into a vacant
/// place.
extension Engine {
  var levelNames: [String] { lock.withLock { plan.listed.map { plan.levels[$0].name } } }

  // MARK: Coming

  /// - Parameter replaced: the tier that leaves with this change, right below which it is to stand; nil: by priority.
  func addTier(_ tier: ChainTier, replacing replaced: String?) throws(StoreError) {
    try guardChange()
    chainGate.lock()
    defer { chainGate.unlock() }
    let old = try replaced.map { name throws(StoreError) in try self.place(named: name) }
    if let old { try checkMayLeave(old) }
    let place = try vacancy(for: tier, replacing: old)
    var changed = chain
    changed[place] = tier
    let next = try plan(for: changed, leaving: old.map { leaving.union([$0 + 1]) } ?? leaving)
    let epoch = nextEpoch
    nextEpoch += 1
    let instance = try TierInstance(
      tier, pageSize: pageSize, epoch: epoch, deadline: nanoseconds(tier.deadline ?? configuration.deadline))
    var port: BackingPort?
    do throws(StoreError) {
      port = try makePort(level: place + 1, tier, instance)
      if let total = try port?.readCapacity(isOpening: true) { port?.slots.setTotal(total) }
      try paused { () throws(StoreError) in try bring(instance, port, tier, to: place, next, leaving: old) }
    } catch {
      end(instance, port)
      throw error
    }
    work.notify()
    space.notify()
  }

  /// With every context held. Takes itself back when a context or the memory is refused.
  private func bring(
    _ instance: TierInstance, _ port: BackingPort?, _ tier: ChainTier, to place: Int, _ next: ChainPlan,
    leaving old: Int?
  ) throws(StoreError) {
    let level = place + 1
    let before = try plan(for: chain, leaving: leaving)
    do throws(StoreError) {
      let memory = instance.memoryBytes
      let contexts = try openContexts(level, instance.calls)
      let each = contexts > 0 ? (instance.memoryBytes - memory) / contexts : 0
      try atRest { () throws(StoreError) in
        install(instance, port, tier, at: place, next)
        let limitBefore = old.map { levels[$0 + 1].limitGiven } ?? 0
        if let old { levels[old + 1].limitGiven = 0 }
        state.pointee.contextBytes += each
        levels[level].contextBytes = each
        do throws(StoreError) {
          try rebalance(force: true)
          try checkRoom()
        } catch {
          install(nil, nil, nil, at: place, before)
          if let old { levels[old + 1].limitGiven = limitBefore }
          state.pointee.contextBytes -= each
          try? rebalance(force: true)
          throw error
        }
      }
    } catch {
      closeContexts(level, instance.calls)
      throw error
    }
  }

  private func install(
    _ instance: TierInstance?, _ port: BackingPort?, _ tier: ChainTier?, at place: Int, _ next: ChainPlan
  ) {
    let level = place + 1
    chain[place] = tier
    instances[place] = instance
    calls[level] = instance?.calls
    epochs.setCodec(level, Codec(level: UInt8(level), space: UInt8(level), epoch: instance?.calls.epoch ?? 0))
    ports[level] = port
    noteHolders()
    // Ids are never used twice, also by another tier in this place.
    let nextID = levels[level].nextID
    levels[level] = LevelState()
    levels[level].nextID = nextID
    levels[level].codec = UInt8(level)
    levels[level].limitGiven = tier?.limit ?? -1
    degradedReasons.withLock { $0[level] = nil }
    plan.replace(by: next)
  }

  /// A vacant place where the tier is to stand: beside the one that it replaces, or by its priority.
  private func vacancy(for tier: ChainTier, replacing old: Int?) throws(StoreError) -> Int {
    if let old { return try vacancy(beside: old) }
    let above = chain.lastIndex { $0.map { $0.table.priority <= tier.table.priority } ?? false } ?? -1
    let vacant = vacant(below: above)
    guard !vacant.isEmpty else { throw noPlace(from: above, to: vacant.upperBound) }
    // Right below one of its own priority, as more of these come below it; else in the middle.
    let isNext = above >= 0 && chain[above]?.table.priority == tier.table.priority
    return isNext ? vacant.lowerBound : (vacant.lowerBound + vacant.upperBound) / 2
  }

  /// Right below the tier that is replaced, as what it holds goes down; with no place left there right above it, when
  /// others further down can take that. So the places of tiers that have gone are used again.
  private func vacancy(beside old: Int) throws(StoreError) -> Int {
    let below = vacant(below: old)
    if !below.isEmpty { return below.lowerBound }
    let above = (chain[..<old].lastIndex { $0 != nil } ?? -1) + 1..<old
    guard !above.isEmpty, hasWayDown(old) else { throw noPlace(from: old, to: below.upperBound) }
    return above.upperBound - 1
  }

  private func vacant(below place: Int) -> Range<Int> {
    place + 1..<(chain[(place + 1)...].firstIndex { $0 != nil } ?? chain.count)
  }

  /// Whether what a tier holds can go to one further down.
  private func hasWayDown(_ place: Int) -> Bool {
    let role = plan.levels[place + 1].role
    return role == .passedOver
      || plan.levels[(place + 2)...].contains { level in
        !level.isLeaving && (level.role == .backing || (level.role == .page && role == .page))
      }
  }

  private func noPlace(from above: Int, to below: Int) -> StoreError {
    let names = [above >= 0 ? chain[above]?.name : "store", below < chain.count ? chain[below]?.name : nil]
    return .configuration(
      "no place is left in the chain beside \(names.compactMap { $0.map { "'\($0)'" } }.joined(separator: " and ")); "
        + "remove a tier there, or close the store and open it with the new chain")
  }

  // MARK: Going

  func drainTier(named name: String) throws(StoreError) {
    try guardChange()
    chainGate.lock()
    defer { chainGate.unlock() }
    try drain(try place(named: name))
  }

  private func checkMayLeave(_ place: Int) throws(StoreError) {
    let level = plan.levels[place + 1]
    guard !level.isMandatory else {
      throw .configuration(
        "tier '\(level.name)' is mandatory: it is never drained, as what it protects would go on without it")
    }
  }

  private func drain(_ place: Int) throws(StoreError) {
    let level = place + 1
    guard !plan.levels[level].isLeaving else { return }
    try checkMayLeave(place)
    let next = try plan(for: chain, leaving: leaving.union([level]))
    try paused { () throws(StoreError) in
      try atRest { () throws(StoreError) in
        levels[level].limitGiven = 0
        plan.replace(by: next)
        try rebalance(force: true)
      }
    }
    work.notify()
  }

  func removeTier(named name: String, timeout: Duration) throws(StoreError) -> TierRemoval {
    try guardChange()
    chainGate.lock()
    defer { chainGate.unlock() }
    let place = try place(named: name)
    try drain(place)
    let until = environment.now() &+ nanoseconds(timeout)
    try waitUntilEmpty(place + 1, until: until)
    var needed = 0
    var changed = chain
    changed[place] = nil
    let next = try plan(for: changed, leaving: leaving.subtracting([place + 1]))
    let instance = instances[place]
    let port = ports[place + 1]
    try paused { () throws(StoreError) in
      try atRest { () throws(StoreError) in
        needed = framesThatNeed(place + 1) + levels[place + 1].segments + levels[place + 1].slots
        guard needed == 0 else { return }
        state.pointee.contextBytes -= levels[place + 1].contextBytes
        install(nil, nil, nil, at: place, next)
        try rebalance(force: true)
      }
      if needed == 0 { closeContexts(place + 1, instance?.calls) }
    }
    guard needed == 0 else { return .needed(frames: needed) }
    if let instance { end(instance, port) }
    return .removed
  }

  /// Closes a tier that is not in the chain. One with a call that has not returned stays open for ever, and its port
  /// and this engine with it, as the late end will come to them.
  private func end(_ instance: TierInstance, _ port: BackingPort?) {
    guard let port, !port.shutDown() else { return instance.close() }
    _ = Unmanaged.passRetained(port)
    _ = Unmanaged.passRetained(self)
  }

  private func waitUntilEmpty(_ level: Int, until: UInt64) throws(StoreError) {
    while true {
      lock.lock()
      let ticket = quiet.ticket
      if holdsSegments(level) { sealIdle(level) }
      reclaimLimbo()
      let isEmpty = levels[level].segments == 0 && levels[level].slots == 0
      let isStuck = isStalled
      let isClosing = state.pointee.isClosing
      lock.unlock()
      guard !isClosing else { throw .closed }
      if isEmpty { return }
      guard environment.now() < until else {
        let reason = lock.withLock { fullReason() }
        throw .full("what '\(plan.levels[level].name)' holds has found no other place in time: \(reason)")
      }
      if isManual {
        guard step() else { throw .full(lock.withLock { fullReason() }) }
        continue
      }
      if !isStuck { work.notify() }
      quiet.wait(ticket, timeout: 5_000_000)
    }
  }

  /// Frames whose chunks a level encoded, or that went through its transform. With the lock.
  private func framesThatNeed(_ level: Int) -> Int {
    let bit = plan.levels[level].transformBit
    var count = 0
    for frame in 0..<frames.count {
      let record = frames.record(FrameIndex(frame)).pointee
      guard record.count > 0, record.live > 0 || record.pins > 0 || record.flags & FrameRecord.moving != 0
      else { continue }
      let isOfCodec = record.codec != FrameRecord.rawCodec && Int(epochs.codec(Int(record.codec)).level) == level
      if isOfCodec || epochs.set(record.transforms).mask & bit != 0 { count += 1 }
    }
    return count
  }

  // MARK: Common

  private func guardChange() throws(StoreError) {
    guard configuration.isChainChangeable else {
      throw .unsupported("this store was opened with a fixed chain; open it with a chain that may change")
    }
    guard stowage_thread_owner() != identity else {
      throw .unsupported("the chain cannot be changed from a destructor: it waits for the thread that runs it")
    }
  }

  private var leaving: Set<Int> { Set(plan.levels.indices.filter { plan.levels[$0].isLeaving }) }

  private func place(named name: String) throws(StoreError) -> Int {
    guard let place = chain.firstIndex(where: { $0?.name == name }) else {
      let names = chain.compactMap { $0.map { "'\($0.name)'" } }.joined(separator: ", ")
      throw .configuration("there is no tier '\(name)' in the chain, which has \(names)")
    }
    return place
  }

  /// The plan of a changed chain, if every tier that stays has the same work in it.
  private func plan(for changed: [ChainTier?], leaving: Set<Int>) throws(StoreError) -> ChainPlan {
    let next = try ChainPlan(changed, leaving: leaving, after: plan)
    for index in next.levels.indices where !plan.levels[index].isVacant && !next.levels[index].isVacant {
      guard plan.levels[index].role == next.levels[index].role else {
        throw .configuration(
          "this change would change what '\(plan.levels[index].name)' does in the chain while it holds pages; "
            + "close the store and open it with the new chain")
      }
    }
    return next
  }

  /// The part of a change during which nobody reads the tables: under the lock, with every context held.
  private func atRest(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    lock.lock()
    defer { lock.unlock() }
    guard !state.pointee.isClosing else { throw .closed }
    guard state.pointee.flushes == 0 else {
      throw .unavailable(tier: "chain", reason: "a flush is under way; try again when it is done")
    }
    try body()
  }

  /// Everything that a tier's working context can be in: of calling threads and of workers.
  private var contexts: [Context] { (0..<callers.count).map { callers[$0] } + workers }

  /// Runs a change while no context is in use: no call into a tier is under way.
  private func paused(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    let until = ContinuousClock.now + .nanoseconds(Int64(clamping: contextPatience))
    while try !holdingAll(body) {
      guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
      guard ContinuousClock.now < until else {
        throw .unavailable(tier: "chain", reason: "calls under way did not end in time; try again")
      }
      // Who waited for a context gets one before the next attempt.
      if !isManual { usleep(2000) }
    }
  }

  /// One attempt; false when a context stayed in use.
  private func holdingAll(_ body: () throws(StoreError) -> Void) throws(StoreError) -> Bool {
    let contexts = contexts
    let held = hold(contexts)
    defer { for context in contexts[..<held] { callers.release(context) } }
    guard held == contexts.count else { return false }
    try body()
    return true
  }

  /// Holds as many contexts as come free within some milliseconds. Not longer: who holds one may be waiting for
  /// another, as a destructor that calls the store does, so what was held is let go before the next attempt.
  private func hold(_ contexts: [Context]) -> Int {
    let until = ContinuousClock.now + .milliseconds(isManual ? 0 : 20)
    var held = 0
    for context in contexts {
      while !context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
        guard ContinuousClock.now < until else { return held }
        usleep(200)
      }
      held += 1
    }
    return held
  }

  /// The longest that a call into a backing may take, and some.
  private var contextPatience: UInt64 {
    let deadlines = chain.compactMap { $0 }.map { nanoseconds($0.deadline ?? configuration.deadline) }
    return (deadlines.max() ?? 0) &+ 5_000_000_000
  }

  /// A level's contexts where the other levels have theirs; how many.
  private func openContexts(_ level: Int, _ calls: TierCalls) throws(StoreError) -> Int {
    var count = 0
    for context in contexts where context.pointee.isPrepared {
      let use = context.pointee.isWorker || context.pointee.canEncode
        ? UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE) : UInt32(STOWAGE_CONTEXT_DECODE)
      do throws(ContextFailure) {
        try context.pointee.prepare(level, calls, use: use)
      } catch {
        throw .configuration("the tier cannot be used: \(error.reason)")
      }
      count += 1
    }
    return count
  }

  private func closeContexts(_ level: Int, _ calls: TierCalls?) {
    for context in contexts { context.pointee.close(level, calls) }
  }
}
