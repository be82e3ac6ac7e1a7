// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier

/// A copy of one of the tier's structures, of which nothing is believed: pointers that the header calls non-null are
/// read as words, and what the tier's struct_size leaves out is zero.
struct RawTable<Table> {
  private let copy: UnsafeMutablePointer<Table>

  /// - Parameter size: how many bytes the tier says there are.
  init(_ source: UnsafeRawPointer, size: Int = MemoryLayout<Table>.size) {
    let own = MemoryLayout<Table>.size
    // Never freed: a check's process ends with the check.
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: own, alignment: 16)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: own)
    bytes.copyMemory(from: source, byteCount: min(own, size))
    copy = bytes.assumingMemoryBound(to: Table.self)
  }

  /// A field that is a number; pointers are not to be read in this way.
  subscript<Value: FixedWidthInteger>(_ field: KeyPath<Table, Value>) -> Value { copy.pointee[keyPath: field] }

  /// A field that is a pointer; 0 for null.
  func word(_ field: PartialKeyPath<Table>) -> UInt {
    guard let offset = MemoryLayout<Table>.offset(of: field) else { return 0 }
    return UnsafeRawPointer(copy).load(fromByteOffset: offset, as: UInt.self)
  }

  func pointer(_ field: PartialKeyPath<Table>) -> UnsafeRawPointer? { UnsafeRawPointer(bitPattern: word(field)) }

  func isNull(_ field: PartialKeyPath<Table>) -> Bool { word(field) == 0 }

  /// The bytes before the NUL; nil when the pointer is null. At most `limit` and one are looked at.
  func text(_ field: PartialKeyPath<Table>, limit: Int = 4096) -> [UInt8]? {
    RawText.bytes(pointer(field), limit: limit)
  }
}

/// Texts of a tier of which nothing is believed.
enum RawText {
  static func bytes(_ start: UnsafeRawPointer?, limit: Int = 4096) -> [UInt8]? {
    guard let start else { return nil }
    var bytes: [UInt8] = []
    while bytes.count <= limit {
      let byte = start.load(fromByteOffset: bytes.count, as: UInt8.self)
      guard byte != 0 else { break }
      bytes.append(byte)
    }
    return bytes
  }

  /// Why it is no text for people; nil if it is one.
  static func objection(_ bytes: [UInt8], limit: Int = 4096) -> String? {
    guard bytes.count <= limit else { return "is longer than \(limit) bytes" }
    guard String(validating: bytes, as: UTF8.self) != nil else { return "is not UTF-8" }
    guard !bytes.contains(where: { $0 < 32 || $0 == 127 }) else { return "has control characters" }
    return nil
  }

  /// Lower-case letters, digits and '-', not first, at most 32.
  static func isName(_ bytes: [UInt8]) -> Bool {
    guard (1...32).contains(bytes.count), bytes.first != 45 else { return false }
    return bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
  }

  /// For messages.
  static func shown(_ bytes: [UInt8]?) -> String { bytes.map { "'\(String(decoding: $0, as: UTF8.self))'" } ?? "null" }
}

extension LoadedTier {
  /// The descriptor as it lies there, as far as its struct_size reaches.
  var descriptor: RawTable<stowage_tier> {
    let source = UnsafeRawPointer(raw)
    let size = source.load(
      fromByteOffset: MemoryLayout<stowage_tier>.offset(of: \stowage_tier.struct_size)!, as: UInt32.self)
    return RawTable(source, size: Int(size))
  }

  var transformTable: RawTable<stowage_transform>? { Self.table(descriptor.pointer(\.transform)) }
  var backingTable: RawTable<stowage_backing>? { Self.table(descriptor.pointer(\.backing)) }

  /// Each begins with its struct_size.
  private static func table<Table>(_ source: UnsafeRawPointer?) -> RawTable<Table>? {
    source.map { RawTable($0, size: Int($0.load(as: UInt32.self))) }
  }

  /// The options table; empty when the descriptor has none. Its size and place must have been seen to be sound.
  var rawOptions: [RawTable<stowage_option>] {
    let tier = descriptor
    guard let start = tier.pointer(\.options) else { return [] }
    return (0..<Int(tier[\.option_count])).map {
      RawTable(start + $0 * Int(tier[\.option_size]), size: Int(tier[\.option_size]))
    }
  }
}
