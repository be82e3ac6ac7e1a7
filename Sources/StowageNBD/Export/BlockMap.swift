// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageEngine
internal import Synchronization

/// What a block of an export is in the store, in one word.
struct BlockWord: Equatable {
  var bits: UInt64

  /// Never written, or trimmed: reads as zeros.
  static let hole = BlockWord(bits: 0)
  /// Its page could not be read any more: an error until it is written again. The rest of the word is the handle of the
  /// page that says so in the session, if there is one.
  private static let lostBit: UInt64 = 1 << 63

  init(bits: UInt64) { self.bits = bits }
  init(_ handle: Handle) { bits = handle.rawValue }
  static func lost(_ marker: Handle?) -> BlockWord { BlockWord(bits: lostBit | (marker?.rawValue ?? 0)) }

  var isHole: Bool { bits == 0 }
  var isLost: Bool { bits & Self.lostBit != 0 }
  /// Nil for holes, and for lost blocks without a marker.
  var handle: Handle? {
    let raw = bits & ~Self.lostBit
    return raw == 0 ? nil : Handle(rawValue: raw)
  }
}

/// From blocks to handles: 8 bytes a block, and a count for every 512 blocks, so that long empty stretches are passed
/// over at once.
///
/// Sound because the memory is one private mapping of the object's own, as long as the blocks need, unmapped with the
/// object only; every word of it is touched as an atomic.
final class BlockMap: @unchecked Sendable {
  static let groupBlocks = 512

  let blocks: Int
  private let words: UnsafeMutablePointer<Atomic<UInt64>>
  private let counts: UnsafeMutablePointer<Atomic<UInt32>>
  private let bytes: Int
  private let total = Atomic<Int>(0)

  /// - Throws: `configuration` when there is no address space for it.
  init(blocks: Int) throws(StoreError) {
    self.blocks = blocks
    let groups = (blocks + Self.groupBlocks - 1) / Self.groupBlocks
    bytes = max(1, groups) * (Self.groupBlocks * 8 + 4)
    // Memory that was never written costs nothing, and reads as zeros: holes.
    let base = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let base, base != MAP_FAILED else {
      throw .configuration("no memory for the map of \(blocks) blocks: \(String(cString: strerror(errno)))")
    }
    words = base.assumingMemoryBound(to: Atomic<UInt64>.self)
    counts = (base + groups * Self.groupBlocks * 8).assumingMemoryBound(to: Atomic<UInt32>.self)
  }

  deinit { munmap(words, bytes) }

  /// RAM of the map when every block is written.
  var byteCount: Int { bytes }
  /// Blocks that are no holes.
  var used: Int { total.load(ordering: .relaxed) }

  @inline(__always) func load(_ block: Int) -> BlockWord {
    assert(block >= 0 && block < blocks)
    return BlockWord(bits: words[block].load(ordering: .acquiring))
  }

  /// Whether none of the group's blocks is written, and the first block behind the group.
  @inline(__always) func emptyGroup(at block: Int) -> (isEmpty: Bool, end: Int) {
    let group = block / Self.groupBlocks
    return (counts[group].load(ordering: .acquiring) == 0, min(blocks, (group + 1) * Self.groupBlocks))
  }

  /// Counts a block that is about to become none of the holes; false when there are `limit` already.
  @inline(__always) func claim(limit: Int) -> Bool {
    if total.wrappingAdd(1, ordering: .relaxed).newValue <= limit { return true }
    unclaim()
    return false
  }

  /// It has stayed a hole.
  func unclaim() { total.wrappingSubtract(1, ordering: .relaxed) }

  /// Sets a block, and gives what it was. One that was a hole and is to be none is claimed before.
  @inline(__always) func exchange(_ block: Int, _ word: BlockWord) -> BlockWord {
    let old = BlockWord(bits: words[block].exchange(word.bits, ordering: .acquiringAndReleasing))
    note(block, from: old, to: word)
    return old
  }

  /// Sets a block if it still is `old`.
  func compareExchange(_ block: Int, _ old: BlockWord, _ new: BlockWord) -> Bool {
    guard
      words[block].compareExchange(expected: old.bits, desired: new.bits, ordering: .acquiringAndReleasing).exchanged
    else { return false }
    note(block, from: old, to: new)
    return true
  }

  @inline(__always) private func note(_ block: Int, from old: BlockWord, to new: BlockWord) {
    guard old.isHole != new.isHole else { return }
    if new.isHole {
      counts[block / Self.groupBlocks].wrappingSubtract(1, ordering: .acquiringAndReleasing)
      total.wrappingSubtract(1, ordering: .relaxed)
    } else {
      counts[block / Self.groupBlocks].wrappingAdd(1, ordering: .acquiringAndReleasing)
    }
  }
}
