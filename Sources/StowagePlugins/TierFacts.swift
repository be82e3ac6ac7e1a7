// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// The extension `stowage.tier.describe/1`: what a tier runs on, here and now. It is foreign code: asked in the helper
/// process only.
enum TierFacts {
  private static let room = 512

  /// One line; empty when the tier does not offer it, or cannot say.
  static func of(_ table: TierTable) -> String {
    guard let found = table.extensionTable(STOWAGE_EXTENSION_DESCRIBE) else { return "" }
    let offered = found.assumingMemoryBound(to: stowage_describe_extension.self)
    guard Int(offered.pointee.struct_size) >= MemoryLayout<stowage_describe_extension>.size,
      // A careless tier may leave null what must not be.
      let offset = MemoryLayout<stowage_describe_extension>.offset(of: \.describe),
      found.load(fromByteOffset: offset, as: UInt.self) != 0
    else { return "" }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: room) { text in
      var length = 0
      guard let start = text.baseAddress, offered.pointee.describe(start, room, &length) == STOWAGE_OK,
        length > 0, length <= room
      else { return "" }
      return String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self)
    }
  }
}
