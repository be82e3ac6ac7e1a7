// SPDX-License-Identifier: Apache-2.0

/// What a page table entry says of its page, in 64 bits: 24 of generation, 2 of state, 38 of place.
///
///     63       40 39 38 37          36 ... 0
///     generation  state discardable  where
///
///     pooled:  segment (21 bits), offset in units (16 bits)
///     framed:  frame (29 bits), ordinal in the frame (8 bits)
///     word:    the word itself when it is short, else its number in the table of words
///     free:    next free entry plus one
struct Place: Equatable {
  enum State: UInt64 { case free = 0, pooled = 1, framed = 2, word = 3 }

  var bits: UInt64

  static let generationMax: UInt32 = (1 << 24) - 1
  /// Masks out the generation: what is left changes when, and only when, the contents move or end.
  static let whereMask: UInt64 = (1 << 40) - 1
  private static let valueMask: UInt64 = (1 << 37) - 1

  @inline(__always) init(bits: UInt64) { self.bits = bits }

  @inline(__always) init(state: State, discardable: Bool, value: UInt64) {
    bits = state.rawValue << 38 | (discardable ? 1 << 37 : 0) | value
  }

  @inline(__always) static func pooled(_ segment: SegmentIndex, unit: UInt32, discardable: Bool) -> Place {
    Place(state: .pooled, discardable: discardable, value: UInt64(segment) << 16 | UInt64(unit))
  }

  @inline(__always) static func framed(_ frame: UInt32, ordinal: Int, discardable: Bool) -> Place {
    Place(state: .framed, discardable: discardable, value: UInt64(frame) << 8 | UInt64(ordinal))
  }

  @inline(__always) static func word(_ index: Int, discardable: Bool) -> Place {
    Place(state: .word, discardable: discardable, value: UInt64(index))
  }

  @inline(__always) static func free(next: UInt64) -> Place {
    Place(state: .free, discardable: false, value: next)
  }

  @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: bits >> 40) }
  @inline(__always) var state: State { State(rawValue: bits >> 38 & 3).unsafelyUnwrapped }
  @inline(__always) var isDiscardable: Bool { bits >> 37 & 1 != 0 }
  @inline(__always) var value: UInt64 { bits & Self.valueMask }
  @inline(__always) var segment: SegmentIndex { SegmentIndex(truncatingIfNeeded: value >> 16) }
  @inline(__always) var unit: UInt32 { UInt32(truncatingIfNeeded: bits & 0xFFFF) }
  @inline(__always) var frame: UInt32 { UInt32(truncatingIfNeeded: value >> 8) }
  @inline(__always) var ordinal: Int { Int(bits & 0xFF) }

  /// The same place without its generation, to compare.
  @inline(__always) var bare: Place { Place(bits: bits & Self.whereMask) }

  @inline(__always) func with(generation: UInt32) -> Place {
    Place(bits: bits & Self.whereMask | UInt64(generation) << 40)
  }
}

/// One page: 16 bytes.
struct PageEntry {
  var tag: UInt64
  var place: Place
}
