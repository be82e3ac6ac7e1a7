// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// How pages or frames leave a level: what is done to them on the way, and where they stop.
struct Route {
  /// The level where they stop.
  var target: Int
  /// As frames, or as single pages.
  var isFrames = false
  /// Frames of pages: the level whose encoding the chunks have, `FrameRecord.rawCodec` for raw pages.
  var codec = Int(FrameRecord.rawCodec)
  /// Which frame transforms are applied on the way, the target's included.
  var transforms: UInt8 = 0
  /// Levels that had a place for them but are gone by: bit n for level n.
  var skipped: UInt64 = 0
  /// Skipped because of rapid growth.
  var isBurst = false
}

/// Choosing routes. All functions here expect the engine's lock to be held.
extension Engine {
  /// The way out of a level now, or nil when there is none for the moment.
  func route(from source: Int, burst: Bool, now: UInt64, flushing: Bool = false) -> Route? {
    guard source < plan.lastPageLevel, !flushing else {
      return frameRoute(from: source, burst: burst, now: now, flushing: flushing, skipped: 0)
    }
    var skipped: UInt64 = 0
    for index in source + 1...plan.lastPageLevel where plan.levels[index].role == .page {
      guard !isDegraded(index, now) else {
        skipped |= 1 << UInt64(index)
        continue
      }
      guard levels[index].limit > 0 else { continue }
      if hasRoom(index) { return Route(target: index, skipped: skipped) }
      // Only the store skips because of growth: what it holds is youngest of all, so nothing is overtaken.
      guard burst, source == 0 else { return nil }
      return burstRoute(blocked: index, now: now, skipped: skipped)
    }
    return frameRoute(from: source, burst: burst, now: now, flushing: false, skipped: skipped)
  }

  func isDegraded(_ index: Int, _ now: UInt64) -> Bool {
    levels[index].degradedUntil != 0 && now < levels[index].degradedUntil
  }

  func hasRoom(_ index: Int) -> Bool { levels[index].segments < levels[index].limit }

  /// Rapid growth: the next level cannot take more yet. The store's oldest go straight to the last compressing
  /// level when that costs about as much as writing them out, otherwise past it.
  private func burstRoute(blocked: Int, now: UInt64, skipped before: UInt64) -> Route? {
    let last = plan.lastPageLevel
    var skipped = before
    for index in blocked..<max(last, blocked) where plan.levels[index].role == .page {
      skipped |= 1 << UInt64(index)
    }
    let canStop =
      last > blocked && !isDegraded(last, now) && levels[last].limit > 0 && hasRoom(last)
    if canStop, levels[last].encodeCost <= 2 * passingCost() {
      return Route(target: last, skipped: skipped, isBurst: true)
    }
    let past = skipped | 1 << UInt64(last)
    if var route = frameRoute(from: 0, burst: true, now: now, flushing: true, skipped: past), canWaste(route.target) {
      route.isBurst = true
      return route
    }
    return canStop ? Route(target: last, skipped: skipped, isBurst: true) : nil
  }

  /// Raw pages take several times the slots of packed ones: only while half of a backing's are free. After that growth
  /// has to wait for the compressors, as the store would be full too early otherwise; and always where RAM is all there is,
  /// as they would take as much of it as before.
  private func canWaste(_ target: Int) -> Bool {
    guard let backing = (target..<levelCount).first(where: { plan.levels[$0].role == .backing }) else { return false }
    return plan.packingLevel == nil || usedSlots(backing) * 2 <= levels[backing].limit
  }

  /// What a raw page costs on its way past the compressors, in nanoseconds.
  private func passingCost() -> Double {
    var cost = 0.0
    for index in plan.lastPageLevel + 1..<max(levelCount, plan.lastPageLevel + 1) {
      cost += levels[index].encodeCost
      if plan.levels[index].role == .backing { break }
    }
    return cost
  }

