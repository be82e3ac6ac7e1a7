// SPDX-License-Identifier: Apache-2.0

/// Reads batches of a plan's pages into one buffer that is taken and touched beforehand. Reading
/// allocates nothing.
final class PageReader {
  let capacity: Int
  private let pageSize: Int
  private let sources: [any PageSource]
  private let table: PageTable
  private let bytes: UnsafeMutableRawBufferPointer
  private let positions: UnsafeMutableBufferPointer<UInt64>
  private let present: UnsafeMutableBufferPointer<Bool>

  /// - Parameter bytes: about how much to read at a time.
  init(sources: [any PageSource], table: PageTable, pageSize: Int, bytes: Int = 1 << 20) {
    self.sources = sources
    self.table = table
    self.pageSize = pageSize
    capacity = max(1, bytes / pageSize)
    self.bytes = .allocate(byteCount: capacity * pageSize, alignment: 4096)
    self.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    positions = .allocate(capacity: capacity)
    positions.initialize(repeating: 0)
    present = .allocate(capacity: capacity)
    present.initialize(repeating: false)
  }

  deinit {
    bytes.deallocate()
    positions.deallocate()
    present.deallocate()
  }

  /// Reads the pages with these numbers, at most `capacity`.
  func read(_ pages: UnsafeBufferPointer<UInt32>) {
    precondition(pages.count <= capacity)
    var first = 0
    while first < pages.count {
      let source = table.reference(Int(pages[first])).source
      var end = first
      while end < pages.count {
        let reference = table.reference(Int(pages[end]))
        guard reference.source == source else { break }
        positions[end] = reference.position
        end += 1
      }
      sources[source].read(
        UnsafeBufferPointer(rebasing: positions[first..<end]),
        into: .init(rebasing: bytes[(first * pageSize)..<(end * pageSize)]),
        present: .init(rebasing: present[first..<end]))
      first = end
    }
  }

  /// The `i`-th page of the last batch, until the next one is read; nil when it could not be read.
  func page(_ i: Int) -> UnsafeRawBufferPointer? {
    guard present[i] else { return nil }
    return UnsafeRawBufferPointer(rebasing: bytes[(i * pageSize)..<((i + 1) * pageSize)])
  }

  /// Reads one page.
  func read(one page: Int) -> UnsafeRawBufferPointer? {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 1) { number in
      number[0] = UInt32(page)
      read(UnsafeBufferPointer(number))
    }
    return self.page(0)
  }
}
