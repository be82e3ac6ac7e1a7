// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A stretch of address space that is reserved at once and takes RAM only where it is touched.
///
/// Fences the raw mapping: whoever holds a `Region` may use `base..<base+byteCount` until `unmap`; bounds
/// are the holder's to keep. It is kept out of core dumps, as pools and tables of the engine hold
/// plaintext or lead to it.
struct Region: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// The unit in which processors map large stretches, on most systems.
  static let hugePage = 2 << 20

  /// - Parameter isAligned: begins at a multiple of `hugePage`.
  init(byteCount: Int, isAligned: Bool = false) throws(StoreError) {
    let length = (byteCount + 4095) & ~4095
    let reserved = length + (isAligned ? Self.hugePage : 0)
    let memory = mmap(
      nil, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard var memory, memory != MAP_FAILED else {
      throw .configuration(
        "cannot reserve \(length) bytes of address space: \(String(cString: strerror(errno)))")
    }
    if isAligned {
      let before = -Int(bitPattern: memory) & (Self.hugePage - 1)
      if before > 0 { munmap(memory, before) }
      memory += before
      if before < Self.hugePage { munmap(memory + length, Self.hugePage - before) }
    }
    madvise(memory, length, MADV_DONTDUMP)
    base = memory
    self.byteCount = length
    // A system that uses them by itself would take 2 MiB for the first byte that is touched.
    useHugePages(0, length, false)
  }

  /// Asks that a part, of whole huge pages that have no RAM yet, be mapped by huge pages, or that it be no more. Best
  /// effort: where the system has none, nothing changes.
  func useHugePages(_ offset: Int, _ length: Int, _ isWanted: Bool = true) {
    let (huge, notHuge): (Int32, Int32) = (14, 15)  // MADV_HUGEPAGE, MADV_NOHUGEPAGE
    madvise(base + offset, length, isWanted ? huge : notHuge)
  }

  /// Makes RAM present for a part, so that first touches on the data path do not fault. Best effort:
  /// older kernels lack it, then the part is faulted in when touched.
  func populate(_ offset: Int, _ length: Int) {
    let populateWrite: Int32 = 23  // MADV_POPULATE_WRITE, Linux 5.14
    madvise(base + offset, length, populateWrite)
  }

  /// Gives the RAM of a part back; it reads as zeros afterwards.
  func release(_ offset: Int, _ length: Int) { madvise(base + offset, length, MADV_DONTNEED) }

  /// Locks a part in RAM; false when the system does not let us.
  func lock(_ offset: Int, _ length: Int) -> Bool { mlock(base + offset, length) == 0 }

  /// RAM that is locked is not given back.
  func unlock(_ offset: Int, _ length: Int) { munlock(base + offset, length) }

  func unmap() { munmap(base, byteCount) }
}
