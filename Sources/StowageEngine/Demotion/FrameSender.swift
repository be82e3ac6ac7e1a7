// SPDX-License-Identifier: Apache-2.0

/// Sends frames to a backing, a segment's worth after the other: while some are on their way, the next ones are got ready,
/// as far as there is memory for it beyond the reserve. For one thread.
struct FrameSender {
  private let engine: Engine
  private let context: Context
  private let route: Route
  /// With the tables of the next frames.
  private var space: JobSpace
  /// Segments for the bytes of frames: one that is got ready, the others on their way. In turn.
  private var builds = InlineArray<4, SegmentIndex>(repeating: noSegment)
  private var buildCount = 0
  private var build = 0
  /// Under way, oldest first from `first` on.
  private var pending = InlineArray<4, FrameWrite?>(repeating: nil)
  private var first = 0
  private var pendingCount = 0
  /// Why the first one failed that did: what succeeds after it makes the level forget.
  private(set) var failure: StoreError?

  /// Nil without memory. Without the lock.
  init?(_ engine: Engine, _ context: Context, _ space: JobSpace, _ route: Route) {
    self.engine = engine
    self.context = context
    self.route = route
    self.space = space
    engine.lock.lock()
    defer { engine.lock.unlock() }
    while buildCount < JobSpace.turns, buildCount == 0 || engine.hasRoomBesides,
      let segment = engine.takeScratch(level: route.target)
    {
      builds[buildCount] = segment
      buildCount += 1
    }
    guard buildCount > 0 else { return nil }
  }

  /// Where the next frames are got ready: the tables, and a segment for their bytes.
  var next: (space: JobSpace, build: SegmentIndex) { (space, builds[build]) }

  /// Sends the frames in `next`. False when that failed: then they, or some before them, are not there.
  /// - Parameter publish: called for frames that have arrived, maybe later.
  mutating func send(_ count: Int, _ publish: (FrameWrite) -> Void) -> Bool {
    // What could not be begun as a whole waits for requests when it is ended: with none in hand, or all might wait.
    if pendingCount > 0, pending[(first + pendingCount - 1) % JobSpace.turns]?.isUnderWay == false, !finish(publish) {
      return false
    }
    var write = FrameWrite(space: space, count: count, level: route.target)
    var beginning = engine.begin(&write, context, route, scratchPinned: builds[build])
    if beginning == .noMemory, pendingCount > 0 {
      guard finish(publish) else { return false }
      beginning = engine.begin(&write, context, route, scratchPinned: builds[build])
    }
    guard beginning == .begun else { return noteFailure() }
    pending[(first + pendingCount) % JobSpace.turns] = write
    pendingCount += 1
    build = (build + 1) % buildCount
    space = space.turned
    return pendingCount < buildCount || finishOne(publish)
  }

  /// The frames to come are of that space's chunks; those under way keep theirs.
  mutating func use(chunksOf other: JobSpace) { space = space.with(chunksOf: other) }

  /// Waits until no more than so many sends are under way. False when one has not arrived.
  mutating func finish(but left: Int, _ publish: (FrameWrite) -> Void) -> Bool {
    var hasAll = true
    while pendingCount > left { hasAll = finishOne(publish) && hasAll }
    return hasAll
  }

  /// Waits until all have arrived. False when one has not.
  mutating func finish(_ publish: (FrameWrite) -> Void) -> Bool {
    finish(but: 0, publish)
  }

  private mutating func finishOne(_ publish: (FrameWrite) -> Void) -> Bool {
    guard var write = pending[first] else { return true }
    pending[first] = nil
    first = (first + 1) % JobSpace.turns
    pendingCount -= 1
    guard engine.end(&write, context) else { return noteFailure() }
    publish(write)
    return true
  }

  private mutating func noteFailure() -> Bool {
    failure = failure ?? engine.writeFailure(route.target)
    return false
  }

  /// Gives its memory back; after `finish`.
  mutating func close() {
    engine.lock.withLock { for index in 0..<buildCount { engine.giveScratch(builds[index]) } }
  }
}
