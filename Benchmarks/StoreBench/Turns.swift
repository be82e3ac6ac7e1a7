// SPDX-License-Identifier: Apache-2.0

/// The store and its peer in turn over all pages, some hundred at a time. Both go in the same order, half of the set
/// apart, so that neither finds in the cache what the other has just read.
struct Turns: Sequence {
  static let length = 256
  private let ranges: [Range<Int>]

  init(count: Int) {
    ranges = stride(from: 0, to: count, by: Self.length).map { $0..<Swift.min(count, $0 + Self.length) }
  }

  /// The peer's comes first.
  func makeIterator() -> some IteratorProtocol<(peers: Range<Int>, ours: Range<Int>)> {
    ranges.indices.lazy.map { (ranges[$0], ranges[($0 + ranges.count / 2) % ranges.count]) }.makeIterator()
  }
}

/// Warm room for the pages that come back in one turn.
struct TurnBuffer {
  private let bytes = warmBuffer(pages: Turns.length)

  func deallocate() { bytes.deallocate() }

  subscript(_ slot: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: bytes.baseAddress! + slot * pageBytes, count: pageBytes)
  }

  /// Ends the benchmark unless these pages have come back, one in each slot.
  func check(_ indices: ArraySlice<Int>, _ pages: Pages, _ from: String) throws {
    for (slot, index) in indices.enumerated() { try pages.check(index, self[slot].baseAddress!, from) }
  }
}
