// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// How far loading ahead is; who loads takes the next few frames. Guarded by the engine's lock.
struct LoadAhead {
  var cursor = 0
  var loaders = 0
  var pages = 0
  var bytesRead = 0
  var failure: StoreError?
}

/// Brings a session's pages up into RAM, many with one read, in the order of their frames: chunks as they are, to the
/// oldest end of the level that encoded them. What a page has in the session's tier stays its copy, so that it goes down
/// again at no cost. Several threads load at once, so that reading, deciphering and copying overlap.
struct PageLoader {
  private let engine: Engine
  private let session: SessionTables
  private let keeper: SessionKeeper
  private let port: BackingPort
  private let context: Context
  private var space: JobSpace

  /// Neighbouring frames of one codec: pinned, and in its space's `outgoing`.
  private struct Run {
    let space: JobSpace
    var count: Int
    var codec: UInt8
  }

  /// Frames that are being read into a segment.
  private struct Reading {
    let run: Run
    let scratch: SegmentIndex
    let request: RequestPointer
  }

  init?(_ engine: Engine, _ context: Context, _ space: JobSpace) {
    guard let session = engine.session, let keeper = engine.keeper, let port = engine.ports[session.level] else {
      return nil
    }
    self.engine = engine
    self.session = session
    self.keeper = keeper
    self.port = port
    self.context = context
    self.space = space
  }

  /// Runs that follow each other into the same segments: the last of these is not full.
  private static let runsTogether = 32

  /// Loads some. False when nothing is left that could be.
  mutating func loadBatch() -> Bool {
    var scratches: [SegmentIndex] = []
    scratches.reserveCapacity(JobSpace.turns)
    engine.lock.withLock {
      keeper.ahead.loaders += 1
      while scratches.count < JobSpace.turns, scratches.isEmpty || engine.hasRoomBesides,
        let segment = engine.takeScratch(level: session.level)
      {
        scratches.append(segment)
      }
    }
    if !scratches.isEmpty, let first = nextRun(nil) { load(first, scratches) }
    return engine.lock.withLock {
      if scratches.isEmpty { engine.state.pointee.loadsAhead = false }
      for scratch in scratches { engine.giveScratch(scratch) }
      keeper.ahead.loaders -= 1
      return engine.state.pointee.loadsAhead
    }
  }

  /// Segments whose RAM is made present ahead, without the engine's lock.
  private static let readySegments = 4

  /// Loads runs of one codec. While some are read, those before them go to their level.
  private mutating func load(_ first: Run, _ scratches: [SegmentIndex]) {
    engine.withOwnSegment(context, engine.chunkLevel(first.codec)) {
      var readings: [Reading] = []
      var waiting: Run? = first
      var begun = 0
      while true {
        // Tables and segments are as many as runs in hand, the one that waits for a request among them.
        if waiting == nil, begun < Self.runsTogether, readings.count < scratches.count {
          waiting = nextRun(first.codec)
        }
        let scratch = scratches[begun % scratches.count]
        if let run = waiting, readings.count < scratches.count,
          let request = begin(run, scratch, waits: readings.isEmpty)
        {
          readings.append(Reading(run: run, scratch: scratch, request: request))
          begun += 1
          waiting = nil
          engine.prepareSegment(ready: Self.readySegments)
        } else if readings.isEmpty {
          // Without one request in all that time.
          if let run = waiting { abandon(run) }
          return
        } else {
          end(readings.removeFirst())
        }
      }
    }
  }

  private func abandon(_ run: Run) {
    fail(port.timedOut("no request is free: earlier calls hang"))
    unpin(run)
  }

  /// The next frames; nil when they have another codec than the wanted one, or there are none.
  private mutating func nextRun(_ wanted: UInt8?) -> Run? {
    // Those before may be under way: only a run that comes about takes its turn.
    let turned = space.turned
    var run = Run(space: turned, count: 0, codec: wanted ?? FrameRecord.rawCodec)
    var isOver = false
    while !isOver {
      engine.lock.withLock {
        for _ in 0..<1024 where !isOver { isOver = !addFrame(&run, isFirst: run.count == 0, wanted) }
      }
    }
    guard run.count > 0 else { return nil }
    space = turned
    return run
  }

  /// Looks at one frame. With the lock. False when the run is at its end.
  private func addFrame(_ run: inout Run, isFirst: Bool, _ wanted: UInt8?) -> Bool {
    let state = engine.state
    guard keeper.ahead.cursor < engine.frames.count, state.pointee.loadsAhead, !state.pointee.isClosing else {
      state.pointee.loadsAhead = false
      return false
    }
    let frame = FrameIndex(keeper.ahead.cursor)
    let record = engine.frames.record(frame)
    let isLast = run.count == engine.framesPerSegment
    guard !isLast, isLoadable(record, frame) else {
      if !isLast { keeper.ahead.cursor += 1 }
      return run.count == 0
    }
    let codec = record.pointee.codec
    if isFirst {
      guard wanted == nil || codec == wanted else { return false }
      run.codec = codec
    } else {
      guard codec == run.codec, record.pointee.position == run.space.outgoing[run.count - 1].position &+ 1 else {
        return false
      }
    }
    keeper.ahead.cursor += 1
    record.pointee.pins += 1
    let next = run.space.outgoing + run.count
    next.pointee.frame = frame
    next.pointee.id = record.pointee.id
    next.pointee.position = record.pointee.position
    next.pointee.checksum = record.pointee.checksum
    next.pointee.transforms = record.pointee.transforms
    run.count += 1
    return true
  }

