// SPDX-License-Identifier: Apache-2.0

/// Writing one delta in place of several.
extension CheckpointRun {
  /// Deltas, as long as all of them are short beside the index; at a suspend too, as resuming reads them all.
  func choosesWriting() -> IndexWriting {
    guard !keeper.needsWhole, keeper.last != nil else { return .whole }
    let deltas = keeper.deltas
    let changed = engine.lock.withLock {
      DeltaNote.length(
        pages: session.pageChanges.count(below: engine.pages.table.count),
        frames: session.frameChanges.count(below: engine.frames.count))
    }
    let most = 65536 + (isLast || endsSoon ? min(keeper.wholeBytes / 8, 262_144) : keeper.wholeBytes / 8)
    guard deltas.reduce(0, { $0 + $1.bytes }) + changed <= most else {
      // What changes again and again stands in many of them.
      guard deltas.count > 1 else { return .whole }
      let together = DeltaNote(merging: deltas[...])
      let counted = DeltaNote.length(pages: together.pages.count, frames: together.frames.count)
      // What they have together is no shorter than the longest of them: a merge that comes out too long is the last one.
      let length = max(counted, deltas.map(\.bytes).max() ?? 0)
      return length + changed <= most / 2 ? .merged(first: 0) : .whole
    }
    let room = min(keeper.configuration.deltasMax, SessionRoot.deltasMax(sidecars: engine.frames.sidecarLength))
    guard deltas.count >= room else { return .delta }
    return deltas.count > 1 ? .merged(first: DeltaNote.firstToMerge(deltas)) : .whole
  }

  /// Whether the last checkpoint would write so much of the index that callers had better not wait for it.
  var stopsLong: Bool {
    guard choosesWriting() == .whole else { return false }
    return engine.lock.withLock {
      engine.pages.table.count * IndexRecords.pageBytes(sums: engine.pageSums != nil)
        + engine.frames.count * (IndexRecords.frameBytes + engine.frames.sidecarLength)
        + engine.frames.placeCount * IndexRecords.placeBytes > Self.indexWhileStopped
    }
  }

  /// Bytes of the index that may be written while everything is stopped: a tenth of a second or so.
  private static let indexWhileStopped = 64 << 20

  /// What the last deltas have, each record as it is at that moment. Marks stay: what has one, or gets one until the cut,
  /// has its last record in the cut's delta.
  mutating func writeMerged(from first: Int) throws(StoreError) {
    engine.lock.withLock { keeper.merges.begun += 1 }
    var note = DeltaNote(merging: keeper.deltas[first...])
    let slotsBefore = newKept.count
    let place = try stream(isKept: true) { engine, session, writer throws(StoreError) in
      try engine.putRecords(note, session, &writer)
    }
    note.bytes = Int(place.length)
    note.slots = Array(newKept[slotsBefore...])
    note.shrink()
    merged = (note, place)
  }

  /// The deltas of the new index, the cut's behind them.
  func deltas(_ cut: DeltaNote) -> [DeltaNote] {
    switch writing {
    case .whole: [cut]
    case .delta: keeper.deltas + [cut]
    case .merged(let first): keeper.deltas[..<first] + [merged.note, cut]
    }
  }

  /// Where they are.
  func deltaPlaces(_ last: SessionRoot?, _ cut: StreamPlace) -> [StreamPlace] {
    switch writing {
    case .whole: [cut]
    case .delta: (last?.deltas ?? []) + [cut]
    case .merged(let first): (last?.deltas[..<first] ?? []) + [merged.place, cut]
    }
  }

  /// Slots of what the new index does not need of the last one.
  var replacedSlots: [UInt32] {
    switch writing {
    case .whole: keeper.keptSlots + keeper.deltas.flatMap(\.slots)
    case .delta: []
    case .merged(let first): keeper.deltas[first...].flatMap(\.slots)
    }
  }

  /// What was taken down for an index that does not hold has changed since the one that does.
  func markAgain(_ note: DeltaNote) {
    for first in stride(from: 0, to: note.pages.count, by: 4096) {
      engine.lock.withLock {
        for index in note.pages[first..<min(first + 4096, note.pages.count)] { session.pageChanges.mark(index) }
      }
    }
    for first in stride(from: 0, to: note.frames.count, by: 4096) {
      engine.lock.withLock {
        for frame in note.frames[first..<min(first + 4096, note.frames.count)] { session.frameChanges.mark(frame) }
      }
    }
  }
}

extension Engine {
  /// A delta with the records that a note names, in short sections under the lock.
  fileprivate func putRecords(
    _ note: DeltaNote, _ session: SessionTables, _ writer: inout StreamWriter
  ) throws(StoreError) {
    var bytes = ByteWriter()
    // All numbers are below these: the tables never shrink.
    let (pageCount, frameCount) = lock.withLock { (pages.table.count, frames.count) }
    bytes.put(UInt64(pageCount))
    bytes.put(UInt64(frameCount))
    bytes.put(UInt32(note.pages.count))
    bytes.put(UInt32(note.frames.count))
    try writer.put(bytes.bytes)
    for first in stride(from: 0, to: note.pages.count, by: 512) {
      bytes.removeAll()
      lock.withLock {
        for index in note.pages[first..<min(first + 512, note.pages.count)] {
          bytes.put(index)
          // One that cannot be written yet has its mark.
          _ = putPageRecord(index, session, &bytes)
        }
      }
      try writer.put(bytes.bytes)
    }
    for first in stride(from: 0, to: note.frames.count, by: 256) {
      bytes.removeAll()
      lock.withLock {
        for frame in note.frames[first..<min(first + 256, note.frames.count)] { putFrame(frame, session, &bytes) }
      }
      try writer.put(bytes.bytes)
    }
  }

  /// A frame as deltas have it: its number, its record and, when there is one, its places. With the lock.
  func putFrame(_ frame: FrameIndex, _ session: SessionTables, _ writer: inout ByteWriter) {
    writer.put(frame)
    // A frame in RAM holds nothing that is recorded; it is marked when it comes down.
    _ = putFrameRecord(frame, session, &writer)
    let record = frames.record(frame)
    guard record.pointee.count > 0, record.pointee.live > 0, !record.pointee.isDiscardable,
      Int(record.pointee.level) == session.level
    else { return }
    writer.put(raw: frames.place(record, 0), Int(record.pointee.count) * IndexRecords.placeBytes)
  }
}
