// SPDX-License-Identifier: Apache-2.0
import CStowageTestPages
import StowageBasics
import StowageEngine
import StowageTestSupport

/// What a page holds, by seed and kind.
struct Contents: Hashable {
  var seed: UInt64
  var kind: UInt32

  static let kinds = UInt32(TEST_PAGE_KINDS)
  static let firstWithSeed = UInt32(TEST_PAGE_TEXT)

  /// Any kind; zeros and repeated words are the rarest.
  static func random(_ random: inout SeededRandom) -> Contents {
    var kind = UInt32(random.below(16))
    kind = kind >= kinds ? firstWithSeed + kind % (kinds - firstWithSeed) : kind
    return Contents(seed: random.next(), kind: kind)
  }
}

/// A page-sized buffer, of one thread at a time.
struct PageBuffer: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ pageSize: Int) { bytes = .allocate(byteCount: pageSize, alignment: 4096) }
  func deallocate() { bytes.deallocate() }

  private var base: UnsafeMutablePointer<UInt8> {
    bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
  }

  var read: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
  var seed: UInt64 { test_page_seed(base) }

  func fill(_ contents: Contents) { test_page_fill(base, bytes.count, contents.seed, contents.kind) }
  func matches(_ contents: Contents) -> Bool { test_page_matches(base, bytes.count, contents.seed, contents.kind) != 0 }
  func mark(_ marker: [UInt8], every stride: Int) {
    marker.withUnsafeBufferPointer { test_page_mark(base, bytes.count, $0.baseAddress.unsafelyUnwrapped, stride) }
  }
}
