// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A piece of engine work.
struct Work {
  enum Kind {
    /// Single pages of one segment to a page level.
    case movePages
    /// Chunks of several segments into frames.
    case packFrames
    /// Frames of one segment further down.
    case moveFrames
    /// Frames of a backing to a lower level.
    case moveSlots
    /// Neighbouring sparse segments into fewer.
    case compactSegments
    /// Live chunks of sparse frames back to their level.
    case compactFrames
    /// The oldest discardable pages, to make room.
    case dropDiscardable
    /// Copies of pages for a checkpoint.
    case savePages
    /// Pages of a resumed session up into RAM.
    case loadAhead
    /// Makes RAM present ahead of use.
    case prepareSegment
    /// Tells a backing which slots it may forget.
    case trim
  }
  var kind: Kind
  var level: Int
  var route = Route(target: 0)
  /// compactSegments: the first of the run.
  var segment = noSegment
  /// Whether chunks are packed as they are (flush).
  var isFlush = false
}

/// Finding work. All functions here expect the engine's lock to be held.
extension Engine {
  /// What would make room, the deepest level first, so that those above find room below them. Nil when nothing
  /// would.
  func findWork(for context: Context?) -> Work? {
    state.pointee.finder = context
    defer { state.pointee.finder = nil }
    if let work = workForRoom() { return work }
    guard state.pointee.putWaiters > 0 else { return nil }
    // Segments that nobody appends to just now may be what is in the way.
    if sealAllIdle(), let work = workForRoom() { return work }
    // Not again before the put that waits has woken up and used the room.
    return hasRoomForOnePut ? nil : discardWork()
  }

  private func workForRoom() -> Work? {
    let now = environment.now()
    let burst = now < state.pointee.burstUntil
    // In rapid growth the store comes first: its oldest go past the levels that are still busy.
    if burst, let work = levelWork(0, burst, now) { return work }
    for index in stride(from: levelCount - 1, through: 0, by: -1) {
      if plan.levels[index].role == .backing {
        if let work = backingWork(index, burst, now) { return work }
      } else if holdsSegments(index), let work = levelWork(index, burst, now) {
        return work
      }
    }
    if state.pointee.savesPages { return Work(kind: .savePages, level: 0) }
    if state.pointee.loadsAhead { return Work(kind: .loadAhead, level: 0) }
    if let work = compaction() { return work }
    if let work = frameCompaction(now, onlyWhenFull: true) { return work }
    guard state.pointee.putWaiters > 0 else { return nil }
    // Before a put is refused every hole is used, whatever that costs.
    return frameHoles() ?? denseRun(isSure: true)
  }

  private func levelWork(_ index: Int, _ burst: Bool, _ now: UInt64) -> Work? {
    let flushing = hasFlushable(index)
    guard flushing || isOver(index), !isDegraded(index, now) || plan.levels[index].role == .store else {
      return nil
    }
    // Squeezing out holes is cheaper than moving pages on.
    if !flushing, let work = sparseRun(index, least: 1) { return work }
    guard let route = route(from: index, burst: burst, now: now, flushing: flushing),
      firstSealed(index) != noSegment
    else { return nil }
    var work = Work(kind: .movePages, level: index, route: route, isFlush: flushing)
    if plan.levels[index].role == .frame {
      work.kind = .moveFrames
    } else if route.isFrames {
      work.kind = .packFrames
    }
    return work
  }

  private func backingWork(_ index: Int, _ burst: Bool, _ now: UInt64) -> Work? {
    guard levels[index].slots > levels[index].high || levels[index].flushLeft > 0, !isDegraded(index, now),
      ports[index]?.queue.hasNext == true,
      let route = frameRoute(from: index, burst: burst, now: now, flushing: false, skipped: 0)
    else { return nil }
    return Work(kind: .moveSlots, level: index, route: route)
  }

