// SPDX-License-Identifier: Apache-2.0
import StowageTier

/// The first block of the file: that it is ours, and in which format. Little-endian.
///
///     0   16  "stowage swapfile"
///     16  4   version of this format
///     20  4   bytes in a slot
///     24  8   checksum of the bytes before
struct FileIdentity {
  static let words: StaticString = "stowage swapfile"
  static let version: UInt32 = 1
  private static let checkedBytes = 24

  let version: UInt32
  let slotSize: Int

  init(slotSize: Int) {
    version = FileIdentity.version
    self.slotSize = slotSize
  }

  /// Nil if the block was not written by this tier, or is damaged.
  init?(_ block: UnsafeMutableRawBufferPointer) {
    let words = UnsafeRawBufferPointer(start: FileIdentity.words.utf8Start, count: 16)
    guard words.elementsEqual(block.prefix(16)),
      block.number(at: 24, as: UInt64.self) == checksum(UnsafeRawBufferPointer(block).prefix(FileIdentity.checkedBytes))
    else { return nil }
    version = block.number(at: 16, as: UInt32.self)
    slotSize = Int(block.number(at: 20, as: UInt32.self))
  }

  func write(to block: UnsafeMutableRawBufferPointer) {
    block.initializeMemory(as: UInt8.self, repeating: 0)
    block.copyMemory(from: UnsafeRawBufferPointer(start: FileIdentity.words.utf8Start, count: 16))
    block.setNumber(version, at: 16)
    block.setNumber(UInt32(slotSize), at: 20)
    block.setNumber(checksum(UnsafeRawBufferPointer(block).prefix(FileIdentity.checkedBytes)), at: 24)
  }

  func check(_ path: String, slotSize wanted: Int, _ host: TierHost) throws(TierError) {
    guard version == FileIdentity.version else {
      throw host.fail(
        .invalid, "\(path) has format \(version), this tier knows format \(FileIdentity.version)")
    }
    guard slotSize == wanted else {
      throw host.fail(
        .invalid,
        "\(path) was made for pages of \(slotSize) bytes, this store's have \(wanted); set 'path' to another name")
    }
  }
}

/// FNV-1a: enough to tell a torn or a foreign block, and used far from the data path.
func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
  bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
}

extension UnsafeMutableRawBufferPointer {
  func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: Number.Type) -> Number {
    Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }

  func setNumber<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
    storeBytes(of: number.littleEndian, toByteOffset: offset, as: Number.self)
  }
}
