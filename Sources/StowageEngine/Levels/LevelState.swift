// SPDX-License-Identifier: Apache-2.0

/// What changes about a level. All fields are guarded by the engine's lock.
struct LevelState {
  /// Its segments in order of entry: `head` is the oldest. Claimed ones are counted but not listed.
  var head = noSegment
  var tail = noSegment
  /// Where one was put in between last: the next one often goes behind it.
  var lastInserted = noSegment
  var segments = 0
  var sealed = 0
  var claimed = 0
  /// Backings: slots in use.
  var slots = 0

  var pages = 0
  var discardable = 0
  /// Bytes of live chunks (frames: of live frames).
  var liveBytes = 0
  var frames = 0
  /// Frames in slots of which at most three quarters of the chunks live.
  var sparseFrames = 0
  /// Frame records looked at since a sparse one was found; when all were, the search rests until then, or until one more
  /// is sparse.
  var sparseLooked = 0
  var sparseRestUntil: UInt64 = 0

  /// In segments (backings: slots). Work starts above `high` and goes on down to `low`.
  var limit = 0
  var high = 0
  var low = 0
  var isDraining = false
  /// What a context of a tier takes that came while the store was open.
  var contextBytes = 0
  /// As set by the user, in bytes; -1: a share chosen by the store.
  var limitGiven = -1
  /// While a flush is at this level: segments with a sequence number below this must leave it, of a backing frames with
  /// an id below it.
  var flushBelow: UInt64 = 0
  /// Of those: how many segments are claimed, and how many frames are left.
  var flushClaimed = 0
  var flushLeft = 0

  /// The next object id of this level's encodings.
  var nextID: UInt64 = 0
  /// The number of the codec that it encodes with now.
  var codec: UInt8 = 0

  var entered = 0
  var demoted = 0
  var skipped = 0
  var dropped = 0
  var encodes = 0
  var encodeNanoseconds: UInt64 = 0
  /// A moving mean of one encode.
  var encodeCost: Double = 0

  /// A tier that failed is left alone until then; 0 when it is well.
  var degradedUntil: UInt64 = 0
  var backoff: UInt64 = 0
  var isDegraded: Bool { degradedUntil != 0 }

  /// - Parameter drained: how far down work goes once it started, as a share of the limit: one in so many.
  mutating func setLimit(_ value: Int, drained: Int = 8) {
    limit = value
    high = value - (value > 1 ? max(1, value / 16) : 0)
    low = max(0, high - (value > 1 ? max(1, value / drained) : 0))
  }

  mutating func countEncodes(_ count: Int, nanoseconds: UInt64) {
    guard count > 0 else { return }
    encodes += count
    encodeNanoseconds += nanoseconds
    let cost = Double(nanoseconds) / Double(count)
    encodeCost = encodeCost == 0 ? cost : encodeCost * 0.9 + cost * 0.1
  }
}
