// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Glibc
import Synchronization

/// The engine's threads, and one piece of work from its finding to its end.
extension Engine {
  func startWorkers() {
    // With a session the last context is its checkpoints'.
    for number in jobSpaces.indices {
      // An engine with fewer threads than asked for still works; with none, calls that need room refuse.
      guard let thread = try? EngineThread("stowage-\(number)", owner: identity, { [self] in serve(number) }) else {
        continue
      }
      threads.append(thread)
    }
  }

  private func serve(_ number: Int) {
    while true {
      lock.lock()
      let ticket = work.ticket
      if state.pointee.isClosing {
        lock.unlock()
        return
      }
      lock.unlock()
      if runOne(number) { continue }
      if number == 0 { lookForGrowth() }
      lock.withLock { state.pointee.idleWorkers += 1 }
      // Not longer, as degraded tiers are tried again and limbo is looked at without being woken.
      work.wait(ticket, timeout: 50_000_000)
      lock.withLock { state.pointee.idleWorkers -= 1 }
    }
  }

  /// A backing that is full may have grown: it is asked now and then.
  private func lookForGrowth() {
    let now = environment.now()
    let full: Int? = lock.withLock {
      guard !state.pointee.holdsPuts, now >= state.pointee.nextCapacityCheck else { return nil }
      return (0..<levelCount).first {
        ports[$0] != nil && levels[$0].limit > 0 && usedSlots($0) >= levels[$0].limit
      }
    }
    guard let full else { return }
    lock.withLock { state.pointee.nextCapacityCheck = now &+ 500_000_000 }
    // Whatever goes wrong here, the capacity that was known holds.
    try? refreshCapacity(full)
  }

  /// For a manually scheduled engine: one piece of work on this thread.
  func step() -> Bool { loadOnce() || serveWanted() || runOne(0) }

