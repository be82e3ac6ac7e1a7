// SPDX-License-Identifier: Apache-2.0

/// What a load began from. Frames and segments are used again, so a place alone does not tell what was there from what
/// came to be there since.
struct Origin {
  var place: Place
  /// A frame's object id, or the stamp of a segment's use: neither is ever given twice.
  var stamp: UInt64
}

/// Both expect the engine's lock to be held.
extension Engine {
  @inline(__always) func origin(_ place: Place) -> Origin { Origin(place: place, stamp: stamp(place)) }

  /// Whether a page has the very contents that it had then.
  @inline(__always) func isStill(_ entry: UnsafeMutablePointer<PageEntry>, _ origin: Origin) -> Bool {
    entry.pointee.place == origin.place && stamp(origin.place) == origin.stamp
  }

  @inline(__always) private func stamp(_ place: Place) -> UInt64 {
    switch place.state {
    case .pooled: arena.head(place.segment).pointee.stamp
    case .framed: frames.record(place.frame).pointee.id
    case .word, .free: 0
    }
  }
}
