// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// Room for puts, and waiting for it. All functions here expect the engine's lock to be held; those that wait
/// release it meanwhile.
extension Engine {
  /// Room for one raw page at the young end of the store, pinned until the page is copied.
  /// - Parameter givesUp: rather than wait for a checkpoint's cut, with `timedOut`.
  func reserveRaw(entries: Int, givesUp: Bool = false) throws(StoreError) -> (SegmentIndex, Int) {
    var wait = PutWait(self)
    let need = aligned(ChunkHeader.byteCount + pageSize)
    while true {
      guard !state.pointee.isClosing else { throw .closed }
      if state.pointee.holdsPuts {
        guard !givesUp else { throw .timedOut("a checkpoint makes its cut; try again") }
        try waitWhileHeld()
        continue
      }
      let segment = state.pointee.storeSegment
      if segment != noSegment {
        let head = arena.head(segment)
        let offset = Int(head.pointee.used)
        if offset + need <= segmentSize {
          guard hasRoomForTables(entries > 0 ? pages.growth + sumsGrowth : 0) else {
            try wait.step()
            continue
          }
          growSums(entries: entries)
          head.pointee.used += UInt32(need)
          head.pointee.pins += 1
          return (segment, offset)
        }
        state.pointee.storeSegment = noSegment
        seal(segment)
        if levels[0].segments > levels[0].high { work.notifyOne() }
      }
      if levels[0].segments < max(levels[0].limit, 2), hasRoomForPut,
        let opened = openSegment(0)
      {
        state.pointee.storeSegment = opened
        try rebalance()
        if arena.ready < 2 { work.notifyOne() }
        continue
      }
      try wait.step()
    }
  }

  /// Whether a put would find room now, whatever it needs.
  var hasRoomForOnePut: Bool {
    levels[0].segments < max(levels[0].limit, 2) && hasRoomForPut
      && hasRoomForTables(pages.growth + sumsGrowth + words.growth)
  }

  /// Whether puts wait and find room for more than the next few pages: a wake-up costs more than many puts, so it
  /// is made once for many.
  var wakesPuts: Bool {
    guard state.pointee.putWaiters > 0 else { return false }
    let limit = max(levels[0].limit, 2)
    return levels[0].segments <= limit - max(1, limit / 4) || levels[0].claimed == 0
  }

  /// Waits until the tables may take so many entries, and the word of a same-filled page.
  func waitForTables(entries: Int, word: UInt64) throws(StoreError) {
    var wait = PutWait(self)
    while true {
      guard !state.pointee.isClosing else { throw .closed }
      if state.pointee.holdsPuts {
        try waitWhileHeld()
        continue
      }
      let growth = (entries > 0 ? pages.growth + sumsGrowth : 0) + words.growth(for: word)
      if hasRoomForTables(growth) { break }
      try wait.step()
    }
    growSums(entries: entries)
    try rebalance()
  }

  /// What the tables beside the page table would grow by.
  var sumsGrowth: Int {
    var bytes = session?.growth(pages.table.count) ?? 0
    if let pageSums, pageSums.count <= pages.table.count { bytes += pageSums.growth() }
    return bytes
  }

  /// Keeps the tables of end-to-end checksums and of copies as long as the page table will be.
  func growSums(entries: Int) {
    guard entries > 0 else { return }
    session?.grow(pages.table.count)
    guard let pageSums else { return }
    let missing = pages.table.count + 1 - pageSums.count
    if missing > 0 { _ = pageSums.append(missing, isPresent: missing <= 4096) }
  }

  /// Waits while a checkpoint makes its cut: some milliseconds. The lock is held before and after, not meanwhile.
  @inline(never) private func waitWhileHeld() throws(StoreError) {
    // Without threads it would wait for itself: a call from within a tier's.
    guard !isManual else { throw .full("a checkpoint makes its cut; try again") }
    while state.pointee.holdsPuts, !state.pointee.isClosing {
      let ticket = space.ticket
      lock.unlock()
      space.wait(ticket, timeout: 5_000_000)
      lock.lock()
    }
  }

  /// Whether nothing that is under way or could be begun makes room. A worker that still has its context in hand may have
  /// segments open in it, which are work only once it lets go. It is asked for twice, as one may take its context, for
  /// which it needs no lock, while work is looked for; it does not let go of it again without the lock.
  var isStalled: Bool {
    guard !isWorkerActive, !makesRoomByLoading else { return false }
    guard state.pointee.jobs == 0, state.pointee.puts == 0, state.pointee.limboHead == noSegment || !reclaimLimbo() else {
      return false
    }
    return state.pointee.limboHead == noSegment && findWork(for: nil) == nil && !isWorkerActive && !isSearchResting
  }

