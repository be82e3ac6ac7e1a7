// SPDX-License-Identifier: Apache-2.0

/// Where the bytes of one page come from, in 64 bits: a source of the plan, and which of its pages.
struct PageReference: Equatable {
  /// Enough for the page numbers of any address space or file (2^56 bytes at 4 KiB a page).
  static let positionBits: UInt64 = 44
  static let maximumSources = 1 << 20

  let rawValue: UInt64

  init(rawValue: UInt64) { self.rawValue = rawValue }

  init(source: Int, position: UInt64) {
    precondition(source < Self.maximumSources && position >> Self.positionBits == 0)
    rawValue = UInt64(source) << Self.positionBits | position
  }

  var source: Int { Int(rawValue >> Self.positionBits) }

  /// The page's number in its source: its address or offset divided by the page size.
  var position: UInt64 { rawValue & (1 << Self.positionBits - 1) }
}
