// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageEngine

/// Memory of a connection's thread, mapped so that it begins on a page and costs nothing until it is used.
///
/// Sound because it is mapped in `init`, and unmapped by its owner when no thread uses it any more.
struct PageBuffer: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  let count: Int

  init(_ count: Int) throws(StoreError) {
    guard let base = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED
    else {
      throw .configuration("no memory for a connection: \(String(cString: strerror(errno)))")
    }
    (self.base, self.count) = (base, count)
  }

  func unmap() { munmap(base, count) }

  var whole: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base, count: count) }
}
