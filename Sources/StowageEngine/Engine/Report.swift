// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Synchronization

/// Figures of an engine.
extension Engine {
  func statistics() -> StoreStatistics {
    // A context is held so that no tier is closed while it is asked for its health.
    let context = callers.acquire()
    defer { callers.release(context) }
    let isOpen = !lock.withLock { self.state.pointee.isClosing }
    let health = (0..<levelCount).map { isOpen ? tierHealth($0) : nil }
    lock.lock()
    defer { lock.unlock() }
    let levels = plan.listed.map { levelStatistics($0, health: health[$0]) }
    let state = state.pointee
    return StoreStatistics(
      levels: levels, pageSize: pageSize, pages: pages.live, discardablePages: state.discardablePages,
      sameFilledPages: state.sameFilled, puts: state.putCount, replaces: state.replaceCount, takes: state.takeCount,
      peeks: state.peekCount, discards: state.discardCount, drops: state.dropCount, skips: state.skipCount,
      stalls: state.stallCount, chunksCompacted: state.chunksCompacted, framesCompacted: state.framesCompacted,
      memoryLimit: state.memoryLimit, ramBytes: ramBytes, ramPeakBytes: max(state.ramPeak, ramBytes),
      workspaceBytes: workspaceBytes)
  }

  private func levelStatistics(_ index: Int, health: String?) -> LevelStatistics {
    let level = levels[index]
    let planned = plan.levels[index]
    let pool = poolBytes(index)
    let metadata = metadataBytes(index)
    // Headers of chunks stand in the pool; they are metadata all the same, but are not counted twice.
    let headers = planned.role == .store || planned.role == .page ? level.pages * ChunkHeader.byteCount : 0
    let kind: LevelStatistics.Kind =
      planned.role == .store ? .store : planned.role == .backing ? .backing : .transform
    let isBacking = planned.role == .backing
    return LevelStatistics(
      name: planned.name, kind: kind, note: planned.note, pages: level.pages, discardablePages: level.discardable,
      pagesEntered: level.entered, pagesDemoted: level.demoted, pagesSkipped: level.skipped,
      pagesDropped: level.dropped, ramBytes: pool + metadata, poolBytes: pool,
      chunkBytes: isBacking ? 0 : level.liveBytes, metadataBytes: metadata + headers,
      diskBytes: isBacking ? level.slots * pageSize : 0,
      limitBytes: isBacking ? level.limit * pageSize : level.limit * segmentSize,
      encodeMicroseconds: level.encodes > 0 ? Double(level.encodeNanoseconds) / Double(level.encodes) / 1000 : 0,
      degraded: levels[index].isDegraded ? degradedReasons.withLock { $0[index] } ?? "failed" : health)
  }

  /// The RAM of a level's segments; of those still being appended to, what is filled: the rest is room at hand,
  /// counted in the store's sum only.
  private func poolBytes(_ index: Int) -> Int {
    guard holdsSegments(index) else { return 0 }
    var bytes = levels[index].segments * segmentSize
    var segment = levels[index].head
    while segment != noSegment {
      let head = arena.head(segment)
      if head.pointee.state == .open { bytes -= segmentSize - min(segmentSize, Int(head.pointee.used) + 4095 & ~4095) }
      segment = head.pointee.next
    }
    return bytes
  }

  /// Page entries, frame records and places, segment heads.
  private func metadataBytes(_ index: Int) -> Int {
    let level = levels[index]
    var bytes = level.pages * (MemoryLayout<PageEntry>.stride + (pageSums == nil ? 0 : 8))
    bytes += level.segments * (MemoryLayout<Segment>.stride + 4)
    if level.frames > 0 {
      bytes += level.frames * frames.recordBytes + level.pages * MemoryLayout<FramePlace>.stride
      if holdsSegments(index) { bytes += level.frames * 4 }
    }
    return bytes
  }

  var warnings: [String] {
    lock.withLock { arena.lockFailed ? plan.warnings + [Self.lockWarning] : plan.warnings }
  }

  private static let lockWarning =
    "the system refuses to lock the pools in RAM (mlock), so its own swap may take them; raise RLIMIT_MEMLOCK (ulimit -l) to the memory limit, or do without locking"

  /// Logs once that memory could not be locked. Without the lock.
  func sayLockFailure() {
    let isNew = lock.withLock { () -> Bool in
      defer { if arena.lockFailed { state.pointee.isLockFailureSaid = true } }
      return arena.lockFailed && !state.pointee.isLockFailureSaid
    }
    if isNew { HostTable.say(2, Self.lockWarning) }
  }

  /// What the tier itself says of its health, if anything is wrong. Without the lock.
  private func tierHealth(_ index: Int) -> String? {
    guard let tier = calls[index], let ask = tier.health else { return nil }
    var health = stowage_health()
    health.struct_size = UInt32(MemoryLayout<stowage_health>.size)
    guard tier.tryEnter() else { return "busy: a call into it has not returned yet" }
    let result = ask(tier.instance, &health)
    tier.leave()
    guard result == STOWAGE_OK, health.state == STOWAGE_HEALTH_DEGRADED
      || health.state == STOWAGE_HEALTH_FAILED
    else { return nil }
    return withUnsafeBytes(of: health.message) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
