// SPDX-License-Identifier: Apache-2.0

/// The name of exactly one page, for as long as its store lives. A handle whose page has ended is
/// refused as stale; it never names another page.
///
/// The lower 32 bits are a place in the page table, the next 24 a generation of that place. A place
/// whose generations are used up is never given out again.
public struct Handle: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt64

  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

  @inlinable init(index: UInt32, generation: UInt32) {
    rawValue = UInt64(generation) << 32 | UInt64(index)
  }

  @inlinable var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) }
  @inlinable var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }

  public var description: String { "0x" + String(rawValue, radix: 16) }
}

/// Whether a page must come back.
public enum PageKind: Sendable, Hashable {
  /// Never dropped while it can be read.
  case persistent
  /// May be dropped when it reaches a discard point or when room runs out; the owner is told.
  case discardable
}

/// Why a page ended without its owner asking for it.
public enum DropReason: String, Sendable, Hashable, CaseIterable {
  /// A discardable page reached the level that is marked as a discard point.
  case discardPoint
  /// A discardable page made room when no level could take more.
  case noRoom
  /// The page cannot be read any more: damaged, or not authentic.
  case unreadable
  /// The store was closed.
  case closed
  /// A discardable page, when the store was suspended.
  case suspended
}

/// What a destructor is told of the page that ended.
public struct DroppedPage: Sendable, Hashable {
  /// Already dead when the destructor runs.
  public var handle: Handle
  public var tag: UInt64
  public var kind: PageKind
  /// The place in `Store.statistics().levels` of the level that held it.
  public var level: Int
  public var reason: DropReason
}

/// Called exactly once for each page that is dropped (an unreadable one included) or still there at
/// close; on an engine thread, with no lock held. It may call the store, except `close`.
public typealias Destructor = @Sendable (DroppedPage) -> Void

/// Where a page is at one moment.
public enum PageLocation: Sendable, Hashable {
  /// One repeated word, in the page table.
  case sameFilled
  /// In a level of RAM; its place in `Store.levelNames`.
  case memory(level: Int)
  /// In a backing: loading it calls into that tier.
  case backing(level: Int)
}
