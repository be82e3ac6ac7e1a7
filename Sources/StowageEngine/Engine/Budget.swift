// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The memory limit, divided. All functions here expect the engine's lock to be held.
extension Engine {
  /// RAM of the page, word, frame and segment tables.
  var tableBytes: Int {
    pages.byteCount + words.byteCount + frames.byteCount + arena.tableBytes + (pageSums?.byteCount ?? 0)
      + (session?.byteCount(pages: pages.table.count, frames: frames.count) ?? 0)
  }

  /// RAM beside pools and tables: codec contexts, scratch pages, work spaces, I/O buffers. Puts ask for it: no
  /// reference is counted here.
  var workspaceBytes: Int {
    var bytes = 0
    for holder in plan.holders { bytes += holder.byteCount }
    for index in 0..<callers.count { bytes += callers[index].pointee.byteCount }
    for context in workers { bytes += context.pointee.byteCount }
    for space in jobSpaces { bytes += space.byteCount }
    bytes += sessionBytes
    for queue in dropQueues { bytes += queue.byteCount }
    return bytes
  }

  /// What the tiers have asked the host for, while they are opened.
  var tierMemory: Int { instances.reduce(0) { $0 + ($1?.memoryBytes ?? 0) } }

  /// Notes who takes memory now; after each change of `instances` and `ports`.
  func noteHolders() {
    for level in plan.holders.indices {
      let instance = level > 0 && level <= instances.count ? instances[level - 1] : nil
      let port = level < ports.count ? ports[level] : nil
      plan.holders[level] = .init(
        instance: instance.map(Unmanaged.passUnretained), port: port.map(Unmanaged.passUnretained))
    }
  }

  /// All RAM that the store makes the process use now.
  var ramBytes: Int { arena.present * segmentSize + tableBytes + workspaceBytes }

  /// Segments that may be present at all within the limit, tables and workspaces taken off.
  var segmentsAllowed: Int {
    max(0, (state.pointee.memoryLimit - tableBytes - workspaceBytes - reservedBytes) / segmentSize)
  }

  /// Whether a put may take one more segment and leave the reserve untouched.
  var hasRoomForPut: Bool {
    arena.inUse + Setting.reserve(workers: workers.count) < segmentsAllowed
  }

  /// Whether the tables may grow by so much; checked before a put makes them.
  func hasRoomForTables(_ growth: Int) -> Bool { growth <= 0 || hasRoomBesidePools(growth) }

  /// Whether there is room for what work can do without, with the reserve untouched by all who ask at once.
  var hasRoomBesides: Bool {
    arena.inUse + 2 * Setting.reserve(workers: workers.count) < segmentsAllowed
  }

  /// Whether so much more fits the limit beside the segments in use and the reserve.
  func hasRoomBesidePools(_ growth: Int) -> Bool {
    let after = (arena.inUse + Setting.reserve(workers: workers.count)) * segmentSize
    return after + tableBytes + workspaceBytes + reservedBytes + growth <= state.pointee.memoryLimit
  }

  /// Works the levels' limits out anew when the tables have grown or a setting changed.
  func rebalance(force: Bool = false) throws(StoreError) {
    let tables = tableBytes
    guard force || tables > state.pointee.tableBytesAtRebalance + segmentSize else { return }
    state.pointee.tableBytesAtRebalance = tables
    let pool = max(0, segmentsAllowed - Setting.reserve(workers: workers.count))
    state.pointee.poolSegments = pool
    setRamLimits(pool: pool)
    for level in 0..<levelCount where plan.levels[level].role == .backing {
      let given = levels[level].limitGiven
      var slots = ports[level]?.slotsTotal ?? 0
      // What a checkpoint must be able to write when frames have taken all that they may.
      if level == session?.level { slots -= min(slots, max(64, slots / 16)) }
      levels[level].setLimit(given < 0 ? slots : min(slots, given / pageSize))
    }
    arena.shrink(to: segmentsAllowed)
  }

  /// Levels with a limit of their own get it, the others share what is left by weight. When all that was
  /// given is more than there is, everyone gets less in proportion.
  private func setRamLimits(pool: Int) {
    // No list is made of them: this happens while tables grow, when nothing may be allocated.
    var (count, last) = (0, 0)
    for level in 0..<levelCount where holdsSegments(level) { (count, last) = (count + 1, level) }
    var given = 0
    var weights = 0
    for level in 0..<levelCount where holdsSegments(level) {
      if levels[level].limitGiven >= 0 {
        given += levels[level].limitGiven / segmentSize
      } else {
        weights += weight(level, last: last)
      }
    }
    let floor = weights > 0 ? count * 2 : 0
    let scale = given > max(0, pool - floor) ? Double(max(0, pool - floor)) / Double(max(1, given)) : 1
    let rest = max(0, pool - Int(Double(given) * scale))
    for level in 0..<levelCount where holdsSegments(level) {
      // The store goes down further, so that threads that put are woken once for many pages.
      let drained = level == 0 ? 4 : 8
      if levels[level].limitGiven >= 0 {
        let wish = levels[level].limitGiven / segmentSize
        let scaled = Int(Double(wish) * scale)
        levels[level].setLimit(levels[level].limitGiven == 0 ? 0 : max(2, scaled), drained: drained)
      } else {
        levels[level].setLimit(max(2, rest * weight(level, last: last) / max(1, weights)), drained: drained)
      }
    }
  }

  func holdsSegments(_ level: Int) -> Bool {
    switch plan.levels[level].role {
    case .store, .page, .frame: true
    case .backing, .passedOver: false
    }
  }

  /// Shares of the pool: compressing levels and the store alike, ciphers less, as they only pass things on. Where
  /// nothing stands below, the last level gets most, as a page is cheapest there.
  private func weight(_ level: Int, last: Int) -> Int {
    let hasBacking = plan.levels.contains { $0.role == .backing }
    if level == last, !hasBacking { return 12 }
    return plan.levels[level].role == .frame ? 1 : 3
  }

  /// Whether the limit leaves every level the segments it needs, now that contexts and buffers are there.
  func checkRoom() throws(StoreError) {
    let inRam = (0..<levelCount).filter { holdsSegments($0) }.count
    let least = inRam * 2 + Setting.reserve(workers: workers.count)
    // What is still to come: the codec contexts of a calling thread, and the tables' first blocks.
    let bytes = least * segmentSize + tableBytes + workspaceBytes + reservedBytes + 4 * 65536
    guard state.pointee.memoryLimit >= bytes else {
      throw .configuration(
        "a memory limit of \(state.pointee.memoryLimit) bytes is too little for this chain, whose codecs and buffers "
          + "take \(workspaceBytes); at least \(bytes) bytes are needed"
      )
    }
  }

  func notePeak() {
    let now = ramBytes
    if now > state.pointee.ramPeak { state.pointee.ramPeak = now }
  }
}
