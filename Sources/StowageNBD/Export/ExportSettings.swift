// SPDX-License-Identifier: Apache-2.0

/// What a flush, and a write that asks to be on the disk (FUA), promise.
public enum Durability: String, Sendable, Hashable, CaseIterable {
  /// Nothing: as for swap, whose contents are worth nothing without the RAM beside them.
  case volatile
  /// What was written before is in the session when it is answered, and survives a crash.
  case durable
}

/// An export as it is asked for.
public struct ExportSettings: Sendable, Hashable {
  /// What clients ask for; at most 4096 bytes of UTF-8. The first export is also the one without a name.
  public var name: String
  /// For people; shown to clients.
  public var description: String
  /// Bytes; a multiple of the store's page.
  public var size: Int
  /// Bytes of blocks that may be written at once; nil: as many as there are.
  public var quota: Int?
  public var isReadOnly = false
  public var durability = Durability.volatile
  /// Whether the store must have room for all of it, whatever it holds, before it is offered.
  public var isReserved = false
  /// Whether it may be used over an encrypted connection only.
  public var needsTLS = false

  public init(name: String, size: Int, description: String = "") {
    self.name = name
    self.size = size
    self.description = description
  }

  /// Bytes of blocks that it may hold.
  public var capacity: Int { min(size, quota ?? size) }
}

/// Why exports cannot be offered. `description` says what is wrong and what to do.
public struct ExportError: Error, Sendable, Hashable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// A page's tag: which block of which export it is.
///
///     63    62       48  47        0
///     lost  the export   the block
struct BlockTag {
  var bits: UInt64
  private static let lostBit: UInt64 = 1 << 63
  static let blockMax = 1 << 48
  static let numberMax = 1 << 15

  init(bits: UInt64) { self.bits = bits }
  init(export: Int, block: Int, isLost: Bool = false) {
    bits = (isLost ? Self.lostBit : 0) | UInt64(export) << 48 | UInt64(block)
  }

  /// The page only says that the block's contents are lost.
  var isLost: Bool { bits & Self.lostBit != 0 }
  var export: Int { Int(bits >> 48) & (Self.numberMax - 1) }
  var block: Int { Int(bits & UInt64(Self.blockMax - 1)) }
}
