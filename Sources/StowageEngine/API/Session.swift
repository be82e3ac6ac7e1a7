// SPDX-License-Identifier: Apache-2.0

/// A store's session: what a checkpoint keeps in the chain's last backing, and a later store resumes.
public struct SessionConfiguration: Sendable, Hashable {
  /// What to do when the store is opened.
  public enum Start: Sendable, Hashable {
    /// Begin a session. A backing that holds one already is refused, unless it is to be replaced: what it held is given up
    /// when the store is open.
    case create(replacing: Bool)
    /// Go on with the session that the backing holds.
    /// - Parameter force: also under another name or other attributes, or when it was marked `isOnce` and is used up.
    case resume(force: Bool)
    /// Go on with the session that the backing holds, whosever it is, to change how it is kept: what it says of its use (that
    /// it was suspended, that it was resumed) stays as it is. For who gives no page to anyone.
    case alter
    /// Look at the session that the backing holds, whosever it is: nothing is written, and no checkpoint can be made.
    case inspect
  }

  /// For people, and compared when it is resumed.
  public var name: String
  /// The owner's own, compared when it is resumed: a machine's kernel release, a program's version.
  public var attributes: [String: String]
  /// Whether it may be resumed only once: a suspended machine whose disks have moved on meanwhile.
  public var isOnce: Bool
  public var start: Start
  /// Deltas that the index may have: fewer than there is room for in simulations, where they are merged all the time.
  package var deltasMax = Int.max

  public init(
    name: String, attributes: [String: String] = [:], isOnce: Bool = false, start: Start = .create(replacing: false)
  ) {
    self.name = name
    self.attributes = attributes
    self.isOnce = isOnce
    self.start = start
  }
}

/// What a session says of itself in the clear: found out without its chain and its keys.
public struct SessionDescription: Sendable, Hashable {
  /// A tier that wrote something of it.
  public struct Tier: Sendable, Hashable {
    /// The tier's name in the chain, the plug-in's, and that one's version.
    public var name: String
    public var plugin: String
    public var version: String
    public var isMandatory: Bool
    /// Options that were given and are no secrets, as text; of tiers that are not mandatory they are not in the clear.
    public var options: [String: String]
  }

  public var name: String
  public var attributes: [String: String]
  public var isOnce: Bool
  /// It was to be resumed once, and was.
  public var isUsed: Bool
  /// The store that wrote it was suspended; else it ended between two checkpoints, or is in use.
  public var isSuspended: Bool
  public var identity: String
  public var sequence: UInt64
  /// When the checkpoint was made, in seconds since 1970.
  public var time: UInt64
  public var pageSize: Int
  public var pages: Int
  public var hasEndToEndChecksums: Bool
  /// Bytes of the whole index, and of the changes since it was written.
  public var indexBytes: Int
  public var deltaBytes: Int
  /// From RAM down.
  public var tiers: [Tier]
}

/// Why a session cannot be had.
public enum SessionFault: Sendable, Hashable {
  /// The backing holds none.
  case none
  /// The backing holds one, and a new one was to be begun.
  case exists
  /// What is stored is damaged, or was written by something else.
  case damaged
  /// It belongs to another name or other attributes.
  case foreign
  /// It was to be resumed once, and was.
  case used
  /// A tier that wrote it is not in the chain, or not as it was.
  case tier
}

/// What a checkpoint did.
public struct CheckpointReport: Sendable, Hashable {
  /// Numbers the session's checkpoints, from 1; attempts that failed leave gaps.
  public var sequence: UInt64
  /// Persistent pages that it holds.
  public var pages: Int
  /// Pages that it wrote, as they had no copy yet.
  public var pagesWritten: Int
  /// Bytes written in all, and those of the index among them.
  public var bytesWritten: Int
  public var indexBytes: Int
  /// Whether the whole index was written, or what had changed.
  public var isWhole: Bool
  /// How many earlier lists of changes were written anew as one.
  public var deltasMerged = 0
  public var duration_ns: UInt64
}

/// What loading ahead did.
public struct PreloadReport: Sendable, Hashable {
  /// Pages that came up into RAM, and those that are left in the session's tier.
  public var pages: Int
  public var pagesLeft: Int
  public var bytesRead: Int
  public var duration_ns: UInt64
}

/// A page, as `Store.forEachPage` tells it.
public struct PageSummary: Sendable, Hashable {
  public var handle: Handle
  /// The owner's own.
  public var tag: UInt64
  public var kind: PageKind
}

/// What a store's session says of itself.
public struct SessionSummary: Sendable, Hashable {
  public var name: String
  public var attributes: [String: String]
  public var isOnce: Bool
  /// The last checkpoint that completed; 0 when there was none.
  public var sequence: UInt64
  /// Bytes of the session's tier that only the last checkpoint needs: the next one frees them.
  public var bytesHeld: Int
  /// Checkpoints of this run that began to merge lists of changes, and those of them that failed.
  package var mergesBegun = 0
  package var mergesFailed = 0
  /// Slots of the session's tier in use: of pages, of the index, and those held for the last checkpoint only.
  package var slotsUsed = 0
}
