// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// What a store knows of its session's checkpoints, and what it takes to make one. Everything but `gate` belongs to who
/// holds that, or opens the store.
final class SessionKeeper: @unchecked Sendable {
  let configuration: SessionConfiguration
  /// One checkpoint at a time.
  let gate = FutexLock()
  /// The context and tables of that work.
  let context: Context
  let space: JobSpace

  /// The root as the tier has it; nil when a failed swap left that open.
  var root: [UInt8]? = []
  /// Of the last checkpoint that completed.
  var last: SessionRoot?
  var identity: (UInt64, UInt64) = (0, 0)
  /// Changed by who holds the gate, with the engine's lock too.
  var sequence: UInt64 = 0
  /// The number of the last one that was begun.
  var attempts: UInt64 = 0
  /// The next checkpoint writes the whole index: there is none yet, or an attempt to write it failed half way.
  var needsWhole = true
  /// Bytes of the whole index.
  var wholeBytes = 0
  /// The deltas that `last` names, in its order.
  var deltas: [DeltaNote] = []
  /// Slots of the whole index, and of what every checkpoint writes anew.
  var keptSlots: [UInt32] = []
  var headSlots: [UInt32] = []
  /// Slots of an index of which it is not known whether it holds.
  var doubtfulSlots: [UInt32] = []
  /// Spaces of ids that tiers of the session have, whether they are in the chain or not.
  var spaces: Set<UInt8> = []
  /// By level: with what options what the tier needs is to be kept from now on.
  var rekeyed: [Int: (tier: ChainTier, instance: TierInstance)] = [:]
  /// The pass over changed pages that is under way. Guarded by the engine's lock.
  var pass = SavePass()
  /// Loading ahead, when it is under way. Guarded by the engine's lock.
  var ahead = LoadAhead()
  /// Only what the session says of itself is wanted.
  let describes: Bool
  var description: SessionDescription?
  /// Checkpoints that merge deltas. Guarded by the engine's lock.
  var merges = (begun: 0, failed: 0)
  /// Set when slots ran out, or ids soon will: a checkpoint is to be made on the session's own thread.
  let isWanted = Atomic(false)
  let wanted = Event()
  var thread: EngineThread?
  /// The index of a session that was resumed, until all of it is in the tables. Set before any thread runs.
  var load: IndexLoad?
  /// A checkpoint for want of room failed, or freed nothing: not again before then. Guarded by the engine's lock.
  var restUntil: UInt64 = 0
  /// What the last checkpoint that completed made room of. Guarded by the engine's lock.
  var slotsFreed = 0
  /// Why the session's index cannot be brought into the tables. Guarded by the engine's lock.
  var loadFailure: StoreError?
  /// So many pieces of it have come. Guarded by the engine's lock.
  var loadPieces = 0
  /// Why it could not be read further just now. Guarded by the engine's lock.
  var loadTrouble: StoreError?
  /// Why the last checkpoint for want of room failed. Guarded by the engine's lock.
  var refusal: String?
  /// From these ids on, a checkpoint is made that sets limits anew. Guarded by the engine's lock.
  var idLimits: (frames: UInt64, chunks: [UInt64])?

  init(_ configuration: SessionConfiguration, _ context: Context, _ space: JobSpace, describes: Bool) {
    self.describes = describes
    self.configuration = configuration
    self.context = context
    self.space = space
  }

  /// Takes the context; only those who seal idle segments take it besides, for a moment.
  func hold() {
    while !context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
      stowage_pause()
    }
  }

  func release() { context.pointee.held.store(0, ordering: .releasing) }

  deinit {
    gate.deallocate()
    wanted.deallocate()
    space.unmap()
  }
}

extension Engine {
  /// Ids of frames, and of each level's chunks, that a run may give out between two roots: far more than
  /// between two checkpoints of a busy store. A checkpoint is made before half of them are used.
  static let frameIDReserve: UInt64 = 1 << 30
  static let chunkIDReserve: UInt64 = 1 << 28

  /// The transforms that everything passes on its way to the session's tier.
  var mandatoryTransforms: UInt8 {
    var mask: UInt8 = 0
    for index in 0..<levelCount where plan.levels[index].isMandatory && plan.levels[index].role == .frame {
      mask |= plan.levels[index].transformBit
    }
    return mask
  }

  /// Whether what a transform set says has gone through every mandatory tier. Who has no key could name another set in the
  /// clear root, with bytes that nothing authenticates.
  func passesMandatory(_ set: UInt8) -> Bool { mandatoryTransforms & ~epochs.set(set).mask == 0 }

  /// Straight to the session's tier.
  func sessionRoute(_ session: SessionTables, codec: Int) -> Route {
    var route = Route(target: session.level, isFrames: true)
    route.transforms = mandatoryTransforms
    route.codec = codec
    return route
  }
}
