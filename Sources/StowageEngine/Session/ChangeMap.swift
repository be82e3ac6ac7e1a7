// SPDX-License-Identifier: Apache-2.0

/// Two bits for each page (or frame): whether it has changed since the last checkpoint, and whether the checkpoint under way
/// has still to record it as it was at its cut. Guarded by the engine's lock.
///
/// At a cut the maps change places: what had changed is to be recorded, and nothing has changed since. Whoever changes a
/// page that is still to be recorded records it first; so the cut needs no pause.
///
/// Fences raw memory: both maps are reserved for as many bits as there can be records, and take RAM only as far as they are
/// touched; numbers are the tables', which are no larger.
struct ChangeMap: @unchecked Sendable {
  private let regions: (Region, Region)
  private let maps: UnsafeMutablePointer<Maps>

  private struct Maps {
    var changed: UnsafeMutablePointer<UInt64>
    var pending: UnsafeMutablePointer<UInt64>
    /// Words of `pending` that may have bits set.
    var pendingWords = 0
  }

  /// - Parameter capacity: records at most.
  init(capacity: Int) throws(StoreError) {
    regions = (try Region(byteCount: capacity / 8), try Region(byteCount: capacity / 8))
    maps = .allocate(capacity: 1)
    maps.initialize(
      to: Maps(
        changed: regions.0.base.assumingMemoryBound(to: UInt64.self),
        pending: regions.1.base.assumingMemoryBound(to: UInt64.self)))
  }

  func unmap() {
    regions.0.unmap()
    regions.1.unmap()
    maps.deallocate()
  }

  /// RAM for so many records.
  static func byteCount(_ records: Int) -> Int { (records + 32767) / 32768 * 4096 * 2 }

  @inline(__always) func mark(_ number: UInt32) {
    maps.pointee.changed[Int(number) >> 6] |= 1 << UInt64(number & 63)
  }

  @inline(__always) func isChanged(_ number: UInt32) -> Bool {
    maps.pointee.changed[Int(number) >> 6] >> UInt64(number & 63) & 1 != 0
  }

  /// Never, while no checkpoint is under way.
  @inline(__always) func isPending(_ number: UInt32) -> Bool {
    maps.pointee.pending[Int(number) >> 6] >> UInt64(number & 63) & 1 != 0
  }

  func setPending(_ number: UInt32) {
    maps.pointee.pending[Int(number) >> 6] |= 1 << UInt64(number & 63)
    maps.pointee.pendingWords = max(maps.pointee.pendingWords, Int(number) >> 6 + 1)
  }

  @inline(__always) func clearPending(_ number: UInt32) {
    maps.pointee.pending[Int(number) >> 6] &= ~(1 << UInt64(number & 63))
  }

  /// The first pending number from `start` on; nil when there is none below `end`.
  func nextPending(from start: Int, below end: Int) -> UInt32? {
    var word = start >> 6
    guard start < end else { return nil }
    var bits = maps.pointee.pending[word] & (.max << UInt64(start & 63))
    while bits == 0 {
      word += 1
      guard word << 6 < end else { return nil }
      bits = maps.pointee.pending[word]
    }
    let number = word << 6 + bits.trailingZeroBitCount
    return number < end ? UInt32(number) : nil
  }

  /// Makes what has changed what is to be recorded. `count`: records that there are.
  /// - Parameter all: whether all are to be recorded.
  func beginCut(count: Int, all: Bool) {
    let words = (count + 63) / 64
    swap(&maps.pointee.changed, &maps.pointee.pending)
    maps.pointee.changed.update(repeating: 0, count: max(words, maps.pointee.pendingWords))
    maps.pointee.pendingWords = words
    guard all, count > 0 else { return }
    maps.pointee.pending.update(repeating: .max, count: words)
    if count & 63 != 0 { maps.pointee.pending[words - 1] = 1 << UInt64(count & 63) - 1 }
  }

  /// Nothing is to be recorded any more.
  func endCut() {
    maps.pointee.pending.update(repeating: 0, count: maps.pointee.pendingWords)
    maps.pointee.pendingWords = 0
  }
}