  /// Above its high watermark, or on the way down to the low one.
  private func isOver(_ index: Int) -> Bool {
    let level = levels + index
    let now = level.pointee.segments - level.pointee.claimed
    if now > level.pointee.high {
      level.pointee.isDraining = true
    } else if now <= level.pointee.low {
      level.pointee.isDraining = false
    }
    guard level.pointee.isDraining, now > level.pointee.low else { return false }
    if level.pointee.sealed == 0 { sealIdle(index) }
    return level.pointee.sealed > 0
  }

  private func hasFlushable(_ index: Int) -> Bool {
    guard levels[index].flushBelow > 0 else { return false }
    return firstFlushable(index) != noSegment
  }

  /// The oldest segment that a flush is to empty and that can be claimed now. Discardable pages may stay.
  func firstFlushable(_ index: Int) -> SegmentIndex {
    var segment = levels[index].head
    while segment != noSegment {
      let head = arena.head(segment)
      if head.pointee.state == .sealed, head.pointee.pins == 0, head.pointee.sequence < levels[index].flushBelow,
        head.pointee.count > head.pointee.discardable
      {
        return segment
      }
      segment = head.pointee.next
    }
    return noSegment
  }

  /// The oldest segment that can be claimed now.
  func firstSealed(_ index: Int) -> SegmentIndex {
    var segment = levels[index].head
    while segment != noSegment {
      let head = arena.head(segment)
      if head.pointee.state == .sealed, head.pointee.pins == 0 { return segment }
      segment = head.pointee.next
    }
    return noSegment
  }

  /// False when there were none.
  private func sealAllIdle() -> Bool {
    var hasSome = false
    for index in 0..<levelCount where holdsSegments(index) {
      // An empty one is gone at once.
      let before = (levels[index].sealed, levels[index].segments)
      sealIdle(index)
      if before != (levels[index].sealed, levels[index].segments) { hasSome = true }
    }
    return hasSome
  }

  /// Seals open segments that nobody is appending to now.
  func sealIdle(_ index: Int) {
    if index == 0, state.pointee.storeSegment != noSegment,
      arena.head(state.pointee.storeSegment).pointee.pins == 0
    {
      let segment = state.pointee.storeSegment
      state.pointee.storeSegment = noSegment
      seal(segment)
    }
    for number in 0..<callers.count { sealIdle(index, of: callers[number]) }
    for context in workers { sealIdle(index, of: context) }
  }

  private func sealIdle(_ index: Int, of context: Context) {
    // The one who looks for work holds its own context, and is not appending.
    if context == state.pointee.finder { return sealOpen(index, of: context) }
    // Its open segments may be looked at by who holds it only.
    guard context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged else { return }
    sealOpen(index, of: context)
    callers.release(context)
  }

  /// Ends a context's open segment in a level. The context is held by the caller.
  func sealOpen(_ index: Int, of context: Context) {
    let segment = context.pointee.open[index]
    guard segment != noSegment else { return }
    context.pointee.open[index] = noSegment
    arena.head(segment).pointee.used = UInt32(context.pointee.cursor[index])
    seal(segment)
  }

  // MARK: Compaction

  /// A level in which holes have grown over a quarter of its segments, when RAM is getting short: holes that nobody
  /// needs yet cost nothing, and many go away by themselves as whole segments empty.
  private func compaction() -> Work? {
    let used = arena.inUse + Setting.reserve(workers: workers.count)
    guard used >= segmentsAllowed - segmentsAllowed / 8 else { return nil }
    for index in 0..<levelCount where holdsSegments(index) && plan.levels[index].role != .frame {
      let level = levels + index
      guard level.pointee.sealed >= 2 else { continue }
      let bytes = level.pointee.segments * segmentSize
      let filled = level.pointee.liveBytes + level.pointee.pages * ChunkHeader.byteCount
      guard bytes - filled > max(bytes / 4, 3 * segmentSize) else { continue }
      if let work = sparseRun(index, least: 1) { return work }
    }
    return nil
  }

