// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// The root: up to 4 KiB that are replaced as one.
///
/// It stands twice in the file. A swap writes the one copy, brings it to the disk, and only then the other: at every
/// instant one of them is whole, and at rest both are and say the same, so that damage to one costs nothing. Each copy
/// (little-endian):
///
///     0   8   "stwroot2"
///     8   8   generation: the higher one holds
///     16  8   length of the contents
///     24  8   checksum of the file's id, bytes 8 to 23, and the contents
///     64      the contents; the rest is zero
///
/// One call at a time: the tier holds its lock around `contents` and `replace`.
struct Root {
  static let copyLength = 8192
  private static let contentsOffset = 64
  private static let mark: UInt64 = 0x3274_6F6F_7277_7473

  /// The copy that holds, as it lies in the file; and room to make the next one.
  private var current: UnsafeMutableRawBufferPointer
  private var next: UnsafeMutableRawBufferPointer
  private var generation: UInt64 = 0
  /// A copy that lacks what holds, or may: that is written first, so that the other one stays whole.
  private var stale = 0

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

  // MARK: Reading

  private enum Condition {
    case whole, empty, damaged
  }

  private mutating func load(_ file: SwapFile, _ host: TierHost) throws(TierError) {
    var conditions: [Condition] = []
    for copy in 0..<2 {
      try file.read(next, at: Root.offset(of: copy), "its root", host)
      conditions.append(condition(of: next, file))
      guard conditions[copy] == .whole, generation(of: next) > generation else { continue }
      generation = generation(of: next)
      stale = 1 - copy
      swap(&current, &next)
    }
    guard conditions.contains(.whole) || conditions.contains(.empty) else {
      throw host.fail(
        .corrupt, "\(file.path): both copies of its root are damaged; restore the file from a copy, or remove it to "
          + "start afresh")
    }
    if conditions.contains(.damaged) {
      let rest = generation > 0 ? "the other one holds" : "there is no other yet, as after a crash before the first"
      host.log(.warning, "\(file.path): one copy of its root is damaged; \(rest)")
    }
  }

  private func generation(of copy: UnsafeMutableRawBufferPointer) -> UInt64 { copy.number(at: 8, as: UInt64.self) }

  private func condition(of copy: UnsafeMutableRawBufferPointer, _ file: SwapFile) -> Condition {
    let length = copy.number(at: 16, as: UInt64.self)
    let isWhole =
      copy.number(at: 0, as: UInt64.self) == Root.mark && length <= UInt64(STOWAGE_ROOT_BYTES_MAX)
      && copy.number(at: 24, as: UInt64.self) == Root.sum(copy, Int(length), file)
    if isWhole { return .whole }
    return copy.allSatisfy { $0 == 0 } ? .empty : .damaged
  }

  private static func offset(of copy: Int) -> Int { copyLength * (1 + copy) }

  private static func sum(_ copy: UnsafeMutableRawBufferPointer, _ length: Int, _ file: SwapFile) -> UInt64 {
    let contents = copy[contentsOffset..<contentsOffset + length]
    return checksum([file.identity.fileID.bytes[...], Array(copy[8..<24])[...], Array(contents)[...]].joined())
  }

  /// What holds now; empty when there is none yet.
  var contents: UnsafeRawBufferPointer {
    let length = generation == 0 ? 0 : Int(current.number(at: 16, as: UInt64.self))
    return UnsafeRawBufferPointer(rebasing: current[Root.contentsOffset..<Root.contentsOffset + length])
  }

  // MARK: Replacing

  mutating func replace(
    _ expected: UnsafeRawBufferPointer, by root: UnsafeRawBufferPointer, in file: SwapFile, _ host: TierHost
  ) throws(TierError) {
    try file.checkWritable("replace its root", host)
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
    next.setNumber(Root.sum(next, root.count, file), at: 24)

    // What the root leads to comes to the disk before it.
    try file.sync(host)
    try writeNext(to: stale, file, host)
    generation += 1
    swap(&current, &next)
    stale = 1 - stale
    mirror(file, host)
  }

  private func writeNext(to copy: Int, _ file: SwapFile, _ host: TierHost) throws(TierError) {
    try file.write(UnsafeRawBufferPointer(next), at: Root.offset(of: copy), "its root", host)
    try file.sync(host)
  }

  /// The other copy. The new root holds already, so a failure only leaves one copy instead of two.
  private mutating func mirror(_ file: SwapFile, _ host: TierHost) {
    next.copyMemory(from: UnsafeRawBufferPointer(current))
    do {
      try writeNext(to: stale, file, host)
    } catch {
      host.log(.warning, "\(file.path): the second copy of its root could not be written; the first one holds")
    }
  }
}
