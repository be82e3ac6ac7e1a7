// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageTier

/// The first block of the file: that it is ours, in which format, and which file it is. Little-endian, the rest zero.
///
///     0   16  "stowage swapfile"
///     16  4   version of this format: 2
///     20  4   bytes in a slot
///     24  16  random: no two files have the same
///     40  8   when it was made, in seconds since 1970
///     48  8   checksum of the bytes before
struct FileIdentity {
  static let words: StaticString = "stowage swapfile"
  static let version: UInt32 = 2
  private static let checkedBytes = 48

  let slotSize: Int
  /// Goes into the checksums of the roots, so that one of another file is none of this one's.
  let fileID: FileID
  private let creationTime: Int64

  /// Of a new file.
  init(slotSize: Int, _ host: TierHost) throws(TierError) {
    self.slotSize = slotSize
    fileID = try FileID(host)
    creationTime = Int64(time(nil))
  }

  /// What the first block says; throws if it is no swap file of this tier, one of another format, or damaged.
  init(_ block: UnsafeMutableRawBufferPointer, _ path: String, _ host: TierHost) throws(TierError) {
    let words = UnsafeRawBufferPointer(start: FileIdentity.words.utf8Start, count: 16)
    guard words.elementsEqual(block.prefix(16)) else {
      throw host.fail(
        .invalid, "\(path) exists and is no swap file of this tier; it was left as it is. Set 'path' to another name")
    }
    let version = block.number(at: 16, as: UInt32.self)
    if version == 1, FileIdentity.sum(block, 24) == block.number(at: 24, as: UInt64.self) {
      throw host.fail(
        .invalid, "\(path) has format 1, which never held a session; remove it, and a new one is made")
    }
    let sum = FileIdentity.sum(block, FileIdentity.checkedBytes)
    guard sum == block.number(at: FileIdentity.checkedBytes, as: UInt64.self) else {
      throw host.fail(
        .corrupt, "\(path): its first block is damaged; restore the file from a copy, or remove it to start afresh")
    }
    guard version == FileIdentity.version else {
      throw host.fail(
        .invalid,
        "\(path) has format \(version), this tier knows format \(FileIdentity.version); use the tier that made it")
    }
    slotSize = Int(block.number(at: 20, as: UInt32.self))
    fileID = FileID(first: block.number(at: 24, as: UInt64.self), second: block.number(at: 32, as: UInt64.self))
    creationTime = block.number(at: 40, as: Int64.self)
  }

  func write(to block: UnsafeMutableRawBufferPointer) {
    block.initializeMemory(as: UInt8.self, repeating: 0)
    block.copyMemory(from: UnsafeRawBufferPointer(start: FileIdentity.words.utf8Start, count: 16))
    block.setNumber(FileIdentity.version, at: 16)
    block.setNumber(UInt32(slotSize), at: 20)
    block.setNumber(fileID.first, at: 24)
    block.setNumber(fileID.second, at: 32)
    block.setNumber(creationTime, at: 40)
    block.setNumber(FileIdentity.sum(block, FileIdentity.checkedBytes), at: FileIdentity.checkedBytes)
  }

  func check(_ path: String, slotSize wanted: Int, _ host: TierHost) throws(TierError) {
    guard slotSize == wanted else {
      throw host.fail(
        .invalid,
        "\(path) was made for pages of \(slotSize) bytes, this store's have \(wanted); set 'path' to another name")
    }
  }

  private static func sum(_ block: UnsafeMutableRawBufferPointer, _ count: Int) -> UInt64 {
    checksum(UnsafeRawBufferPointer(block).prefix(count))
  }
}

/// 128 random bits that name a file.
struct FileID {
  let first, second: UInt64

  init(first: UInt64, second: UInt64) { (self.first, self.second) = (first, second) }

  init(_ host: TierHost) throws(TierError) {
    let bytes = try host.allocate(16)
    defer { host.free(bytes) }
    try host.fillRandom(bytes)
    self.init(first: bytes.number(at: 0, as: UInt64.self), second: bytes.number(at: 8, as: UInt64.self))
  }

  /// Its bytes, as they stand in the file.
  var bytes: [UInt8] {
    [first, second].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> (8 * UInt64($0))) } }
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
