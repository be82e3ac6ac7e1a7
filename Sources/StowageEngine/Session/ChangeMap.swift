// SPDX-License-Identifier: Apache-2.0

/// One bit for each page (or frame): whether what the last checkpoint says of it is not true any more. Guarded by the
/// engine's lock.
///
/// Fences raw memory: the map is reserved for as many bits as there can be records, and takes RAM only as far as it is
/// touched; numbers are the tables', which are no larger.
struct ChangeMap: @unchecked Sendable {
  private let region: Region
  private let words: UnsafeMutablePointer<UInt64>

  /// - Parameter capacity: records at most.
  init(capacity: Int) throws(StoreError) {
    region = try Region(byteCount: capacity / 8)
    words = region.base.assumingMemoryBound(to: UInt64.self)
  }

  func unmap() { region.unmap() }

  /// RAM for so many records.
  static func byteCount(_ records: Int) -> Int { (records + 32767) / 32768 * 4096 }

  @inline(__always) func mark(_ number: UInt32) { words[Int(number) >> 6] |= 1 << UInt64(number & 63) }

  @inline(__always) func clear(_ number: UInt32) { words[Int(number) >> 6] &= ~(1 << UInt64(number & 63)) }

  @inline(__always) func isMarked(_ number: UInt32) -> Bool {
    words[Int(number) >> 6] >> UInt64(number & 63) & 1 != 0
  }

  /// The first marked number from `start` on; nil when there is none below `end`.
  func next(from start: Int, below end: Int) -> UInt32? {
    guard start < end else { return nil }
    var word = start >> 6
    var bits = words[word] & (.max << UInt64(start & 63))
    while bits == 0 {
      word += 1
      guard word << 6 < end else { return nil }
      bits = words[word]
    }
    let number = word << 6 + bits.trailingZeroBitCount
    return number < end ? UInt32(number) : nil
  }

  /// How many numbers below `end` are marked.
  func count(below end: Int) -> Int {
    var count = 0
    for word in 0..<(end + 63) >> 6 { count += words[word].nonzeroBitCount }
    return count
  }
}
