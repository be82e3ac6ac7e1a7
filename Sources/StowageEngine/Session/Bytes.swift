// SPDX-License-Identifier: Apache-2.0

/// Writes numbers and texts behind each other, little-endian.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  @inline(__always) mutating func put<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func put(raw: UnsafeRawPointer, _ count: Int) {
    bytes.append(contentsOf: UnsafeRawBufferPointer(start: raw, count: count))
  }

  mutating func put(zeros count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

  /// With its length before it.
  mutating func put(_ text: String) { put(Array(text.utf8)) }

  mutating func put(_ block: [UInt8]) {
    put(UInt32(block.count))
    bytes.append(contentsOf: block)
  }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
}

/// What was to be read is not there.
struct ByteShortage: Error {}

/// Reads what a `ByteWriter` wrote; whatever the bytes are, nothing outside them is read.
struct ByteReader {
  private let bytes: ArraySlice<UInt8>
  private(set) var position: Int

  init(_ bytes: [UInt8]) { self.init(bytes[...]) }

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  var left: Int { bytes.endIndex - position }

  @inline(__always) mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self)
    throws(ByteShortage) -> Number
  {
    let size = MemoryLayout<Number>.size
    guard left >= size else { throw ByteShortage() }
    let value = bytes.withUnsafeBytes {
      $0.loadUnaligned(fromByteOffset: position - bytes.startIndex, as: Number.self)
    }
    position += size
    return Number(littleEndian: value)
  }

  mutating func raw(_ count: Int) throws(ByteShortage) -> ArraySlice<UInt8> {
    guard count >= 0, left >= count else { throw ByteShortage() }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func block() throws(ByteShortage) -> [UInt8] { Array(try raw(Int(try number(UInt32.self)))) }

  mutating func text() throws(ByteShortage) -> String {
    guard let text = String(validating: try block(), as: UTF8.self) else { throw ByteShortage() }
    return text
  }
}