  /// The way down as frames: through every transform that must be passed, to the first level that has room.
  ///
  /// - Parameter flushing: chunks are packed as they are, whatever their level (a raw page is a frame of its own).
  func frameRoute(from source: Int, burst: Bool, now: UInt64, flushing: Bool, skipped: UInt64) -> Route? {
    var route = Route(target: 0, isFrames: true, skipped: skipped)
    route.codec = chunkCodec(from: source, flushing: flushing, now: now)
    let first = max(source, plan.lastPageLevel) + 1
    guard first < levelCount else { return nil }
    for index in first..<levelCount {
      let level = plan.levels[index]
      switch level.role {
      case .frame:
        guard !level.isLeaving else { continue }
        if isDegraded(index, now) {
          guard !level.isMandatory else { return nil }
          route.skipped |= 1 << UInt64(index)
          continue
        }
        let stops = levels[index].limit > 0 && !(flushing && !burst) && !state.pointee.passesToSession
        if stops, !burst || hasRoom(index) {
          guard hasRoom(index) else { return nil }
          route.transforms |= level.transformBit
          route.target = index
          return route
        }
        // Passed through without stopping; one that would be decoded again at once is left out.
        if !level.isTerminal { route.transforms |= level.transformBit }
      case .backing:
        // What must become persistent does not go past the tier that makes it so.
        if state.pointee.flushTarget > 0, index > state.pointee.flushTarget, source <= state.pointee.flushTarget { return nil }
        if let session, state.pointee.passesToSession, index < session.level { continue }
        // Which slots are free is not known yet.
        if index == session?.level, isLoading.load(ordering: .relaxed) { continue }
        if isDegraded(index, now) || usedSlots(index) >= slotLimit(index, from: source) {
          route.skipped |= 1 << UInt64(index)
          continue
        }
        route.target = index
        return route
      case .store, .page, .passedOver: continue
      }
    }
    return nil
  }

  /// Slots in use, those of writes that were set aside among them.
  func usedSlots(_ index: Int) -> Int { ports[index]?.slots.used ?? 0 }

  /// Slots that may be in use in a backing when frames from a level go there. While a checkpoint is under way, what it must
  /// still write comes first, a slot for each page that has no copy yet at most; the frames in RAM that it sends down itself
  /// may use those that are kept for the index.
  func slotLimit(_ index: Int, from source: Int) -> Int {
    guard let session, index == session.level, state.pointee.passesToSession, let port = ports[index] else {
      return levels[index].limit
    }
    let total = port.slots.total
    guard source <= plan.lastPageLevel else { return total - total / 64 }
    let unsaved = persistentInRam - session.copyCount
    return min(levels[index].limit, total - total / 16 - max(0, unsaved))
  }

  /// Persistent pages above the session's tier.
  var persistentInRam: Int {
    guard let session else { return 0 }
    var count = 0
    for index in 0..<session.level { count += levels[index].pages - levels[index].discardable }
    return count
  }

  private func chunkCodec(from source: Int, flushing: Bool, now: UInt64) -> Int {
    let raw = Int(FrameRecord.rawCodec)
    guard source <= plan.lastPageLevel else {
      // A packing level on its way out hands on what it encoded.
      let level = plan.levels[source]
      return level.isLeaving && level.role == .page && !level.isTerminal ? source : raw
    }
    if flushing { return source == 0 ? raw : source }
    guard let packing = plan.packingLevel else { return raw }
    return isDegraded(packing, now) && source != packing ? raw : packing
  }

  /// Whether discardable pages are dropped on this route.
  func passesDiscardPoint(from source: Int, to target: Int) -> Bool {
    guard source < target else { return false }
    return (source + 1...target).contains { plan.levels[$0].isDiscardPoint }
  }

  /// Counts the pages that went by levels.
  func countSkipped(_ route: Route, pages: Int) {
    guard route.skipped != 0, pages > 0 else { return }
    for index in 0..<levelCount where route.skipped >> UInt64(index) & 1 != 0 {
      levels[index].skipped += pages
    }
    if route.isBurst { state.pointee.skipCount += pages }
  }

  /// Marks a tier that failed: it is left alone for a while that doubles with each failure.
  func degrade(_ index: Int, _ reason: String) {
    let backoff = min(max(levels[index].backoff * 2, 50_000_000), 5_000_000_000)
    levels[index].backoff = backoff
    levels[index].degradedUntil = environment.now() + backoff
    degradedReasons.withLock { $0[index] = reason }
  }

  func recovered(_ index: Int) {
    guard levels[index].degradedUntil != 0 else { return }
    levels[index].degradedUntil = 0
    levels[index].backoff = 0
    degradedReasons.withLock { $0[index] = nil }
  }
}
