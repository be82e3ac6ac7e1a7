// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Glibc
import Synchronization

/// The end of reading an index: what its records say together.
extension IndexLoad {
  /// Does one piece, with the gate. False when nothing is left, or it cannot be brought to an end.
  func advance() -> Bool {
    guard failure == nil, stage != .done else { return false }
    do throws(StreamFault) {
      try advanceOnce()
      engine.lock.withLock {
        keeper.loadTrouble = nil
        keeper.loadPieces += 1
      }
      return true
    } catch {
      note(error)
      return false
    }
  }

  /// What cannot be read now is tried again; puts that wait for room have an end all the same.
  private func note(_ fault: StreamFault) {
    let error = engine.sessionError(fault, session)
    if case .damaged = fault { failure = error }
    engine.lock.withLock {
      keeper.loadFailure = failure
      keeper.loadTrouble = error
    }
    engine.space.notify()
  }

  private func advanceOnce() throws(StreamFault) {
    var isMore: Bool
    switch stage {
    case .pages, .frames, .places: isMore = try readAhead()
    case .slots:
      try adoptIndex()
      isMore = false
    case .count: isMore = try countChunks()
    case .settle: isMore = try settleFrames()
    case .runs: isMore = freePlaces()
    case .done: return
    }
    guard !isMore, let next = Stage(rawValue: stage.rawValue + 1) else { return }
    (stage, cursor) = (next, 0)
    if next == .done { finish() }
  }

  /// Slots of the index itself.
  private func adoptIndex() throws(StreamFault) {
    guard livePages == Int(root.livePages) else { throw contradiction("the number of its pages is another") }
    // All or none: a read that fails now is tried again.
    var own: [UInt32] = []
    for var stream in [pages, frames, places] { own += try stream.slots(reader) }
    slots = own
    let all = own + deltas.flatMap(\.slots) + keeper.headSlots
    let twice = engine.lock.withLock {
      all.first { engine.ports[session.level]?.slots.adopt(Int($0)) != true }
    }
    if let twice { throw .damaged(slot: twice, "two things are said to be in it") }
  }

  private func contradiction(_ reason: String) -> StreamFault { .damaged(slot: root.pages.top.slot, reason) }

  /// Records that are looked at in one section under the lock.
  private var sectionMax: Int { chunk }

  /// Each page's chunk is one of its frame's, and its own; downwards.
  private func countChunks() throws(StreamFault) -> Bool {
    // Retained once, not for each record.
    let engine = engine
    let isRight = engine.lock.withLock { () -> Bool in
      for _ in 0..<min(sectionMax, Int(engine.pages.unlinked)) {
        let index = engine.pages.unlinked - 1
        let place = engine.pages.entry(index).pointee.place
        guard engine.count(place, index), engine.count(session.copy(of: index), index) else { return false }
        engine.pages.linkOne()
      }
      return true
    }
    guard isRight else { throw contradiction("a page's record and its frame's contradict each other") }
    return engine.lock.withLock { engine.pages.unlinked > 0 }
  }

  /// Frames with live chunks are there; the others end.
  private func settleFrames() throws(StreamFault) -> Bool {
    // As above.
    let engine = engine
    if usedPlaces.isEmpty { usedPlaces = Array(repeating: 0, count: (placeCount + 63) / 64) }
    let isRight = engine.lock.withLock { () -> Bool in
      for _ in 0..<min(sectionMax, Int(engine.frames.unsettled)) {
        let next = engine.frames.unsettled - 1
        guard engine.fitsPage(engine.frames.record(next)), let frame = engine.frames.settleOne(&usedPlaces) else {
          return false
        }
        let record = engine.frames.record(frame)
        guard record.pointee.count > 0 else { continue }
        engine.occupyFrame(frame, record)
        if engine.isSparse(record) { engine.levels[session.level].sparseFrames += 1 }
        if record.pointee.live == 0 { engine.endFrame(frame) }
      }
      return true
    }
    guard isRight else { throw contradiction("its frames contradict each other") }
    return engine.lock.withLock { engine.frames.unsettled > 0 }
  }

  private func freePlaces() -> Bool {
    engine.lock.withLock {
      for _ in 0..<64 where cursor < placeCount {
        cursor = engine.frames.freeUnused(from: cursor, below: placeCount, usedPlaces)
      }
    }
    return cursor < placeCount
  }

  /// From here on the store is as any other.
  private func finish() {
    usedPlaces = []
    deltas = []
    engine.lock.withLock {
      keeper.keptSlots = slots
      engine.isLoading.store(false, ordering: .releasing)
      try? engine.rebalance(force: true)
    }
    engine.work.notify()
    engine.space.notify()
  }
}

extension Engine {
  /// Counts a live chunk of a frame that is not settled yet. With the lock. False when the frame does not have it.
  fileprivate func count(_ place: Place, _ index: UInt32) -> Bool {
    guard place.state == .framed, frames.isUnsettled(place.frame) else { return true }
    guard names(place, index) else { return false }
    frames.record(place.frame).pointee.live += 1
    return true
  }

