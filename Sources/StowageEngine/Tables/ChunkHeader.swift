// SPDX-License-Identifier: Apache-2.0

/// What stands before each chunk in a segment, and for each chunk in a frame record: whose it is, how long,
/// which id, which checksum.
///
/// Length and id share 32 bits: `lengthBits` (13 for 4 KiB pages, 17 for 64 KiB) for the length, the rest
/// for the id's distance from its segment's (frame's) base.
struct ChunkHeader {
  var owner: UInt32
  var lengthAndID: UInt32
  var checksum: UInt32

  static let byteCount = 12
}

/// How length and id distance are packed, for one page size.
struct ChunkCodec: Sendable {
  let lengthBits: UInt32
  let lengthMask: UInt32
  /// Bases are multiples of this, so that a frame record needs 32 bits for one.
  static let baseStep: UInt64 = 4096
  /// Id distances are below this.
  let idWindow: UInt64

  init(pageSize: Int) {
    lengthBits = UInt32(pageSize.trailingZeroBitCount + 1)
    lengthMask = 1 << lengthBits - 1
    idWindow = 1 << UInt64(32 - lengthBits)
  }

  @inline(__always) func pack(length: Int, idOffset: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: idOffset) << lengthBits | UInt32(truncatingIfNeeded: length)
  }

  @inline(__always) func length(_ packed: UInt32) -> Int { Int(packed & lengthMask) }
  @inline(__always) func idOffset(_ packed: UInt32) -> UInt64 { UInt64(packed >> lengthBits) }

  /// The base for a first id, so that ids somewhat older fit as well; of the same level, whose number ids have in
  /// their upper 8 bits.
  @inline(__always) func base(for id: UInt64) -> UInt64 {
    let counter = id & (1 << 56 - 1)
    return (id - min(counter, idWindow / 2)) & ~(Self.baseStep - 1)
  }

  @inline(__always) func fits(_ id: UInt64, base: UInt64) -> Bool { id >= base && id - base < idWindow }
}