  /// Whether a frame is there, whole, and its level has room for its chunks.
  private func isLoadable(_ record: UnsafeMutablePointer<FrameRecord>, _ frame: FrameIndex) -> Bool {
    guard record.pointee.count > 0, Int(record.pointee.level) == session.level,
      record.pointee.flags == 0, record.pointee.pins < 128, Int(record.pointee.position) != SlotAllocator.nowhere
    else { return false }
    let level = engine.levels + engine.chunkLevel(record.pointee.codec)
    // What is under way comes on top.
    guard level.pointee.segments + engine.workers.count + level.pointee.high / 16 < level.pointee.high,
      engine.hasRoomForPut
    else { return false }
    // While the index is still coming, its live chunks may not be counted yet, nor its record compared with its pages'.
    return engine.frames.isUnsettled(frame) ? engine.fitsPage(record) : record.pointee.live > 0
  }

  private func begin(_ run: Run, _ scratch: SegmentIndex, waits: Bool) -> RequestPointer? {
    let outgoing = run.space.outgoing
    return port.beginRead(
      context, slot: UInt64(outgoing[0].position), count: run.count, .frame, ids: { outgoing[$0].id },
      into: engine.arena.bytes(scratch), holder: scratch, keep: BackingPort.keptForLoads, waits: waits,
      pin: { segment in engine.lock.withLock { engine.arena.head(segment).pointee.pins += 1 } })
  }

  private func end(_ reading: Reading) {
    let run = reading.run
    defer { unpin(run) }
    let result = port.endRead(reading.request)
    guard result == STOWAGE_OK else {
      // What is damaged is found when it is asked for, by its name.
      if !TierResult.isDamage(result) { fail(result) }
      return
    }
    let base = engine.arena.bytes(reading.scratch)
    var pages = 0
    for first in stride(from: 0, to: run.count, by: Self.framesTogether) {
      pages += restore(run, first..<min(first + Self.framesTogether, run.count), base)
    }
    engine.lock.withLock {
      keeper.ahead.pages += pages
      keeper.ahead.bytesRead += run.count * engine.pageSize
    }
  }

  private func fail(_ result: Int32) {
    engine.lock.withLock {
      keeper.ahead.failure = .unavailable(
        tier: engine.plan.levels[session.level].name, reason: port.lastFailure(result))
      engine.state.pointee.loadsAhead = false
    }
  }

  /// Frames whose chunks are copied and published together: as many as a job's items have room for.
  private static let framesTogether = JobSpace.itemsMax / FrameTable.chunksMax

  /// Brings the live chunks of some frames of a run, which is read to `base`, to their level. How many.
  private func restore(_ run: Run, _ part: Range<Int>, _ base: UnsafeMutableRawPointer) -> Int {
    var opened: UInt64 = 0
    for index in part where open(run.space.outgoing[index], base + index * engine.pageSize) {
      opened |= 1 << UInt64(index - part.lowerBound)
    }
    var count = 0
    engine.lock.withLock {
      for index in part where opened >> UInt64(index - part.lowerBound) & 1 != 0 {
        let bytes = UnsafeRawPointer(base + index * engine.pageSize)
        engine.gatherChunks(space, &count, of: run.space.outgoing[index].frame, bytes)
      }
    }
    return engine.returnChunks(context, space, count, codec: run.codec, keepsCopies: true)
  }

  /// Checks a frame's bytes and decodes them, where they are, through the transforms that it has gone through.
  private func open(_ read: Outgoing, _ bytes: UnsafeMutableRawPointer) -> Bool {
    let set = engine.epochs.set(read.transforms)
    guard engine.checksum(bytes, engine.pageSize, id: read.id, epoch: set.sum) == read.checksum else { return false }
    guard set.mask != 0 else { return true }
    let view = engine.lock.withLock { engine.view(of: Place.framed(read.frame, ordinal: 0, discardable: false)) }
    guard engine.undoTransforms(context, view, set, bytes).0 == STOWAGE_OK else { return false }
    bytes.copyMemory(from: context.pointee.pageA, byteCount: engine.pageSize)
    return true
  }

  private func unpin(_ run: Run) {
    engine.lock.withLock { for index in 0..<run.count { engine.unpinFrame(run.space.outgoing[index].frame) } }
  }
}

extension Engine {
  func preload() throws(StoreError) -> PreloadReport {
    let (keeper, session) = try guardSession("loading ahead", whole: false)
    keeper.gate.lock()
    defer { keeper.gate.unlock() }
    guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
    let began = environment.now()
    try finishLoading(until: .count)
    lock.withLock {
      keeper.ahead = LoadAhead(loaders: keeper.ahead.loaders)
      state.pointee.loadsAhead = true
    }
    work.notify()
    if let whileLoading = environment.whileLoading, let load = keeper.load {
      load.gate.lock()
      if load.stage == .count { whileLoading() }
      load.gate.unlock()
    }
    do throws(StoreError) {
      // Meanwhile workers load: what is left of the index needs no reading. The context is the index's until then.
      try finishLoading()
      keeper.hold()
      if var loader = PageLoader(self, keeper.context, keeper.space) { while loader.loadBatch() {} }
      keeper.release()
    } catch {
      lock.withLock {
        state.pointee.loadsAhead = false
        // That the index is damaged lasts; what a loader met may pass.
        keeper.ahead.failure = error
      }
    }
    while true {
      let ticket = quiet.ticket
      let ahead = lock.withLock { keeper.ahead }
      guard ahead.loaders > 0 else {
        if let failure = ahead.failure { throw failure }
        return PreloadReport(
          pages: ahead.pages, pagesLeft: lock.withLock { levels[session.level].pages }, bytesRead: ahead.bytesRead,
          duration_ns: environment.now() &- began)
      }
      quiet.wait(ticket, timeout: 1_000_000)
    }
  }
}