  /// Sparse frames were all in somebody's hands when they were looked for: they are looked for again in a moment.
  private var isSearchResting: Bool {
    let now = environment.now()
    return (0..<levelCount).contains { levels[$0].sparseFrames > 0 && now < levels[$0].sparseRestUntil }
  }

  /// With the whole index of a resumed session there is room in its tier.
  var makesRoomByLoading: Bool { isLoading.load(ordering: .relaxed) && keeper?.loadFailure == nil }

  /// A checkpoint's context makes no room that way.
  private var isWorkerActive: Bool {
    workers[..<jobSpaces.count].contains { $0.pointee.held.load(ordering: .acquiring) != 0 }
  }
}

/// One put's waiting for room: engine work is woken, and the wait ends with an error when there is none left
/// that could help.
struct PutWait {
  private let engine: Engine
  private var until: UInt64 = 0
  private var wakesWorkers = true

  private var loadPieces = 0

  init(_ engine: Engine) { self.engine = engine }

  /// Whether more of a resumed session's index has come since the last time.
  private mutating func hasLoadedMore() -> Bool {
    guard engine.isLoading.load(ordering: .relaxed), let pieces = engine.keeper?.loadPieces else { return false }
    defer { loadPieces = pieces }
    return pieces != loadPieces
  }

  /// Waits once; the engine's lock is held before and after, not meanwhile.
  mutating func step() throws(StoreError) {
    let state = engine.state
    let now = engine.environment.now()
    if until == 0 {
      until = now &+ engine.putPatience
      state.pointee.stallCount += 1
    }
    state.pointee.burstUntil = now &+ 100_000_000
    state.pointee.putWaiters += 1
    defer { state.pointee.putWaiters -= 1 }
    // Asked once: workers take and leave their contexts without the lock.
    let isStalled = engine.isStalled
    if isStalled, engine.makesCheckpointForRoom() { return }
    // A destructor's thread would wait for room that it has to make itself.
    guard !isStalled, engine.isManual || stowage_thread_owner() != engine.identity else {
      throw .full(engine.fullReason())
    }
    // What a checkpoint holds up is not demotion's time.
    if state.pointee.passesToSession || hasLoadedMore() { until = now &+ engine.putPatience }
    guard now < until else {
      throw .full(engine.impatientReason())
    }
    if engine.isManual {
      engine.lock.unlock()
      let didWork = engine.step()
      engine.lock.lock()
      if !didWork { throw .full(engine.fullReason()) }
      return
    }
    let ticket = engine.space.ticket
    engine.lock.unlock()
    // Workers that have nothing to do are told that someone waits; those that work find out by themselves.
    if wakesWorkers { engine.work.notifyOne() }
    wakesWorkers = !engine.space.wait(ticket, timeout: 20_000_000)
    engine.lock.lock()
  }
}

extension Engine {
  var putPatience: UInt64 { nanoseconds(configuration.putPatience) }

  /// What a put is told that waited in vain while work was under way or could be begun. With the lock.
  func impatientReason() -> String {
    if isLoading.load(ordering: .relaxed), keeper?.loadTrouble != nil { return fullReason() }
    let work = state.pointee.jobs == 1 ? "1 piece of work is" : "\(state.pointee.jobs) pieces of work are"
    let degraded = degradedReasons.withLock { $0 }.map { "; '\(plan.levels[$0.key].name)': \($0.value)" }
    return "demotion made no room within \(putPatience / 1_000_000_000) s; \(work) under way\(degraded.sorted().joined())"
  }

  /// What a refused put is told. With the lock.
  func fullReason() -> String {
    let degraded = degradedReasons.withLock { $0 }
    let broken = degraded.sorted { $0.key < $1.key }.filter { levels[$0.key].isDegraded }
    if let (level, reason) = broken.first.map({ ($0.key, $0.value) }) {
      return
        "tier '\(plan.levels[level].name)' cannot store now (\(reason)) and no other level can take more; repair it, or take or discard pages"
    }
    if let failure = keeper?.loadFailure ?? (isLoading.load(ordering: .relaxed) ? keeper?.loadTrouble : nil) {
      return "nothing can be written to the session's tier until its index has been read: \(failure)"
    }
    if let reason = keeper?.refusal {
      return "the slots that are left are the last checkpoint's, and the next one, which would free them, failed: \(reason)"
    }
    return
      "no level can take more and nothing is discardable (\(pages.live) pages, \(ramBytes) of \(state.pointee.memoryLimit) bytes of memory); take or discard pages, raise the memory limit, or add a larger backing"
  }
}

func nanoseconds(_ duration: Duration) -> UInt64 {
  let (seconds, attoseconds) = duration.components
  guard seconds >= 0 else { return 0 }
  let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
  return overflow ? .max / 2 : min(whole, .max / 4) + UInt64(max(0, attoseconds) / 1_000_000_000)
}