  /// A level of frames in RAM that can take no more, with a segment's worth of holes or more: room that those above wait
  /// for in vain otherwise, as a segment goes only with its last frame.
  private func frameHoles() -> Work? {
    for index in 0..<levelCount where plan.levels[index].role == .frame && holdsSegments(index) {
      let level = levels[index]
      guard level.segments >= level.high, level.segments * segmentSize - level.liveBytes >= segmentSize else { continue }
      var first = levels[index].head
      while first != noSegment {
        if let found = run(from: first, least: 1) { return found }
        first = arena.head(first).pointee.next
      }
    }
    return nil
  }

  /// Neighbouring sealed segments whose live chunks fit into at least `least` fewer.
  private func sparseRun(_ index: Int, least: Int) -> Work? {
    guard plan.levels[index].role != .frame, levels[index].sealed >= 2 else { return nil }
    let bytes = levels[index].segments * segmentSize
    let filled = levels[index].liveBytes + levels[index].pages * (ChunkHeader.byteCount + unit)
    guard bytes - filled > bytes / 8 + segmentSize else { return nil }
    var first = levels[index].head
    while first != noSegment {
      if let found = run(from: first, least: least) { return found }
      first = arena.head(first).pointee.next
    }
    return nil
  }

  private func run(from first: SegmentIndex, least: Int) -> Work? {
    var need = 0
    var count = 0
    var segment = first
    while segment != noSegment, count < JobSpace.segmentsMax {
      let head = arena.head(segment)
      guard canJoin(segment, first) else { return nil }
      let isFrames = plan.levels[Int(head.pointee.level)].role == .frame
      need += Int(head.pointee.live) + (isFrames ? 0 : Int(head.pointee.count) * (ChunkHeader.byteCount + unit))
      count += 1
      // A chunk that does not fit the rest of a segment leaves a gap of up to its length. Less would let a run
      // be compacted again and again without becoming shorter.
      let gap = isFrames ? 0 : aligned(ChunkHeader.byteCount + pageSize)
      if need <= (count - least) * (segmentSize - gap) {
        return Work(
          kind: .compactSegments, level: Int(head.pointee.level), route: Route(target: count),
          segment: first)
      }
      segment = head.pointee.next
    }
    return nil
  }

  /// A look for sparse frames, when a backing runs out of slots (or, at leisure, when many are sparse).
  func frameCompaction(_ now: UInt64, onlyWhenFull: Bool) -> Work? {
    // A flush would have to look for what comes back up meanwhile.
    guard state.pointee.flushes == 0, !isLoading.load(ordering: .relaxed) else { return nil }
    guard let codecLevel = plan.packingLevel ?? (plan.lastPageLevel > 0 ? plan.lastPageLevel : nil) else {
      return nil
    }
    for index in 0..<levelCount where plan.levels[index].role == .backing && !isDegraded(index, now) {
      let level = levels + index
      let isFull = level.pointee.slots >= level.pointee.high
      guard level.pointee.slots > 0, isFull || !onlyWhenFull else { continue }
      // The few chunks that come back may exceed their level's limit for a moment: they leave as fewer frames.
      guard level.pointee.sparseFrames > 0, now >= level.pointee.sparseRestUntil, levels[codecLevel].segments < levels[codecLevel].limit + 2 else { continue }
      return Work(kind: .compactFrames, level: index)
    }
    return nil
  }

  // MARK: Discarding for want of room

  private func discardWork() -> Work? {
    guard state.pointee.discardablePages > 0 else { return nil }
    for index in stride(from: levelCount - 1, through: 0, by: -1) where levels[index].discardable > 0 {
      guard holdsSegments(index), plan.levels[index].role != .frame else {
        guard dropQueues[index].hasNext else { continue }
        return Work(kind: .dropDiscardable, level: index)
      }
      var segment = oldestDiscardable(index)
      if segment == noSegment {
        sealIdle(index)
        segment = oldestDiscardable(index)
      }
      if segment != noSegment { return Work(kind: .dropDiscardable, level: index, segment: segment) }
    }
    return nil
  }

