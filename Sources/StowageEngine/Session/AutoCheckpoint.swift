// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// Checkpoints that a store makes by itself.
extension Engine {
  /// Slots that only the last checkpoint needs are room, once there is another one: before a put is refused for want of it,
  /// one is made. False when that would not help. Expects the lock, which is not held meanwhile.
  func makesCheckpointForRoom() -> Bool {
    guard let keeper, let session, let port = ports[session.level] else { return false }
    guard stowage_thread_owner() != identity, !state.pointee.isClosing else { return false }
    // Without threads this call is made by who makes a checkpoint, and waits for it.
    if isManual, state.pointee.passesToSession { return false }
    if keeper.isWanted.load(ordering: .acquiring) || state.pointee.passesToSession, !isManual {
      let ticket = space.ticket
      lock.unlock()
      space.wait(ticket, timeout: 20_000_000)
      lock.lock()
      return true
    }
    guard port.slots.released > 0, keeper.last != nil, environment.now() >= keeper.restUntil else { return false }
    keeper.isWanted.store(true, ordering: .releasing)
    if isManual {
      lock.unlock()
      serveOnce(keeper)
      lock.lock()
    } else {
      keeper.wanted.notify()
    }
    return true
  }

  /// After frames were written to the session's tier: a checkpoint needs slots for what is in RAM, so one that is to free
  /// slots begins while there are some left. With the lock.
  func noteSlotsTaken() {
    guard let keeper, let session, let port = ports[session.level], keeper.last != nil else { return }
    let free = port.slots.total - port.slots.used
    guard port.slots.released > free / 4, !keeper.isWanted.load(ordering: .relaxed), !state.pointee.passesToSession,
      environment.now() >= keeper.restUntil
    else { return }
    guard free < persistentInRam + port.slots.total / 16 else { return }
    keeper.isWanted.store(true, ordering: .releasing)
    keeper.wanted.notify()
  }

  /// Without threads: the checkpoint that is wanted, if there is one.
  func serveWanted() -> Bool {
    guard let keeper, keeper.isWanted.load(ordering: .acquiring), !lock.withLock({ state.pointee.passesToSession })
    else {
      return false
    }
    serveOnce(keeper)
    return true
  }

  /// The session's thread.
  func serveSession() {
    guard let keeper else { return }
    loadInBackground()
    while true {
      let ticket = keeper.wanted.ticket
      let (isClosing, isLow) = lock.withLock { (state.pointee.isClosing, idsAreLow(keeper)) }
      if isClosing { return }
      if isLow || keeper.isWanted.load(ordering: .acquiring) {
        serveOnce(keeper)
      } else {
        keeper.wanted.wait(ticket, timeout: 1_000_000_000)
      }
    }
  }

  private func serveOnce(_ keeper: SessionKeeper) {
    var failed = false
    do throws(StoreError) {
      _ = try checkpoint()
    } catch {
      failed = true
      lock.withLock { keeper.refusal = "\(error)" }
    }
    lock.withLock {
      if !failed { keeper.refusal = nil }
      if failed || keeper.slotsFreed == 0 { keeper.restUntil = environment.now() &+ 1_000_000_000 }
    }
    keeper.isWanted.store(false, ordering: .releasing)
    work.notify()
    space.notify()
  }

  /// Entries of the page table that are not used again before the next checkpoint: the table grows by as many.
  private static let parkedMost = 65_536

  private var heldSlots: Int { session.flatMap { ports[$0.level]?.slots.released } ?? 0 }

  /// Half of what the last root lets this run give out is used. With the lock.
  private func idsAreLow(_ keeper: SessionKeeper) -> Bool {
    guard let limit = keeper.idLimits, environment.now() >= keeper.restUntil else { return false }
    if state.pointee.nextFrameID > limit.frames || pages.parkedCount > Self.parkedMost { return true }
    return (0..<levelCount).contains { levels[$0].nextID > limit.chunks[$0] }
  }

  /// A new root holds: from here on its limits count. With the lock.
  func noteLimits(_ keeper: SessionKeeper) {
    keeper.idLimits = (
      state.pointee.nextFrameID + Self.frameIDReserve / 2,
      (0..<levelCount).map { levels[$0].nextID + Self.chunkIDReserve / 2 }
    )
  }

  func forEachPage(_ body: (PageSummary) -> Void) throws(StoreError) {
    try finishLoading()
    var index = 0
    var batch: [PageSummary] = []
    batch.reserveCapacity(1024)
    while true {
      batch.removeAll(keepingCapacity: true)
      let isClosing = lock.withLock { () -> Bool in
        var looked = 0
        while index < pages.table.count, looked < 1024 {
          let entry = pages.entry(UInt32(index)).pointee
          if entry.place.state != .free {
            batch.append(
              PageSummary(
                handle: Handle(index: UInt32(index), generation: entry.place.generation), tag: entry.tag,
                kind: entry.place.isDiscardable ? .discardable : .persistent))
          }
          index += 1
          looked += 1
        }
        return state.pointee.isClosing
      }
      guard !isClosing else { throw .closed }
      for page in batch { body(page) }
      if lock.withLock({ index >= pages.table.count }) { return }
    }
  }

  var sessionSummary: SessionSummary? {
    guard let keeper else { return nil }
    let (sequence, held, merges, used) = lock.withLock {
      (keeper.sequence, heldSlots, keeper.merges, session.flatMap { ports[$0.level]?.slots.used } ?? 0)
    }
    return SessionSummary(
      name: keeper.configuration.name, attributes: keeper.configuration.attributes,
      isOnce: keeper.configuration.isOnce, sequence: sequence, bytesHeld: held * pageSize, mergesBegun: merges.begun,
      mergesFailed: merges.failed, slotsUsed: used)
  }
}
