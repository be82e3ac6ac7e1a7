// SPDX-License-Identifier: Apache-2.0

/// Sends frames to a backing, a segment's worth after the other: while one is on its way, the next one is got ready, when
/// there is memory for it beyond the reserve. For one thread.
struct FrameSender {
  private let engine: Engine
  private let context: Context
  private let route: Route
  private var space: JobSpace
  private var build: SegmentIndex
  /// None: each is waited for before the next.
  private var spare: SegmentIndex?
  private var pending: FrameWrite?

  /// Nil without memory. Without the lock.
  init?(_ engine: Engine, _ context: Context, _ space: JobSpace, _ route: Route) {
    self.engine = engine
    self.context = context
    self.route = route
    self.space = space
    let (first, second) = engine.lock.withLock { () -> (SegmentIndex?, SegmentIndex?) in
      let first = engine.takeScratch(level: route.target)
      return (first, engine.hasRoomBesides ? engine.takeScratch(level: route.target) : nil)
    }
    guard let first else { return nil }
    (build, spare) = (first, second)
  }

  /// Where the next frames are got ready: the tables, and a segment for their bytes.
  var next: (space: JobSpace, build: SegmentIndex) { (space, build) }

  /// Sends the frames in `next`. False when that failed: then they, or those before them, are not there.
  /// - Parameter publish: called for frames that have arrived, maybe later.
  mutating func send(_ count: Int, _ publish: (FrameWrite) -> Void) -> Bool {
    if let pending, !pending.isUnderWay, !finish(publish) { return false }
    var write = FrameWrite(space: space, count: count, level: route.target)
    var beginning = engine.begin(&write, context, route, scratchPinned: build)
    if beginning == .noMemory, pending != nil {
      guard finish(publish) else { return false }
      beginning = engine.begin(&write, context, route, scratchPinned: build)
    }
    let isBefore = finish(publish)
    guard beginning == .begun else { return false }
    pending = write
    guard let other = spare else { return finish(publish) && isBefore }
    (build, spare) = (other, build)
    space = space.flipped
    return isBefore
  }

  /// Waits until all have arrived. False when one has not.
  mutating func finish(_ publish: (FrameWrite) -> Void) -> Bool {
    guard var write = pending else { return true }
    pending = nil
    guard engine.end(&write, context) else { return false }
    publish(write)
    return true
  }

  /// Gives its memory back; after `finish`.
  mutating func close() {
    engine.lock.withLock {
      engine.giveScratch(build)
      if let spare { engine.giveScratch(spare) }
    }
  }
}
