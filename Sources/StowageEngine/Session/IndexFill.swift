// SPDX-License-Identifier: Apache-2.0

/// Records of the index coming into the tables. With the gate of the load; docs/session-format.md has the layout.
extension IndexLoad {
  /// Page records of a chunk, found in `bytes`, which begin with record `first`.
  func fillPages(_ chunk: Range<Int>, _ bytes: [UInt8], from first: Int) throws(ByteShortage) {
    let part = bytes[(chunk.lowerBound - first) * pageBytes..<(chunk.upperBound - first) * pageBytes]
    var reader = ByteReader(part)
    // Checked before anything is changed.
    var records: [PageRecord] = []
    records.reserveCapacity(chunk.count)
    for index in chunk {
      let record = try pageRecord(&reader)
      // Records of deltas are later ones.
      if !patchedPages.isMarked(UInt32(index)) { try check(record) }
      records.append(record)
    }
    engine.lock.lock()
    defer { engine.lock.unlock() }
    for (index, record) in zip(chunk, records) where !patchedPages.isMarked(UInt32(index)) {
      try store(record, UInt32(index))
      count(UInt32(index))
    }
  }

  /// Frame records of a chunk, likewise.
  func fillFrames(_ chunk: Range<Int>, _ bytes: [UInt8], from first: Int) throws(ByteShortage) {
    let part = bytes[(chunk.lowerBound - first) * frameBytes..<(chunk.upperBound - first) * frameBytes]
    var reader = ByteReader(part)
    engine.lock.lock()
    defer { engine.lock.unlock() }
    for frame in chunk {
      let found = try frameRecord(&reader)
      guard !patchedFrames.isMarked(FrameIndex(frame)) else { continue }
      guard found.record.count == 0 || Int(found.record.places) + Int(found.record.count) <= Int(root.placeCount)
      else { throw ByteShortage() }
      try adopt(found.record)
      store(found, FrameIndex(frame))
    }
  }

  /// What one delta says, over what earlier ones said. The records that it has are not taken from the whole index.
  func apply(_ delta: [UInt8]) throws(ByteShortage) -> DeltaNote {
    var reader = ByteReader(delta)
    var note = DeltaNote()
    note.bytes = delta.count
    note.rank = DeltaNote.rank(ofLength: delta.count)
    let (deltaPages, deltaFrames) = (try reader.number(UInt64.self), try reader.number(UInt64.self))
    let (changedPages, changedFrames) = (try reader.number(UInt32.self), try reader.number(UInt32.self))
    guard deltaPages <= UInt64(pageCount), deltaFrames <= UInt64(frameCount) else { throw ByteShortage() }
    engine.lock.lock()
    defer { engine.lock.unlock() }
    for _ in 0..<changedPages {
      let index = try reader.number(UInt32.self)
      guard UInt64(index) < deltaPages else { throw ByteShortage() }
      let entry = engine.pages.entry(index)
      if entry.pointee.place.state == .word { engine.words.remove(Int(entry.pointee.place.value)) }
      let record = try pageRecord(&reader)
      try check(record)
      try store(record, index)
      patchedPages.mark(index)
      note.pages.append(index)
    }
    for _ in 0..<changedFrames {
      let frame = try reader.number(FrameIndex.self)
      guard UInt64(frame) < deltaFrames else { throw ByteShortage() }
      var record = try frameRecord(&reader)
      if record.record.count > 0 { record.record.places = try appendPlaces(Int(record.record.count), &reader) }
      store(record, frame)
      patchedFrames.mark(frame)
      note.frames.append(frame)
    }
    guard reader.left == 0 else { throw ByteShortage() }
    note.shrink()
    return note
  }

  /// When all deltas are applied: each entry that only they have is there, pages are counted, slots are taken.
  func finishPatches() throws(ByteShortage) {
    engine.lock.lock()
    defer { engine.lock.unlock() }
    for index in Int(root.pageCount)..<max(pageCount, Int(root.pageCount)) where !patchedPages.isMarked(UInt32(index)) {
      throw ByteShortage()
    }
    var next = 0
    while let index = patchedPages.next(from: next, below: pageCount) {
      count(index)
      next = Int(index) + 1
    }
    next = 0
    while let frame = patchedFrames.next(from: next, below: frameCount) {
      try adopt(engine.frames.record(frame).pointee)
      next = Int(frame) + 1
    }
  }

  // MARK: One record. With the lock

  private struct PageRecord {
    var kind: UInt32
    var generation: UInt32
    var tag: UInt64
    var value: UInt64
    var sum: UInt64?
  }

