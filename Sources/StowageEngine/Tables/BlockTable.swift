// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A table that grows in blocks and never moves: records are found by number, in reserved address space.
///
/// A long one grows in huge pages: a record at random is a miss in the processor's own tables otherwise, besides the one
/// in its cache.
///
/// Fences the raw memory: a record's address is valid as long as the table; who may touch it when is the
/// caller's to keep (the engine's lock). RAM is counted in whole blocks as they are taken.
struct BlockTable: @unchecked Sendable {
  let stride: Int
  let capacity: Int
  private let region: Region
  private let blockBytes: Int
  private let used: UnsafeMutablePointer<(records: Int, bytes: Int)>

  /// - Parameters:
  ///   - stride: bytes of a record.
  ///   - capacity: records at most.
  init(stride: Int, capacity: Int, blockBytes: Int = 65536) throws(StoreError) {
    self.stride = stride
    self.capacity = capacity
    self.blockBytes = blockBytes
    region = try Region(byteCount: stride * capacity, isAligned: true)
    used = .allocate(capacity: 1)
    used.initialize(to: (0, 0))
  }

  func unmap() {
    region.unmap()
    used.deallocate()
  }

  /// Records ever used; those below are addressable.
  var count: Int { used.pointee.records }
  /// RAM taken.
  var byteCount: Int { used.pointee.bytes }

  /// What the next `append(count)` would add to `byteCount`.
  func growth(_ records: Int = 1) -> Int {
    let needed = (used.pointee.records + records) * stride
    guard needed > used.pointee.bytes else { return 0 }
    let step = needed > Self.hugeFrom ? Region.hugePage : blockBytes
    return min((needed + step - 1) / step * step, region.byteCount) - used.pointee.bytes
  }

  /// From so many bytes on the table grows in huge pages: what is unused then is an eighth of it at most.
  static let hugeFrom = 16 << 20

  /// The number of the first of `records` new, zeroed records; nil when the table is at its capacity.
  /// - Parameter isPresent: RAM is taken now rather than where it is touched first.
  func append(_ records: Int = 1, isPresent: Bool = true) -> Int? {
    guard used.pointee.records + records <= capacity else { return nil }
    let grown = growth(records)
    if grown > 0 {
      let end = used.pointee.bytes + grown
      let huge = max(used.pointee.bytes, Self.hugeFrom)
      if end > huge { region.useHugePages(huge, end - huge) }
      if isPresent { region.populate(used.pointee.bytes, end - used.pointee.bytes) }
      used.pointee.bytes = end
    }
    let first = used.pointee.records
    used.pointee.records += records
    return first
  }

  @inline(__always) func address(_ index: Int) -> UnsafeMutableRawPointer {
    region.base + index &* stride
  }
}
