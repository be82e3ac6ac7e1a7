// SPDX-License-Identifier: Apache-2.0

/// One level of a store at one moment. Level 0 is the store's raw pages; the others are the chain's
/// tiers in order. Counts of events are since the store was opened.
public struct LevelStatistics: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable { case store, transform, backing }
  public var name: String
  public var kind: Kind
  /// What is particular about its place in this chain, such as "packs frames" or "passed over: below a
  /// cipher"; empty when nothing is.
  public var note: String
  /// Pages now here, and of them the discardable ones.
  public var pages: Int
  public var discardablePages: Int
  /// Pages that came to stop here.
  public var pagesEntered: Int
  /// Pages that left for a lower level.
  public var pagesDemoted: Int
  /// Pages that went by this level although it had a place for them: rapid growth, or degraded.
  public var pagesSkipped: Int
  /// Discardable or unreadable pages that ended here.
  public var pagesDropped: Int
  /// All RAM that its pages cost: pool and metadata.
  public var ramBytes: Int
  /// RAM taken by its segments, and of it the bytes of live chunks.
  public var poolBytes: Int
  public var chunkBytes: Int
  /// RAM for its pages beyond their chunks and the pool's unused part: table entries, chunk headers,
  /// frame records.
  public var metadataBytes: Int
  /// Bytes of slots in use; 0 for levels in RAM.
  public var diskBytes: Int
  /// The limit now in force: RAM of a level in RAM, slots of a backing.
  public var limitBytes: Int
  /// Mean time of one encode (of a page, or of a frame), in microseconds; 0 when there was none.
  public var encodeMicroseconds: Double
  /// Why the tier is degraded now; nil when it is not.
  public var degraded: String?
}

/// A store at one moment.
public struct StoreStatistics: Sendable, Hashable {
  public var levels: [LevelStatistics]
  public var pageSize: Int
  /// Pages now stored, all levels and same-filled ones.
  public var pages: Int
  public var discardablePages: Int
  /// Pages of one repeated 8-byte word; they cost no chunk and stand in no level.
  public var sameFilledPages: Int
  public var puts: Int
  public var replaces: Int
  public var takes: Int
  public var peeks: Int
  public var discards: Int
  public var drops: Int
  /// Pages that left the store for a level past the next one because of rapid growth.
  public var skips: Int
  /// Puts that had to wait for room.
  public var stalls: Int
  /// Chunks moved by compaction, and frames taken apart by it.
  public var chunksCompacted: Int
  public var framesCompacted: Int
  public var memoryLimit: Int
  /// What the store makes the process use now, and at most so far.
  public var ramBytes: Int
  public var ramPeakBytes: Int
  /// Parts of `ramBytes` that belong to no level.
  public var workspaceBytes: Int
}