  private func pageRecord(_ reader: inout ByteReader) throws(ByteShortage) -> PageRecord {
    let first = try reader.number(UInt32.self)
    return PageRecord(
      kind: first >> 24, generation: first & Place.generationMax, tag: try reader.number(), value: try reader.number(),
      sum: engine.pageSums == nil ? nil : try reader.number(UInt64.self))
  }

  private func check(_ record: PageRecord) throws(ByteShortage) {
    let isPossible =
      switch record.kind {
      case IndexRecords.free: true
      case IndexRecords.framed: record.generation > 0 && record.value >> 8 < UInt64(frameCount)
      case IndexRecords.word: record.generation > 0
      default: false
      }
    guard isPossible, record.generation < root.generationLimit else { throw ByteShortage() }
  }

  private func store(_ record: PageRecord, _ index: UInt32) throws(ByteShortage) {
    var place = Place.free(next: 0)
    if record.kind == IndexRecords.framed {
      place = .framed(FrameIndex(record.value >> 8), ordinal: Int(record.value & 255), discardable: false)
    } else if record.kind == IndexRecords.word {
      guard let number = engine.words.add(record.value) else { throw ByteShortage() }
      place = .word(number, discardable: false)
    }
    engine.pages.restore(index, tag: record.tag, place.with(generation: record.generation))
    if let sum = record.sum {
      engine.pageSums?.address(Int(index)).storeBytes(of: IndexRecords.tied(sum, to: index), as: UInt64.self)
    }
  }

  /// Counts a page whose entry is final. All pages of the session count as the session's tier's at first.
  private func count(_ index: UInt32) {
    switch engine.pages.entry(index).pointee.place.state {
    case .free: return
    case .word:
      engine.levels[session.level].pages -= 1
      engine.state.pointee.sameFilled += 1
    case .framed, .pooled: break
    }
    livePages += 1
  }

  private func frameRecord(_ reader: inout ByteReader) throws(ByteShortage) -> (
    record: FrameRecord, sidecars: ArraySlice<UInt8>
  ) {
    var record = FrameRecord()
    record.id = try reader.number(UInt64.self)
    record.position = try reader.number()
    record.checksum = try reader.number()
    record.baseSteps = try reader.number()
    record.places = try reader.number()
    record.count = try reader.number()
    let codec = try reader.number(UInt8.self)
    record.codec = codec
    record.transforms = try reader.number()
    _ = try reader.raw(5)
    record.level = UInt8(session.level)
    let sidecars = try reader.raw(engine.frames.sidecarLength)
    guard record.count > 0 else { return (FrameRecord(), sidecars) }
    guard codec == FrameRecord.rawCodec || Int(codec) < EpochTable.codecsMax else { throw ByteShortage() }
    // The backing is shorter than it was: the frame's pages are lost, the others are not.
    if Int(record.position) >= engine.ports[session.level]?.slots.total ?? 0 {
      record.position = UInt32(SlotAllocator.nowhere)
    }
    return (record, sidecars)
  }

  private func store(_ found: (record: FrameRecord, sidecars: ArraySlice<UInt8>), _ frame: FrameIndex) {
    engine.frames.record(frame).pointee = found.record
    found.sidecars.withUnsafeBytes {
      guard let base = $0.baseAddress else { return }
      UnsafeMutableRawPointer(engine.frames.sidecars(frame)).copyMemory(from: base, byteCount: $0.count)
    }
  }

  /// A frame's slot is in use, and it names only what there is.
  private func adopt(_ record: FrameRecord) throws(ByteShortage) {
    guard record.count > 0 else { return }
    let (codec, transforms) = (record.codec, record.transforms)
    guard codec == FrameRecord.rawCodec || engine.epochs.codec(Int(codec)).level > 0,
      engine.passesMandatory(transforms),
      Int(record.position) == SlotAllocator.nowhere
        || engine.ports[session.level]?.slots.adopt(Int(record.position)) == true
    else { throw ByteShortage() }
  }

  private func appendPlaces(_ count: Int, _ reader: inout ByteReader) throws(ByteShortage) -> UInt32 {
    let bytes = try reader.raw(count * IndexRecords.placeBytes)
    guard let first = engine.frames.appendPlaces(count) else { throw ByteShortage() }
    bytes.withUnsafeBytes {
      (engine.frames.placeBase + Int(first) * IndexRecords.placeBytes).copyMemory(
        from: $0.baseAddress!, byteCount: $0.count)
    }
    return first
  }
}
