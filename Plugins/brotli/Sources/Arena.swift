// SPDX-License-Identifier: Apache-2.0
import StowageTier

/// Memory for one call of the codec: pieces are cut off one after the other and all given back at once.
///
/// Brotli makes and ends an encoder for each page, with some ten allocations each time. From an arena they cost
/// next to nothing. What does not fit goes to the host one by one.
struct Arena {
  private let memory: UnsafeMutableRawBufferPointer
  private let host: TierHost
  private var used = 0

  /// Before each piece that the host gave: how long it is, as the host wants to know when it is freed.
  private static let prefix = 16

  init(size: Int, _ host: TierHost) throws(TierError) {
    memory = try host.allocate(size, alignment: 64, .secret)
    self.host = host
  }

  func free() { host.free(memory, .secret) }

  mutating func reset() { used = 0 }

  mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
    let rounded = (size + 15) & ~15
    if rounded <= memory.count - used {
      defer { used += rounded }
      return memory.baseAddress.map { $0 + used }
    }
    let byteCount = rounded + Arena.prefix
    guard
      let piece = host.table.pointee.memory_allocate(host.owner, byteCount, Arena.prefix, TierMemory.secret.rawValue)
    else { return nil }
    piece.storeBytes(of: byteCount, as: Int.self)
    return piece + Arena.prefix
  }

  func release(_ address: UnsafeMutableRawPointer) {
    if let start = memory.baseAddress, address >= start, address < start + memory.count { return }
    // Not from the arena, so `allocate` put the length before it.
    let piece = address - Arena.prefix
    host.free(UnsafeMutableRawBufferPointer(start: piece, count: piece.load(as: Int.self)), .secret)
  }
}

/// Brotli's own way to ask for memory; `arena` is the address of an `Arena` that nothing else uses meanwhile.
func allocateFromArena(_ arena: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
  arena?.assumingMemoryBound(to: Arena.self).pointee.allocate(size)
}

func releaseToArena(_ arena: UnsafeMutableRawPointer?, _ address: UnsafeMutableRawPointer?) {
  guard let arena, let address else { return }
  arena.assumingMemoryBound(to: Arena.self).pointee.release(address)
}
