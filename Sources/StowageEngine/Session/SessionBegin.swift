// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Synchronization

/// Going on with a session, before any thread of the store runs.
extension Engine {
  /// Its pages can be had from here on, each as soon as what the index says of it is read.
  func begin(_ image: SessionImage) throws(StoreError) {
    guard let session, let keeper, let port = ports[session.level] else { return }
    do throws(StreamFault) {
      keeper.load = try IndexLoad(self, session, keeper, image)
    } catch {
      throw sessionError(error, session)
    }
    isLoading.store(true, ordering: .releasing)
    keeper.headSlots = image.slots
    keeper.wholeBytes = Int(image.root.pages.length + image.root.frames.length + image.root.places.length)
    keeper.deltas = keeper.load?.deltas ?? []
    keeper.needsWhole = false
    try lock.withLock { () throws(StoreError) in
      session.noteDeltas(keeper.deltas)
      try rebalance(force: true)
      try checkRoom()
    }
    if keeper.configuration.start == .inspect {
      // Nothing is written; that all of it can be read is what is wanted.
      lock.withLock { state.pointee.rests = true }
      try finishLoading()
    } else {
      try begin(image, session, keeper, port)
    }
  }

  /// Records, before anything is given out, that this run gives out nothing that an earlier one could have.
  private func begin(
    _ image: SessionImage, _ session: SessionTables, _ keeper: SessionKeeper, _ port: BackingPort
  ) throws(StoreError) {
    var root = image.root
    guard root.generationLimit <= Place.generationMax else {
      throw .session(.tier, "the session's handles are used up; take its pages over to a new one")
    }
    pages.setFloor(root.generationLimit)
    state.pointee.nextFrameID = root.frameIDLimit
    root.generationLimit = pages.nextLimit
    root.frameIDLimit += Self.frameIDReserve
    root.chunkIDReserve += Self.chunkIDReserve
    root.epochLimit = nextEpoch
    if keeper.configuration.start != .alter {
      if root.flags.contains(.once) { root.flags.insert(.used) }
      root.flags.remove(.suspended)
    }
    let new = root.encoded()
    guard (try? SessionRoot(decoding: new)) != nil else {
      throw .session(.tier, "the session's numbers are used up; take its pages over to a new one")
    }
    let result = port.swapRoot(keeper.root ?? [], by: new)
    guard result == STOWAGE_OK else {
      throw .unavailable(
        tier: plan.levels[session.level].name, reason: "its root cannot be replaced: \(port.lastFailure(result))")
    }
    keeper.root = new
    keeper.last = root
    lock.withLock {
      pages.setLimit(root.generationLimit)
      noteLimits(keeper)
    }
  }
}
