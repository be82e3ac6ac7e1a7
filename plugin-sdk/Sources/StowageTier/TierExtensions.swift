// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// What answers the host when it asks a tier for an extension by its id: the extension's table, which lives for ever, or
/// nil. A C function, as it is called without an instance:
///
///     private let describe = DescribeExtension { DescribeExtension.write("libshelf 1.2", $0, $1, $2) }
///
///     @c @implementation
///     public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
///       MyTier.entry(host) { MyTier.open($0, $1) } extensions: { describe.table($0) }
///     }
public typealias TierExtensionFunction = @convention(c) (UnsafePointer<CChar>) -> UnsafeRawPointer?

/// An extension's table with the id that it goes by. It lives for ever.
struct ExtensionTable<Table>: @unchecked Sendable {
  private let id: String
  private let table: UnsafePointer<Table>

  init(_ id: String, _ table: Table) {
    let place = UnsafeMutablePointer<Table>.allocate(capacity: 1)
    place.initialize(to: table)
    (self.id, self.table) = (id, UnsafePointer(place))
  }

  /// The table if this is what the host asks for.
  func table(_ wanted: UnsafePointer<CChar>) -> UnsafeRawPointer? {
    String(cString: wanted) == id ? UnsafeRawPointer(table) : nil
  }
}

/// The extension `stowage.tier.describe/1`: says in one line what the tier runs on here, such as a library's version.
/// Keep it in a global `let`: its table is never freed.
public struct DescribeExtension: Sendable {
  /// Writes the line to the room and sets the length; best by ``write(_:_:_:_:)``.
  public typealias Answer = @convention(c) (UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<Int>) -> Int32

  private let table: ExtensionTable<stowage_describe_extension>

  public init(_ answer: Answer) {
    let size = UInt32(MemoryLayout<stowage_describe_extension>.stride)
    table = ExtensionTable(STOWAGE_EXTENSION_DESCRIBE, .init(struct_size: size, reserved: 0, describe: answer))
  }

  /// Its table if this is what the host asks for.
  public func table(_ id: UnsafePointer<CChar>) -> UnsafeRawPointer? { table.table(id) }

  /// Writes a line, cut between characters where it does not fit. The code for the host.
  public static func write(
    _ line: String, _ text: UnsafeMutablePointer<CChar>, _ room: Int, _ length: UnsafeMutablePointer<Int>
  ) -> Int32 {
    var line = line
    while line.utf8.count > room { line.removeLast() }
    UnsafeMutableRawBufferPointer(start: text, count: room).copyBytes(from: line.utf8)
    length.pointee = line.utf8.count
    return STOWAGE_OK
  }
}