  private func oldestDiscardable(_ index: Int) -> SegmentIndex {
    var segment = levels[index].head
    while segment != noSegment {
      let head = arena.head(segment)
      if head.pointee.discardable > 0, head.pointee.state == .sealed, head.pointee.pins == 0 { return segment }
      segment = head.pointee.next
    }
    return noSegment
  }

  /// Neighbouring segments, as many as are compacted together, that fit into one fewer. Looks at each segment once.
  /// - Parameter isSure: they do if each takes one segment's ids; else if the gaps that chunks leave which do not fit the rest of a segment are
  ///   of usual length.
  private func denseRun(isSure: Bool) -> Work? {
    // What an earlier run has emptied comes first: while loads may still read it, another one would only take more.
    reclaimLimbo()
    guard state.pointee.limboHead == noSegment else { return nil }
    for index in 0..<levelCount where holdsSegments(index) && plan.levels[index].role != .frame {
      guard levels[index].sealed >= 2 else { continue }
      let usual = levels[index].liveBytes / max(1, levels[index].pages)
      let room = segmentSize - aligned(ChunkHeader.byteCount + (isSure ? pageSize : usual))
      var segment = levels[index].head
      while segment != noSegment {
        let first = segment
        var (need, count) = (0, 0)
        while segment != noSegment, count < JobSpace.compactedMax, canJoin(segment, first) {
          let head = arena.head(segment).pointee
          need += Int(head.live) + Int(head.count) * (ChunkHeader.byteCount + unit)
          count += 1
          segment = head.next
        }
        if count > 1, need <= (count - 1) * room {
          return Work(kind: .compactSegments, level: index, route: Route(target: count), segment: first)
        }
        if count == 0 { segment = arena.head(segment).pointee.next }
      }
    }
    return nil
  }

  /// Whether a segment's chunks may come behind those of another one in the same segment.
  private func canJoin(_ segment: SegmentIndex, _ first: SegmentIndex) -> Bool {
    let (head, other) = (arena.head(segment).pointee, arena.head(first).pointee)
    // Chunks with ids far apart do not share a segment.
    return head.state == .sealed && head.pins == 0 && head.codec == other.codec
      && max(head.idBase, other.idBase) - min(head.idBase, other.idBase) < codec.idWindow / 4
  }

  // MARK: At leisure

  /// One at a time, and as long as they come out shorter.
  private func leisureCompaction() -> Work? {
    guard isQuiet(), state.pointee.jobs == 0, state.pointee.denseCalls != state.pointee.leisureCalls else { return nil }
    let before = state.pointee.denseUse
    state.pointee.denseUse = arena.inUse
    if arena.inUse < before, let work = denseRun(isSure: false) { return work }
    state.pointee.denseCalls = state.pointee.leisureCalls
    return nil
  }

  /// So long nobody has changed anything when holes are squeezed out that nobody needs yet.
  private static let quietTime: UInt64 = 200_000_000

  private func isQuiet() -> Bool {
    let calls =
      state.pointee.pagesPut + state.pointee.takeCount + state.pointee.peekCount + state.pointee.discardCount
    let now = environment.now()
    if calls != state.pointee.leisureCalls {
      (state.pointee.leisureCalls, state.pointee.leisureSince, state.pointee.denseUse) = (calls, now, .max)
    }
    return now &- state.pointee.leisureSince > Self.quietTime
  }

  /// What is worth doing when nothing needs room.
  func findLeisureWork() -> Work? {
    let level = levels[0]
    let grows = level.segments + 2 >= level.high || state.pointee.jobs > 0 || level.isDraining
    if grows, arena.ready < 4, arena.present < segmentsAllowed {
      return Work(kind: .prepareSegment, level: 0)
    }
    for index in 0..<levelCount {
      if let port = ports[index], port.canTrim, !levels[index].isDegraded, !isLoading.load(ordering: .relaxed) {
        return Work(kind: .trim, level: index)
      }
    }
    return leisureCompaction()
  }
}
