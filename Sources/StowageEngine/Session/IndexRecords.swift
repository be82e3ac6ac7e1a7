// SPDX-License-Identifier: Apache-2.0

/// The records of the index, and what they say. Numbers are little-endian; docs/session-format.md has the layout.
///
/// A page, 20 bytes (28 with end-to-end checksums):
///
///     generation (24 bits), kind (8 bits); tag (8 bytes); value (8 bytes)[; checksum (8 bytes)]
///
/// kind 0: no page, its entry has that generation next; 1: in the session's tier, value is frame * 256 + ordinal;
/// 2: same-filled, value is the word.
///
/// A frame, 32 bytes and its sidecars; its places stand elsewhere:
///
///     id (8); slot (4); checksum (4); chunk id base in steps (4); first place (4); chunks (1), codec (1),
///     transforms (1), zero (5)
///
/// With no chunks there is no frame of that number.
struct IndexRecords {
  static let free: UInt32 = 0
  static let framed: UInt32 = 1
  static let word: UInt32 = 2

  static let frameBytes = 32
  static let placeBytes = MemoryLayout<FramePlace>.stride
  static func pageBytes(sums: Bool) -> Int { sums ? 28 : 20 }

  /// A page's checksum as its record has it, and back: tied to the page's number, so that the record of another page, which
  /// is right in itself, is not taken for it.
  @inline(__always) static func tied(_ sum: UInt64, to index: UInt32) -> UInt64 {
    sum ^ (UInt64(index) &+ 1) &* 0x9E37_79B9_7F4A_7C15
  }
}

/// Writing them. With the lock.
extension Engine {
  /// A page's record. False when there is none to be written yet: the page is persistent and nowhere in the session's tier;
  /// then the record of no page is written, and another one has to follow.
  @inline(__always) func putPageRecord(_ index: UInt32, _ session: SessionTables, _ writer: inout ByteWriter) -> Bool {
    let entry = pages.entry(index).pointee
    let place = entry.place
    var generation = place.generation
    var (kind, value) = (IndexRecords.free, UInt64(0))
    var isComplete = true
    switch place.state {
    case .free: break
    case _ where place.isDiscardable:
      // Dropped when the session is resumed: its handle is stale then.
      generation = generation < Place.generationMax ? generation + 1 : 0
    case .word: (kind, value) = (IndexRecords.word, words.value(Int(place.value)))
    case .pooled, .framed:
      if let recorded = recordedPlace(index, session) {
        (kind, value) = (IndexRecords.framed, recorded.value)
      } else {
        isComplete = false
      }
    }
    // At once: there are millions of them.
    var record = InlineArray<28, UInt8>(repeating: 0)
    withUnsafeMutableBytes(of: &record) {
      $0.storeBytes(of: (generation | kind << 24).littleEndian, toByteOffset: 0, as: UInt32.self)
      $0.storeBytes(of: (kind == IndexRecords.free ? 0 : entry.tag).littleEndian, toByteOffset: 4, as: UInt64.self)
      $0.storeBytes(of: value.littleEndian, toByteOffset: 12, as: UInt64.self)
      if let pageSums {
        let sum = IndexRecords.tied(pageSums.address(Int(index)).load(as: UInt64.self), to: index)
        $0.storeBytes(of: sum.littleEndian, toByteOffset: 20, as: UInt64.self)
      }
      writer.put(raw: $0.baseAddress.unsafelyUnwrapped, IndexRecords.pageBytes(sums: pageSums != nil))
    }
    return isComplete
  }

  /// A frame's record. False when it is in RAM, or above the session's tier: then the record of no frame is written.
  @inline(__always) func putFrameRecord(_ frame: FrameIndex, _ session: SessionTables, _ writer: inout ByteWriter)
    -> Bool
  {
    let record = frames.record(frame)
    let isThere = record.pointee.count > 0 && Int(record.pointee.level) == session.level && record.pointee.live > 0
    guard isThere, !record.pointee.isDiscardable else {
      writer.put(zeros: IndexRecords.frameBytes + frames.sidecarLength)
      return record.pointee.count == 0 || Int(record.pointee.level) == session.level
    }
    var bytes = InlineArray<32, UInt8>(repeating: 0)
    withUnsafeMutableBytes(of: &bytes) {
      $0.storeBytes(of: record.pointee.id.littleEndian, toByteOffset: 0, as: UInt64.self)
      $0.storeBytes(of: record.pointee.position.littleEndian, toByteOffset: 8, as: UInt32.self)
      $0.storeBytes(of: record.pointee.checksum.littleEndian, toByteOffset: 12, as: UInt32.self)
      $0.storeBytes(of: record.pointee.baseSteps.littleEndian, toByteOffset: 16, as: UInt32.self)
      $0.storeBytes(of: record.pointee.places.littleEndian, toByteOffset: 20, as: UInt32.self)
      $0[24] = record.pointee.count
      $0[25] = record.pointee.codec
      $0[26] = record.pointee.transforms
      writer.put(raw: $0.baseAddress.unsafelyUnwrapped, IndexRecords.frameBytes)
    }
    writer.put(raw: frames.sidecars(frame), frames.sidecarLength)
    return true
  }
}
