// SPDX-License-Identifier: Apache-2.0
import Foundation

@inlinable package var pageBytes: Int { 4096 }

/// Pages in memory that never change once made, so that threads may share them.
package struct Pages: @unchecked Sendable {
  @usableFromInline let bytes: UnsafeMutableRawBufferPointer
  package let count: Int

  /// The first pages of a file. Those of one repeated word are left out, as neither a store nor zram encodes them.
  package init(file: String, most: Int) throws {
    guard let handle = FileHandle(forReadingAtPath: file) else { throw Failure("\(file) cannot be read") }
    let data = try handle.read(upToCount: most * pageBytes) ?? Data()
    let all = data.count / pageBytes
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, all) * pageBytes, alignment: pageBytes)
    var kept = 0
    data.withUnsafeBytes { source in
      for index in 0..<all {
        let target = room.baseAddress! + kept * pageBytes
        target.copyMemory(from: source.baseAddress! + index * pageBytes, byteCount: pageBytes)
        if memcmp(target, target + 8, pageBytes - 8) != 0 { kept += 1 }
      }
    }
    guard kept >= 256 else { throw Failure("\(file) has \(kept) pages that are not of one word; 256 are needed") }
    (bytes, count) = (room, kept)
  }

  @inlinable
  package subscript(_ index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: bytes.baseAddress! + index * pageBytes, count: pageBytes)
  }

  /// Ends the benchmark unless these are the bytes of the page: a figure over wrong bytes is worth nothing.
  package func check(_ index: Int, _ address: UnsafeRawPointer, _ from: String) throws {
    guard memcmp(address, bytes.baseAddress! + index * pageBytes, pageBytes) == 0 else {
      throw Failure("page \(index) came back from \(from) with other contents")
    }
  }
}

/// Page-aligned memory that has been written once, so that no figure has its first page faults in it.
package func warmBuffer(pages: Int) -> UnsafeMutableRawBufferPointer {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pages * pageBytes, alignment: pageBytes)
  memset(buffer.baseAddress!, 1, buffer.count)
  return buffer
}
