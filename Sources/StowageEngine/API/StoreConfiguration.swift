// SPDX-License-Identifier: Apache-2.0

/// How a store is made. Sizes are in bytes.
public struct StoreConfiguration: Sendable {
  /// Bytes in a page: a power of two from 4096 to 65536.
  public var pageSize = 4096
  /// What the store may make the process use in all: pools, tables, codec contexts, I/O buffers.
  public var memoryLimit: Int
  /// What raw pages may take of it; nil: a share chosen by the store.
  public var storeLimit: Int?
  /// Engine threads; nil: one per core.
  public var workers: Int?
  /// Lock the pools in RAM (`mlock`), so that the kernel's own swap never takes them.
  public var locksMemory = false
  /// Keep a checksum of each page from put to take, and check it (8 bytes of RAM a page).
  public var checksEndToEnd = false
  /// How long one call into a backing may take before it counts as failed, unless the tier has its own. As long a call into
  /// a tier that stands one at a time waits for those before it.
  public var deadline: Duration = .seconds(10)
  /// How long a put may wait for demotion to make room before it is refused.
  public var putPatience: Duration = .seconds(60)

  /// Whether tiers may come and go while the store is open (`addTier`, `replaceTier`, `removeTier`).
  public var isChainChangeable = false

  /// The store's session; nil: it keeps nothing beyond its own life. The chain must end in a persistent backing, and cannot
  /// change while the store is open.
  public var session: SessionConfiguration?

  public init(memoryLimit: Int) { self.memoryLimit = memoryLimit }
}

/// One tier of the chain: which plug-in, under which name, with which options and limits.
public struct ChainTier: Sendable {
  public var table: TierTable
  /// Unique in the chain; by default the plug-in's name, "-2" and so on appended when it is taken.
  public var name: String
  /// Checked values for options of the tier's table; those left out take their defaults.
  public var options: [String: TierOptionValue] = [:]
  /// A transform: bytes of RAM its level may take (0: passed through without stopping; nil: a share
  /// chosen by the store). A backing: bytes it may hold (nil: its capacity).
  public var limit: Int?
  /// Discardable pages are dropped when they would enter this level. nil everywhere: at the first
  /// cipher, else the first backing.
  public var isDiscardPoint: Bool?
  /// For calls into this tier, instead of the store's.
  public var deadline: Duration?

  public init(_ table: TierTable, name: String? = nil) {
    self.table = table
    self.name = name ?? table.name
  }
}
