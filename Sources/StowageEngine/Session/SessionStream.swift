// SPDX-License-Identifier: Apache-2.0

/// A stream of a session's index, of which any part can be read. For one thread at a time.
///
/// In layers: 0 is the stream itself; each further one holds the places of the pages of the one below; the last has one
/// page.
struct SessionStream {
  private let place: StreamPlace
  private let sidecars: Int
  private let pageSize: Int
  /// Pages of each layer.
  private let counts: [Int]
  /// Of each layer of places: the page that was read last.
  private var recent: [(index: Int, bytes: [UInt8])?]

  /// As many layers of places as no stream has.
  private static let depthMax = 8

  init(_ place: StreamPlace, sidecars: Int, pageSize: Int, slotsTotal: Int) throws(StreamFault) {
    self.place = place
    self.sidecars = sidecars
    self.pageSize = pageSize
    var counts: [Int] = []
    if !place.isEmpty {
      guard place.depth <= Self.depthMax, place.length <= UInt64(slotsTotal) * UInt64(pageSize) else {
        throw .damaged(slot: place.top.slot, "its length of \(place.length) bytes is impossible")
      }
      var bytes = Int(place.length)
      for _ in 0...place.depth {
        counts.append((bytes + pageSize - 1) / pageSize)
        bytes = counts[counts.count - 1] * PagePlace.byteCount(sidecars: sidecars)
      }
      guard counts.last == 1 else {
        throw .damaged(slot: place.top.slot, "its length of \(place.length) bytes does not fit its depth")
      }
    }
    self.counts = counts
    recent = Array(repeating: nil, count: counts.count)
  }

  /// In bytes.
  var length: Int { Int(place.length) }

  /// Bytes of the stream; a range inside it.
  mutating func read(_ range: Range<Int>, _ reader: StreamReader) throws(StreamFault) -> [UInt8] {
    guard !range.isEmpty else { return [] }
    return try bytes(range, layer: 0, reader)
  }

  /// The slot that has a byte of the stream; the topmost when that cannot be found out.
  mutating func slot(at offset: Int, _ reader: StreamReader) -> UInt32 {
    guard offset < length else { return place.top.slot }
    let page = offset / pageSize
    return (try? places(page..<page + 1, layer: 0, reader).first?.slot) ?? place.top.slot
  }

  /// Every slot that it has.
  mutating func slots(_ reader: StreamReader) throws(StreamFault) -> [UInt32] {
    var slots: [UInt32] = []
    for layer in counts.indices {
      for first in stride(from: 0, to: counts[layer], by: 1024) {
        slots += try places(first..<min(first + 1024, counts[layer]), layer: layer, reader).map(\.slot)
      }
    }
    return slots
  }

  // MARK: Layers

  private mutating func places(_ pages: Range<Int>, layer: Int, _ reader: StreamReader) throws(StreamFault)
    -> [PagePlace]
  {
    guard layer + 1 < counts.count else { return [place.top] }
    let each = PagePlace.byteCount(sidecars: sidecars)
    let bytes = try bytes(pages.lowerBound * each..<pages.upperBound * each, layer: layer + 1, reader)
    var reader = ByteReader(bytes)
    var places: [PagePlace] = []
    places.reserveCapacity(pages.count)
    do throws(ByteShortage) {
      for _ in pages { places.append(try PagePlace(&reader, sidecars: sidecars)) }
    } catch {
      throw .damaged(slot: place.top.slot, "it is too short")
    }
    return places
  }

  private mutating func bytes(_ range: Range<Int>, layer: Int, _ reader: StreamReader) throws(StreamFault) -> [UInt8] {
    let first = range.lowerBound / pageSize
    let last = (range.upperBound - 1) / pageSize
    var found: [UInt8] = []
    if layer == 0 {
      found = try reader.read(try places(first..<last + 1, layer: 0, reader), place.transforms)
    } else {
      for index in first...last { found += try page(index, layer: layer, reader) }
    }
    return Array(found[range.lowerBound - first * pageSize..<range.upperBound - first * pageSize])
  }

  /// A page of places: those of neighbours stand in the same one.
  private mutating func page(_ index: Int, layer: Int, _ reader: StreamReader) throws(StreamFault) -> [UInt8] {
    if let recent = recent[layer], recent.index == index { return recent.bytes }
    let bytes = try reader.read(try places(index..<index + 1, layer: layer, reader), place.transforms)
    recent[layer] = (index, bytes)
    return bytes
  }
}
