// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// A tier whose state can be written for other key options: the extension `stowage.tier.rekey/1`.
///
///     private let rekey = RekeyExtension { MyTier.rekey($0, $1, $2, $3, $4) }
///
///     @c @implementation
///     public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
///       MyTier.entry(host) { MyTier.open($0, $1) } extensions: { rekey.table($0) }
///     }
public protocol RekeyTier: Tier, ~Copyable {
  /// Writes the state that instances opened like `other` can load, to decode what this one can. Neither is changed;
  /// `other` was given no state and has no contexts.
  func saveState(for other: borrowing Self, _ room: inout TierStateRoom) throws(TierError)
}

extension RekeyTier where Self: ~Copyable {
  /// The function of the extension's table. Both instances are this tier's: the host promises that.
  public static func rekey(
    _ from: OpaquePointer, _ to: OpaquePointer, _ state: UnsafeMutablePointer<UInt8>?, _ room: Int,
    _ length: UnsafeMutablePointer<Int>
  ) -> Int32 {
    let source = TierInstance.tier(from).assumingMemoryBound(to: Self.self)
    let target = TierInstance.tier(to).assumingMemoryBound(to: Self.self)
    var place = TierStateRoom(room: UnsafeMutableRawBufferPointer(start: state, count: state == nil ? 0 : room))
    let result = code { () throws(TierError) in
      try source.pointee.saveState(for: target.pointee, &place)
    }
    length.pointee = place.length
    return result
  }
}

/// The table of `stowage.tier.rekey/1`. Keep it in a global `let`: it is never freed.
public struct RekeyExtension: Sendable {
  /// As in the table: from, to, state, room, length.
  public typealias Answer =
    @convention(c) (OpaquePointer, OpaquePointer, UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<Int>) -> Int32

  private let table: ExtensionTable<stowage_rekey_extension>

  public init(_ answer: Answer) {
    let size = UInt32(MemoryLayout<stowage_rekey_extension>.stride)
    table = ExtensionTable(STOWAGE_EXTENSION_REKEY, .init(struct_size: size, reserved: 0, rekey: answer))
  }

  /// Its table if this is what the host asks for.
  public func table(_ id: UnsafePointer<CChar>) -> UnsafeRawPointer? { table.table(id) }
}
