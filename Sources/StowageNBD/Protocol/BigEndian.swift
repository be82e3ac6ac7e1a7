// SPDX-License-Identifier: Apache-2.0

/// Numbers with the highest byte first, at any address.
///
/// Sound because they touch exactly the number's own bytes, which the caller has checked to be there.
extension UnsafeRawPointer {
  @inline(__always) func big<Number: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Number.Type) -> Number
  {
    Number(bigEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }
}

extension UnsafeMutableRawPointer {
  @inline(__always) func setBig<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
    storeBytes(of: number.bigEndian, toByteOffset: offset, as: Number.self)
  }
}

/// Bytes of a message in the handshake, which is not the data path.
struct MessageBytes {
  private(set) var bytes: [UInt8] = []

  mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func append(text: String) { bytes.append(contentsOf: text.utf8) }
  mutating func append(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }
}

/// Reads such a message; nil where it is too short.
struct MessageReader {
  private let bytes: [UInt8]
  private var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { at == bytes.count }

  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) -> Number? {
    let size = MemoryLayout<Number>.size
    guard bytes.count - at >= size else { return nil }
    defer { at += size }
    return bytes.withUnsafeBytes { Number(bigEndian: $0.loadUnaligned(fromByteOffset: at, as: type)) }
  }

  /// Text with its length before it; nil also when it is no UTF-8 or longer than a name may be.
  mutating func text() -> String? {
    guard let length = number(UInt32.self), length <= NBD.nameBytesMax, bytes.count - at >= Int(length) else {
      return nil
    }
    defer { at += Int(length) }
    return String(validating: bytes[at..<at + Int(length)], as: UTF8.self)
  }
}
