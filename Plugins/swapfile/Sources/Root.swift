// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// The root: up to 4 KiB that are replaced as one.
///
/// There are two copies in the file; a swap writes the older one and syncs, so a crash in the middle leaves the
/// other. Each copy (little-endian):
///
///     0   8   "stwroot1"
///     8   8   generation: the higher one holds
///     16  8   length of the contents
///     24  8   checksum of bytes 8 to 23 and the contents
///     64      the contents
///
/// One call at a time: the tier holds its lock around `read` and `swap`.
struct Root {
  static let copyLength = 8192
  private static let contentsOffset = 64
  private static let mark: UInt64 = 0x3174_6F6F_7277_7473

  /// The copy that holds, as it lies in the file; and room to make the next one.
  private var current: UnsafeMutableRawBufferPointer
  private var next: UnsafeMutableRawBufferPointer
  private var generation: UInt64 = 0

  /// Reads both copies of a file that was just opened.
  init(_ file: SwapFile, _ host: TierHost) throws(TierError) {
    current = try host.allocate(Root.copyLength, alignment: SwapFile.blockSize)
    do {
      next = try host.allocate(Root.copyLength, alignment: SwapFile.blockSize)
    } catch {
      host.free(current)
      throw error
    }
    do {
      try load(file, host)
    } catch {
      free(host)
      throw error
    }
  }

  func free(_ host: TierHost) {
    host.free(current)
    host.free(next)
  }

  private mutating func load(_ file: SwapFile, _ host: TierHost) throws(TierError) {
    var damaged = 0
    for copy in 0..<2 {
      guard pread(file.descriptor, next.baseAddress, Root.copyLength, Root.offset(of: copy)) == Root.copyLength else {
        throw FileFailure(file.path).told(to: host, "read its root")
      }
      guard Root.isWhole(next) else {
        damaged += next.allSatisfy { $0 == 0 } ? 0 : 1
        continue
      }
      let found = next.number(at: 8, as: UInt64.self)
      if found > generation {
        generation = found
        swap(&current, &next)
      }
    }
    if damaged == 2 {
      throw host.fail(.corrupt, "\(file.path): both copies of its root are damaged; remove the file to start afresh")
    }
    if damaged == 1 {
      host.log(.warning, "\(file.path): one copy of its root is damaged, as after a crash; the other one holds")
    }
  }

  /// Generation 1 is written to the second copy, 2 to the first, and so on.
  private static func offset(of copy: Int) -> Int { copyLength * (1 + copy) }

  private static func isWhole(_ copy: UnsafeMutableRawBufferPointer) -> Bool {
    let length = copy.number(at: 16, as: UInt64.self)
    return copy.number(at: 0, as: UInt64.self) == mark && length <= UInt64(STOWAGE_ROOT_BYTES_MAX)
      && copy.number(at: 24, as: UInt64.self) == sum(copy, Int(length))
  }

  private static func sum(_ copy: UnsafeMutableRawBufferPointer, _ length: Int) -> UInt64 {
    checksum([copy[8..<24], copy[contentsOffset..<contentsOffset + length]].joined())
  }

  /// What holds now; empty when there is none yet.
  var contents: UnsafeRawBufferPointer {
    let length = generation == 0 ? 0 : Int(current.number(at: 16, as: UInt64.self))
    return UnsafeRawBufferPointer(rebasing: current[Root.contentsOffset..<Root.contentsOffset + length])
  }

  mutating func replace(
    _ expected: UnsafeRawBufferPointer, by root: UnsafeRawBufferPointer, in file: SwapFile, _ host: TierHost
  ) throws(TierError) {
    guard expected.elementsEqual(contents) else {
      throw host.fail(.gone, "\(file.path): its root is not the expected one")
    }
    guard root.count <= Int(STOWAGE_ROOT_BYTES_MAX) else {
      throw host.fail(.invalid, "a root has at most \(STOWAGE_ROOT_BYTES_MAX) bytes, not \(root.count)")
    }
    next.initializeMemory(as: UInt8.self, repeating: 0)
    next.setNumber(Root.mark, at: 0)
    next.setNumber(generation + 1, at: 8)
    next.setNumber(UInt64(root.count), at: 16)
    UnsafeMutableRawBufferPointer(rebasing: next[Root.contentsOffset...]).copyMemory(from: root)
    next.setNumber(Root.sum(next, root.count), at: 24)

    let copy = Int((generation + 1) % 2)
    var done = 0
    while done < Root.copyLength {
      let count = pwrite(
        file.descriptor, next.baseAddress.map { $0 + done }, Root.copyLength - done, Root.offset(of: copy) + done)
      if count >= 0 {
        done += count
      } else if errno != EINTR {
        throw FileFailure(file.path).told(to: host, "write its root")
      }
    }
    try file.sync(host)
    generation += 1
    swap(&current, &next)
  }
}
