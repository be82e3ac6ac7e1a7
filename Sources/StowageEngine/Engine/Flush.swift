// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// Flushing, changing limits, and closing.
extension Engine {
  func flush(timeout: Duration) throws(StoreError) {
    guard stowage_thread_owner() != identity else {
      throw .unsupported("flush cannot be called from a destructor: it waits for the thread that runs it")
    }
    try finishLoading()
    let until = environment.now() &+ nanoseconds(timeout)
    // The chain does not change while a flush is counted.
    let target = lock.withLock { () -> Int? in
      guard let persistent = persistentLevel else { return nil }
      state.pointee.flushes += 1
      state.pointee.flushTarget = persistent
      return persistent
    }
    guard let persistent = target else {
      throw .unsupported("the chain has no persistent tier to flush to; add a backing such as a swap file")
    }
    defer { endFlush() }
    // From the top: what a level hands down arrives below before that level's turn.
    for index in 0..<persistent where plan.levels[index].role != .passedOver {
      try flushLevel(index, until: until, to: persistent)
    }
    let context = try acquire()
    defer { callers.release(context) }
    // With threads the call is made on one that has a context of its own.
    guard !isManual || prepareToEncode(context) else {
      throw .unavailable(tier: plan.levels[persistent].name, reason: "there is no working context for sync now")
    }
    guard let port = ports[persistent] else { return }
    let result = port.sync(context)
    guard result == STOWAGE_OK else {
      throw .unavailable(tier: plan.levels[persistent].name, reason: "sync failed: \(port.lastFailure(result))")
    }
  }

  private func endFlush() {
    lock.lock()
    defer { lock.unlock() }
    state.pointee.flushes -= 1
    // Another flush that is still under way needs them.
    guard state.pointee.flushes == 0 else { return }
    state.pointee.flushTarget = 0
    for index in 0..<levelCount {
      levels[index].flushBelow = 0
      levels[index].flushClaimed = 0
      levels[index].flushLeft = 0
    }
  }

  /// For a checkpoint, which has seen to it that frames stop nowhere above `target`: those that had stopped go there.
  func sendFramesDown(to target: Int) throws(StoreError) {
    let above = lock.withLock { () -> [Int] in
      let found = (0..<target).filter { index in
        (plan.levels[index].role == .frame || plan.levels[index].role == .backing)
          && levels[index].pages > levels[index].discardable
      }
      guard !found.isEmpty else { return [] }
      state.pointee.flushes += 1
      state.pointee.flushTarget = target
      return found
    }
    guard !above.isEmpty else { return }
    defer { endFlush() }
    let until = environment.now() &+ putPatience
    for index in above { try flushLevel(index, until: until, to: target) }
  }

  private var persistentLevel: Int? {
    plan.levels.firstIndex { $0.role == .backing && $0.isPersistent && !$0.isLeaving }
  }

  private func flushLevel(_ index: Int, until: UInt64, to persistent: Int) throws(StoreError) {
    let below = lock.withLock { beginFlush(index) }
    var lastMove = environment.now()
    while true {
      lock.lock()
      guard !state.pointee.isClosing else {
        lock.unlock()
        throw .closed
      }
      if holdsSegments(index) { sealIdle(index) }
      let ticket = quiet.ticket
      let isDone = isFlushed(index, below)
      let now = environment.now()
      // No way down, or nothing under way or to be begun, for a while, and no tier that may recover: what is left has no
      // room.
      let isStuck =
        (isBlocked(index, now) || isStalled) && !(0..<levelCount).contains { levels[$0].isDegraded }
      lock.unlock()
      if isDone { return }
      if !isStuck { lastMove = now }
      guard now &- lastMove < 200_000_000 else { throw .full(lock.withLock { fullReason() }) }
      guard now < until else {
        throw .timedOut(
          "flush was not done in time: '\(plan.levels[index].name)' still holds pages; \(lock.withLock { fullReason() })")
      }
      if isManual {
        guard step() else { throw .full(lock.withLock { fullReason() }) }
        continue
      }
      work.notify()
      quiet.wait(ticket, timeout: 5_000_000)
    }
  }

  /// Marks what is at a level now: that is to leave it, what comes later may stay.
  private func beginFlush(_ index: Int) -> UInt64 {
    let isInRam = holdsSegments(index)
    let below = isInRam ? state.pointee.nextSequence : state.pointee.nextFrameID
    levels[index].flushBelow = below
    levels[index].flushClaimed = levels[index].claimed
    levels[index].flushLeft = isInRam ? 0 : levels[index].frames
    return below
  }

  /// Whether what is to leave a level has no way down, whatever else goes on.
  private func isBlocked(_ index: Int, _ now: UInt64) -> Bool {
    levels[index].flushClaimed == 0 && route(from: index, burst: false, now: now, flushing: true) == nil
  }

  /// Whether nothing persistent is left of what a level held when its flush began.
  private func isFlushed(_ index: Int, _ below: UInt64) -> Bool {
    guard holdsSegments(index) else { return levels[index].flushLeft == 0 }
    guard levels[index].flushClaimed == 0 else { return false }
    var segment = levels[index].head
    while segment != noSegment {
      let head = arena.head(segment)
      if head.pointee.sequence < below, head.pointee.count > head.pointee.discardable { return false }
      segment = head.pointee.next
    }
    return true
  }

  // MARK: Limits

