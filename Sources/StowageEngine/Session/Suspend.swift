// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// Checkpoints and the end of a store whose session is kept.
extension Engine {
  func checkpoint() throws(StoreError) -> CheckpointReport {
    let (keeper, session) = try guardSession("a checkpoint")
    keeper.gate.lock()
    defer { keeper.gate.unlock() }
    return try checkpoint(keeper, session, isLast: false)
  }

  /// - Parameter whole: what is to be done needs the whole index of a session that was resumed.
  func guardSession(_ what: String, whole: Bool = true) throws(StoreError) -> (SessionKeeper, SessionTables) {
    guard let keeper, let session else {
      throw .unsupported("\(what) needs a store with a session; open it with one")
    }
    guard keeper.configuration.start != .inspect else {
      throw .unsupported("\(what) cannot be made of a session that is only looked at; resume it")
    }
    guard stowage_thread_owner() != identity else {
      throw .unsupported("\(what) cannot be made from a destructor: it waits for the thread that runs it")
    }
    if whole { try finishLoading() }
    return (keeper, session)
  }

  /// With the gate.
  private func checkpoint(
    _ keeper: SessionKeeper, _ session: SessionTables, isLast: Bool, endsSoon: Bool = false
  ) throws(StoreError) -> CheckpointReport {
    guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
    keeper.hold()
    defer { keeper.release() }
    var run = CheckpointRun(self, keeper, session, isLast: isLast, endsSoon: endsSoon)
    return try run.run()
  }

  /// Gives pages in RAM their copies, so that the last checkpoint has less to do; when the index would keep callers waiting
  /// for long, that is written too, as a checkpoint. Pages, bytes, and those of the index. With the gate.
  private func saveAhead(
    _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) -> (pages: Int, bytes: Int, index: Int) {
    let (saved, stopsLong) = try saveCopies(keeper, session)
    guard stopsLong else { return (saved.pages, saved.bytes, 0) }
    let report = try checkpoint(keeper, session, isLast: false, endsSoon: true)
    return (saved.pages + report.pagesWritten, saved.bytes + report.bytesWritten, report.indexBytes)
  }

  private func saveCopies(
    _ keeper: SessionKeeper, _ session: SessionTables
  ) throws(StoreError) -> (saved: (pages: Int, bytes: Int), stopsLong: Bool) {
    guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
    keeper.hold()
    defer { keeper.release() }
    var run = CheckpointRun(self, keeper, session, isLast: false, endsSoon: true)
    let saved = try run.saveAhead()
    return (saved, run.stopsLong)
  }

  /// Pages are saved while everything goes on; then a checkpoint while nothing does, which writes what is left and the
  /// index. With that the store ends.
  func suspend() throws(StoreError) -> CheckpointReport {
    let (keeper, session) = try guardSession("a suspend")
    let began = environment.now()
    keeper.gate.lock()
    var isHeld = true
    defer { if isHeld { keeper.gate.unlock() } }
    let ahead = try saveAhead(keeper, session)
    var report = try stopped { () throws(StoreError) in
      let last = try checkpoint(keeper, session, isLast: true)
      // Those who wait find it closed: what they would change now would be lost.
      lock.withLock {
        state.pointee.isSuspended = true
        state.pointee.isClosing = true
      }
      return last
    }
    report.pagesWritten += ahead.pages
    report.bytesWritten += ahead.bytes
    report.indexBytes += ahead.index
    report.duration_ns = environment.now() &- began
    keeper.gate.unlock()
    isHeld = false
    finishClosing()
    return report
  }

  /// Runs `body` while no caller is in the store: they wait, and find it closed, or as it was if that fails.
  private func stopped<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
    lock.withLock {
      state.pointee.holdsPuts = true
      state.pointee.stopsCalls = true
    }
    var held = 0
    defer {
      lock.withLock {
        state.pointee.holdsPuts = false
        state.pointee.stopsCalls = false
        state.pointee.rests = false
      }
      space.notify()
      for index in 0..<held { callers.release(callers[index]) }
    }
    while held < callers.count {
      while !callers[held].pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
        callers.waitForRelease()
      }
      held += 1
    }
    while lock.withLock({ state.pointee.puts > 0 }) { quiet.wait(quiet.ticket, timeout: 1_000_000) }
    return try body()
  }
}
