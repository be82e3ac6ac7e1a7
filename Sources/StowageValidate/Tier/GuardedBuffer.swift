// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Bytes beside memory that cannot be touched, at both ends of the mapping: a step past the end at which the bytes lie
/// is a crash of the check's process.
///
/// Sound because the mapping is this object's alone and is as long as it says.
final class GuardedBuffer: @unchecked Sendable {
  enum Place {
    /// The last byte is the last before the guard.
    case end
    /// The first byte is the first after the guard.
    case start
  }

  let base: UnsafeMutableRawPointer
  let count: Int
  private let mapping: UnsafeMutableRawPointer
  private let mappingBytes: Int

  /// - Parameter size: 0 is possible: then every byte is a step too far.
  init?(size: Int, at place: Place) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let body = max(page, (size + page - 1) / page * page)
    mappingBytes = body + 2 * page
    let memory = mmap(nil, mappingBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    mapping = memory
    guard mprotect(memory + page, body, PROT_READ | PROT_WRITE) == 0 else {
      munmap(memory, mappingBytes)
      return nil
    }
    count = size
    base = place == .end ? memory + page + body - size : memory + page
  }

  deinit { munmap(mapping, mappingBytes) }

  var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }

  /// From now on writing to it is a crash too.
  func makeReadOnly() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    mprotect(mapping + page, mappingBytes - 2 * page, PROT_READ)
  }

  /// From now on touching it at all is a crash.
  func makeUntouchable() { mprotect(mapping, mappingBytes, PROT_NONE) }

  func makeWritable() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    mprotect(mapping + page, mappingBytes - 2 * page, PROT_READ | PROT_WRITE)
  }
}