  /// Whether a page's chunk in a frame is its own. With the lock.
  func names(_ place: Place, _ index: UInt32) -> Bool {
    let record = frames.record(place.frame)
    return place.ordinal < Int(record.pointee.count) && frames.place(record, place.ordinal).pointee.owner == index
      && fitsPage(record)
  }

  /// Whether a frame's chunks fill no more than a page, and have owners. With the lock.
  func fitsPage(_ record: UnsafeMutablePointer<FrameRecord>) -> Bool {
    guard Int(record.pointee.places) + Int(record.pointee.count) <= frames.placeCount else { return false }
    // A raw page is one chunk.
    guard record.pointee.codec != FrameRecord.rawCodec || record.pointee.count == 0
      || (record.pointee.count == 1 && codec.length(frames.place(record, 0).pointee.lengthAndID) == pageSize)
    else { return false }
    var bytes = 0
    for ordinal in 0..<Int(record.pointee.count) {
      let place = frames.place(record, ordinal).pointee
      bytes += codec.length(place.lengthAndID)
      guard Int(place.owner) < pages.table.count else { return false }
    }
    return bytes <= pageSize
  }

  // MARK: What calls need of it

  /// Before anything is done to a page: what the index says of it is in the tables. Without the lock.
  @inline(__always) func ready(_ handle: Handle) throws(StoreError) {
    if isLoading.load(ordering: .relaxed) { try load(handle) }
  }

  @inline(never) private func load(_ handle: Handle) throws(StoreError) {
    guard let load = keeper?.load, let session, Int(handle.index) < load.pageCount else { return }
    // What is there is had without waiting for the gate.
    let isThere = lock.withLock { () -> Bool in
      let place = pages.entry(handle.index).pointee.place
      return place.state == .pooled || place.state == .word
        || (place.state == .framed && !frames.isUnsettled(place.frame))
    }
    guard !isThere else { return }
    try withLoad(load) { () throws(StoreError) in
      do throws(StreamFault) { try load.need(page: handle.index) } catch { throw sessionError(error, session) }
    }
  }

  /// Reads the rest of the index, or what comes before a stage.
  func finishLoading(until stage: IndexLoad.Stage = .done) throws(StoreError) {
    guard isLoading.load(ordering: .acquiring), let load = keeper?.load, let session else { return }
    var isThere = false
    while !isThere, isLoading.load(ordering: .acquiring) {
      let (isClosing, loadsAhead) = lock.withLock { (state.pointee.isClosing, state.pointee.loadsAhead) }
      guard !isClosing else { throw .closed }
      // Who brings up pages meanwhile would hardly get the lock, and there is more of that to do.
      if loadsAhead, lock.isContended { usleep(50) }
      try withLoad(load) { () throws(StoreError) in
        isThere = load.stage.rawValue >= stage.rawValue
        guard !isThere, !load.advance(), load.stage != .done else { return }
        throw load.failure ?? lock.withLock { keeper?.loadTrouble }
          ?? .unavailable(tier: plan.levels[session.level].name, reason: "the session's index cannot be read now")
      }
    }
  }

  /// One piece of it, for who has nothing else to do. False when there is none.
  func loadOnce() -> Bool {
    guard isLoading.load(ordering: .acquiring), let load = keeper?.load else { return false }
    load.gate.lock()
    defer { load.gate.unlock() }
    return load.advance()
  }

  private func withLoad(_ load: IndexLoad, _ body: () throws(StoreError) -> Void) throws(StoreError) {
    load.demands.add(1, ordering: .relaxed)
    load.gate.lock()
    load.demands.subtract(1, ordering: .relaxed)
    defer { load.gate.unlock() }
    guard load.stage != .done else { return }
    try body()
  }

  /// Nothing is read any more: the store closes.
  func endLoading() {
    guard let load = keeper?.load else { return }
    load.gate.lock()
    defer { load.gate.unlock() }
    load.stage = .done
  }

  /// The session's thread: all of it, calls first.
  func loadInBackground() {
    guard let load = keeper?.load else { return }
    var pause: UInt64 = 1_000_000
    while isLoading.load(ordering: .acquiring) {
      let ticket = keeper?.wanted.ticket ?? 0
      if lock.withLock({ state.pointee.isClosing }) { return }
      if lock.withLock({ keeper?.loadFailure != nil }) { return }
      if loadOnce() {
        pause = 1_000_000
        // A little: who asks all the time must not keep the rest from coming.
        for _ in 0..<2000 where load.demands.load(ordering: .relaxed) > 0 { stowage_pause() }
      } else {
        _ = keeper?.wanted.wait(ticket, timeout: pause)
        pause = min(pause * 2, 1_000_000_000)
      }
    }
  }
}