  /// Finds, claims and does one piece of work; false when there was none.
  private func runOne(_ number: Int) -> Bool {
    let context = workers[number]
    if hasPendingDrops.load(ordering: .acquiring) {
      deliver(takePendingDrops())
      return true
    }
    // With threads only another one that seals idle segments holds it, for a moment; or the chain is being changed.
    var turns = 0
    while !context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
      guard !isManual else { return false }
      turns += 1
      if turns < 100 { sched_yield() } else { usleep(200) }
    }
    defer { context.pointee.held.store(0, ordering: .releasing) }
    lock.lock()
    reclaimLimbo()
    guard !state.pointee.isClosing, !state.pointee.rests, let work = findWork(for: context) ?? findLeisureWork() else {
      // With nothing under way those who wait have to see for themselves; else the end of it tells them.
      let wakesPuts = state.pointee.putWaiters > 0 && state.pointee.jobs == 0
      lock.unlock()
      if wakesPuts { space.notify() }
      quiet.notify()
      if configuration.locksMemory { sayLockFailure() }
      return false
    }
    state.pointee.jobs += 1
    let space = jobSpaces[number]
    let segments = claim(work, space)
    // Others are woken only when there is more to do than this.
    let isMore = state.pointee.idleWorkers > 0 && findWork(for: nil) != nil
    lock.unlock()
    if isMore { self.work.notifyOne() }
    perform(work, context, space, segments: segments)
    lock.lock()
    state.pointee.jobs -= 1
    // The tables grow here too (frames); a failure to rebalance is impossible with limits already accepted.
    try? rebalance()
    let wakesPuts = wakesPuts
    lock.unlock()
    if wakesPuts { self.space.notify() }
    self.quiet.notify()
    if configuration.locksMemory { sayLockFailure() }
    return true
  }

  /// Claims what the work is on; the segments are in `space.segments`.
  private func claim(_ work: Work, _ space: JobSpace) -> Int {
    switch work.kind {
    case .movePages, .moveFrames:
      space.segments[0] = work.isFlush ? firstFlushable(work.level) : firstSealed(work.level)
      claim(space.segments[0])
      return 1
    case .packFrames: return claimForPacking(work, space)
    case .compactSegments:
      var segment = work.segment
      for index in 0..<work.route.target {
        space.segments[index] = segment
        segment = arena.head(segment).pointee.next
      }
      for index in 0..<work.route.target { claim(space.segments[index]) }
      return work.route.target
    case .dropDiscardable:
      if work.segment != noSegment { claim(work.segment) }
      return 0
    case .moveSlots, .compactFrames, .savePages, .loadAhead, .prepareSegment, .trim: return 0
    }
  }

  /// Several segments at once, as more chunks pack better; no more than have to go.
  private func claimForPacking(_ work: Work, _ space: JobSpace) -> Int {
    let level = levels[work.level]
    let excess = level.segments - level.claimed - level.low
    var most = work.isFlush ? JobSpace.segmentsMax : min(JobSpace.segmentsMax, max(1, excess))
    if holdsSegments(work.route.target) {
      let target = levels[work.route.target]
      most = min(most, max(1, target.limit - target.segments))
    }
    var count = 0
    var bytes = 0
    // Segments that earlier work left nearly empty come on top.
    while count < JobSpace.segmentsMax, bytes < most * segmentSize * 3 / 4 {
      let segment = work.isFlush ? firstFlushable(work.level) : firstSealed(work.level)
      // Chunks of two codecs do not share a frame.
      guard segment != noSegment,
        count == 0 || arena.head(segment).pointee.codec == arena.head(space.segments[0]).pointee.codec
      else { break }
      claim(segment)
      space.segments[count] = segment
      bytes += Int(arena.head(segment).pointee.live)
      count += 1
    }
    return count
  }

  private func perform(_ work: Work, _ context: Context, _ space: JobSpace, segments: Int) {
    switch work.kind {
    case .movePages: movePages(context, space, from: work.level, space.segments[0], work.route)
    case .packFrames: packFrames(context, space, work, segments: segments)
    case .moveFrames: moveFrames(context, space, work, space.segments[0])
    case .moveSlots: moveSlots(context, space, work)
    case .compactSegments:
      if plan.levels[work.level].role == .frame {
        closeFrameHoles(context, space, work.level, segments: segments)
      } else {
        compactSegments(context, space, work.level, segments: segments)
      }
    case .compactFrames: compactFrames(context, space, work.level)
    case .dropDiscardable: dropDiscardable(work)
    case .savePages:
      guard let session, let keeper else { return }
      var saver = PageSaver(self, session, keeper, context, space)
      _ = saver.saveBatches(PageSaver.batchesOfWorker)
    case .loadAhead:
      guard var loader = PageLoader(self, context, space) else { return }
      _ = loader.loadBatch()
    case .prepareSegment:
      prepareSegment(ready: .max)
    case .trim: trim(context, work.level)
    }
  }

  /// Sees to it that so many segments are ready, by making the RAM of more present if need be. Without the lock.
  func prepareSegment(ready: Int) {
    let reserved = lock.withLock { () -> SegmentArena.Growth? in
      guard arena.ready < ready, arena.present < segmentsAllowed else { return nil }
      return arena.reserve()
    }
    guard let reserved else { return }
    let isLocked = arena.prepare(reserved)
    lock.withLock {
      arena.addPrepared(reserved, isLocked: isLocked)
      // Others may have been made present meanwhile, or the limit may have been lowered.
      arena.shrink(to: segmentsAllowed)
    }
  }

  private func trim(_ context: Context, _ level: Int) {
    guard let port = ports[level], let first = lock.withLock({ port.slots.beginTrim() }) else { return }
    // Past its deadline the call's late end gives the slots back.
    if port.trim(context, first: first, count: 64) { lock.withLock { port.slots.endTrim(first) } }
  }

  /// The port of a backing; nil for transforms.
  func makePort(level: Int, _ tier: ChainTier, _ instance: TierInstance) throws(StoreError) -> BackingPort? {
    guard tier.table.role == .backing else { return nil }
    // The order of arrival is kept for a backing that may have to move its frames on.
    let hasLower = configuration.isChainChangeable || plan.levels[(level + 1)...].contains { $0.role == .backing }
    return try BackingPort(
      level: level, instance: instance, pageSize: pageSize, framesMax: framesPerSegment,
      deadline: nanoseconds(tier.deadline ?? configuration.deadline), environment: environment, hasLower: hasLower,
      isSession: level == session?.level,
      cleanUp: { [unowned self] request in endLate(request) })
  }

  /// A request has ended: what it kept is free.
  private func endLate(_ request: RequestPointer) {
    lock.lock()
    if request.pointee.holder != noSegment { unpin(request.pointee.holder) }
    if request.pointee.slotsKept {
      let raw = request.pointee.request
      // Its own port's, which may have left the chain meanwhile.
      request.pointee.port._withUnsafeGuaranteedRef { port in
        for slot in Int(raw.slot)..<Int(raw.slot) + Int(raw.slot_count) { port.slots.free(slot) }
      }
    }
    if request.pointee.frame != .max { unpinFrame(request.pointee.frame) }
    lock.unlock()
  }
}