  func setMemoryLimit(_ bytes: Int) throws(StoreError) {
    let least = (lock.withLock { plan.listed.count } * 2 + Setting.reserve(workers: workers.count)) * segmentSize
    lock.lock()
    defer { lock.unlock() }
    guard !state.pointee.isClosing else { throw .closed }
    guard bytes >= least + workspaceBytes else {
      throw .configuration(
        "a memory limit of \(bytes) bytes is too little for this chain; at least \(least + workspaceBytes) are needed")
    }
    guard bytes / segmentSize <= arena.capacity else {
      throw .configuration(
        "a memory limit of \(bytes) bytes is more than this store can take, \(arena.capacity * segmentSize) bytes")
    }
    state.pointee.memoryLimit = bytes
    try rebalance(force: true)
    work.notify()
    space.notify()
  }

  func setLimit(_ bytes: Int?, level listed: Int) throws(StoreError) {
    let known = lock.withLock { plan.listed }
    guard known.indices.contains(listed) else {
      throw .configuration("there is no level \(listed); the levels are 0 to \(known.count - 1)")
    }
    let level = known[listed]
    try refreshCapacity(level)
    lock.lock()
    defer { lock.unlock() }
    guard !state.pointee.isClosing else { throw .closed }
    guard !plan.levels[level].isVacant, !plan.levels[level].isLeaving else {
      throw .configuration("level \(listed) is leaving the chain; it has no limit to be set")
    }
    if let bytes, bytes < 0 {
      throw .configuration("the limit of '\(plan.levels[level].name)' is \(bytes) bytes, it cannot be negative")
    }
    levels[level].limitGiven = bytes ?? -1
    if level == 0 { putsThrough.store(bytes == 0, ordering: .relaxed) }
    try rebalance(force: true)
    work.notify()
    space.notify()
  }

  /// Asks a backing anew how many slots it has. Without the lock; a context is held, so that the tier is not closed
  /// meanwhile.
  func refreshCapacity(_ level: Int) throws(StoreError) {
    let context = callers.acquire()
    defer { callers.release(context) }
    guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
    guard level > 0, level < ports.count, let port = ports[level] else { return }
    guard let total = try port.readCapacity() else { return }
    try lock.withLock { () throws(StoreError) in
      guard total != port.slots.total else { return }
      port.slots.setTotal(total)
      try rebalance(force: true)
    }
  }

  func waitUntilSettled(timeout: Duration) -> Bool {
    // An engine thread would wait for itself.
    guard stowage_thread_owner() != identity else { return false }
    let until = environment.now() &+ nanoseconds(timeout)
    while true {
      lock.lock()
      let ticket = quiet.ticket
      reclaimLimbo()
      let isSettled = state.pointee.jobs == 0 && state.pointee.puts == 0 && findWork(for: nil) == nil && !isSealing
      lock.unlock()
      if isSettled { return true }
      if isManual {
        guard step() else { return true }
        continue
      }
      guard environment.now() < until else { return false }
      work.notify()
      quiet.wait(ticket, timeout: 2_000_000)
    }
  }

  /// Whether a level is to be emptied but an open segment of it is in somebody's hands for the moment.
  private var isSealing: Bool {
    (0..<levelCount).contains { index in
      holdsSegments(index) && levels[index].limit == 0 && levels[index].pages > 0 && levels[index].sealed == 0
    }
  }

  // MARK: Closing

  func close() {
    // Each page's destructor is to be called.
    if destructor != nil { try? finishLoading() }
    let isFirst = lock.withLock { () -> Bool in
      defer { state.pointee.isClosing = true }
      return !state.pointee.isClosing
    }
    guard isFirst else { return }
    // A checkpoint that is under way ends first.
    keeper?.gate.lock()
    keeper?.gate.unlock()
    finishClosing()
  }

  func finishClosing() {
    // A change of the chain that is under way sees it, and ends.
    chainGate.lock()
    defer { chainGate.unlock() }
    let isFirst = lock.withLock { () -> Bool in
      defer { state.pointee.isFinished = true }
      return !state.pointee.isFinished
    }
    // A close that came in the middle of a suspend.
    guard isFirst else { return }
    work.notify()
    space.notify()
    for thread in threads { thread.join() }
    threads = []
    keeper?.wanted.notify()
    keeper?.thread?.join()
    keeper?.thread = nil
    endLoading()
    // Calls under way end by themselves; new ones are refused.
    for index in 0..<callers.count {
      while !callers[index].pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
        callers.waitForRelease()
      }
    }
    while lock.withLock({ state.pointee.puts > 0 }) { quiet.wait(quiet.ticket, timeout: 1_000_000) }
    endAllPages()
    closeTiers()
    for index in 0..<callers.count { callers.release(callers[index]) }
  }

  /// Destructors run on an engine thread to the last.
  private func endAllPages() {
    let body: @Sendable () -> Void = { [self] in
      deliver(takePendingDrops())
      var index = 0
      while true {
        var dropped: [DroppedPage] = []
        lock.withLock {
          let isSuspended = state.pointee.isSuspended
          while index < pages.table.count, dropped.count < 1024 {
            let place = pages.entry(UInt32(index)).pointee.place
            if place.state != .free, !isSuspended || place.isDiscardable {
              dropped.append(dropPage(UInt32(index), isSuspended ? .suspended : .closed))
            }
            index += 1
          }
        }
        if dropped.isEmpty { return }
        deliver(dropped)
      }
    }
    guard !isManual, let thread = try? EngineThread("stowage-close", owner: identity, body) else { return body() }
    thread.join()
  }
}
