// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Synchronization

/// Codec contexts of calling threads, within the memory limit.
///
/// They are made when they are first needed, as there are more slots for callers than most programs use. What one takes is
/// known from the workers' own. Room for the first is kept from the beginning; another one is made when there is room, and
/// room is made for it; until then its callers share those that there are.
extension Engine {
  /// A context for a calling thread, with its tiers' contexts opened.
  @inline(__always) func acquire() throws(StoreError) -> Context {
    let context = callers.acquire()
    return context.pointee.isPrepared ? context : try acquireAnother(context)
  }

  /// Makes the tiers' contexts of one that is acquired, or gives another one that has them.
  private func acquireAnother(_ first: Context) throws(StoreError) -> Context {
    var context = first
    while !context.pointee.isPrepared {
      let (isClosing, isReserved) = lock.withLock {
        (state.pointee.isClosing, !state.pointee.isClosing && reserveContext())
      }
      guard !isClosing else {
        callers.release(context)
        throw .closed
      }
      if isReserved {
        try make(context)
        break
      }
      callers.release(context)
      context = callers.acquirePrepared() ?? callers.acquire()
    }
    return context
  }

  private func make(_ context: Context) throws(StoreError) {
    // A store without room for raw pages encodes on the caller's thread.
    let encodes = putsThrough.load(ordering: .relaxed)
    let use = encodes ? STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE : STOWAGE_CONTEXT_DECODE
    do {
      try context.pointee.prepare(calls, use: UInt32(use))
    } catch {
      context.pointee.close(calls)
      // Before the context is let go: the plan may change then.
      let name = plan.levels[error.level].name
      lock.withLock { contextMade(false) }
      callers.release(context)
      throw .unavailable(tier: name, reason: error.reason)
    }
    context.pointee.canEncode = encodes
    lock.withLock { contextMade(true) }
  }

  /// A context that may encode as well. False when there is no room for a larger one, or a tier gives none now.
  func prepareToEncode(_ context: Context) -> Bool {
    guard !context.pointee.canEncode else { return true }
    guard lock.withLock({ reserveContext() }) else { return false }
    context.pointee.close(calls)
    let made: Void? = try? context.pointee.prepare(
      calls, use: UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE))
    context.pointee.canEncode = made != nil
    if made == nil { context.pointee.close(calls) }
    // The one that it was counts no more.
    lock.withLock {
      contextMade(true)
      state.pointee.callerContexts -= made == nil ? 2 : 1
      if state.pointee.callerContexts == 0 { state.pointee.contextsAhead += 1 }
    }
    return made != nil
  }

  // MARK: The budget. With the lock.

  /// What is kept for contexts that are being made or asked for.
  var reservedBytes: Int { state.pointee.contextsAhead * state.pointee.contextBytes }

  /// Keeps room for one more context; false when there is none now. Then it is made, as long as contexts take no more
  /// than an eighth of the memory limit.
  private func reserveContext() -> Bool {
    let bytes = state.pointee.contextBytes
    // For the first there is room from the beginning.
    guard state.pointee.callerContexts > 0 else {
      state.pointee.callerContexts = 1
      return true
    }
    let isWanted = state.pointee.wantsContext
    if hasRoomBesidePools(isWanted ? 0 : bytes) {
      if !isWanted { state.pointee.contextsAhead += 1 }
      state.pointee.wantsContext = false
      state.pointee.callerContexts += 1
      rebalanceForContexts()
      return true
    }
    if !isWanted, (state.pointee.callerContexts + 1) * bytes <= state.pointee.memoryLimit / 8 {
      state.pointee.wantsContext = true
      state.pointee.contextsAhead += 1
      rebalanceForContexts()
      work.notify()
    }
    return false
  }

  /// A context that room was kept for is there, or could not be made.
  private func contextMade(_ isThere: Bool) {
    if isThere {
      notePeak()
      state.pointee.contextsAhead -= 1
    } else {
      state.pointee.callerContexts -= 1
      // The first one's room stays.
      if state.pointee.callerContexts > 0 { state.pointee.contextsAhead -= 1 }
    }
    rebalanceForContexts()
  }

  /// The limits were accepted: dividing them anew does not fail.
  private func rebalanceForContexts() { try? rebalance(force: true) }
}
