// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// How far a pass over changed pages is; who saves takes the next few. Guarded by the engine's lock.
struct SavePass {
  /// Pages are handed out.
  var isActive = false
  /// Chunks of two codecs do not share a frame: one codec after the other. `next` is the lowest one above that was seen.
  var codec: UInt8 = 0
  var next: UInt8?
  var cursor = 0
  var savers = 0
  var failure: StoreError?
  /// Pages that got a copy, and bytes written, in all passes of a checkpoint, or of what goes before the last one.
  var saved = 0
  var bytesWritten = 0
}

/// Gives pages in RAM their copies in the session's tier: chunks are packed as they are, through the mandatory transforms.
/// Raw pages pass the first compressor, which costs about as much as writing them raw and takes a fraction of the room.
///
/// Works like a reader: the pages go on being used meanwhile, and one that was changed has no copy then. Several threads
/// save at once, so that encoding, copying and writing overlap: the one that makes the checkpoint, and workers.
struct PageSaver {
  private let engine: Engine
  private let session: SessionTables
  private let keeper: SessionKeeper
  private let context: Context
  private let space: JobSpace
  private var saved = 0
  private var bytesWritten = 0

  init(_ engine: Engine, _ session: SessionTables, _ keeper: SessionKeeper, _ context: Context, _ space: JobSpace) {
    self.engine = engine
    self.session = session
    self.keeper = keeper
    self.context = context
    self.space = space
  }

  /// Goes once through all pages that have changed; returns when every one of them has been seen to.
  mutating func pass() throws(StoreError) {
    engine.lock.withLock {
      // Savers of an earlier pass that found nothing may not have left yet.
      keeper.pass = SavePass(
        isActive: true, savers: keeper.pass.savers, saved: keeper.pass.saved, bytesWritten: keeper.pass.bytesWritten)
      engine.state.pointee.savesPages = true
    }
    engine.work.notify()
    while saveBatch() {}
    while true {
      let ticket = engine.quiet.ticket
      let (savers, failure) = engine.lock.withLock { (keeper.pass.savers, keeper.pass.failure) }
      if savers == 0 {
        if let failure { throw failure }
        return
      }
      engine.quiet.wait(ticket, timeout: 1_000_000)
    }
  }

  /// Saves some of the pass's pages. False when none are left.
  mutating func saveBatch() -> Bool {
    engine.lock.withLock { keeper.pass.savers += 1 }
    (saved, bytesWritten) = (0, 0)
    let batch = gather()
    var failure: StoreError?
    if batch.count > 0 {
      do throws(StoreError) {
        if batch.codec == 0 { try saveRaw(batch.count) } else { try save(verified(batch.count), codec: batch.codec) }
      } catch {
        failure = error
      }
    }
    engine.endReading(context)
    engine.lock.withLock {
      keeper.pass.savers -= 1
      keeper.pass.saved += saved
      keeper.pass.bytesWritten += bytesWritten
      guard let failure else { return }
      keeper.pass.failure = keeper.pass.failure ?? failure
      end()
    }
    return batch.count > 0 && failure == nil
  }

  /// Nothing more is handed out. With the lock.
  private func end() {
    keeper.pass.isActive = false
    engine.state.pointee.savesPages = false
  }

  /// Pages looked at in one section under the lock.
  private static let sectionMax = 128

  /// Collects chunks of one codec for a few segments' worth of frames; the reader's mark keeps them in place.
  private func gather() -> (count: Int, codec: UInt8) {
    var count = 0
    var bytes = 0
    var codec: UInt8 = 0
    var isMore = true
    engine.lock.withLock { engine.beginReading(context) }
    while isMore {
      engine.lock.withLock {
        if count == 0 { codec = keeper.pass.codec }
        guard keeper.pass.isActive, keeper.pass.codec == codec else {
          isMore = false
          return
        }
        isMore = gatherSome(codec, &count, &bytes)
      }
    }
    return (count, codec)
  }

  /// With the lock. False when there is enough, or nothing left of the pass.
  private func gatherSome(_ codec: UInt8, _ count: inout Int, _ bytes: inout Int) -> Bool {
    // Raw pages are encoded into two segments.
    let most = codec == 0 ? 2 * (engine.segmentSize - engine.pageSize) : engine.segmentSize * 8
    let end = engine.pages.table.count
    for _ in 0..<Self.sectionMax {
      guard count < JobSpace.itemsMax, bytes < most else { return false }
      guard let index = session.pageChanges.next(from: keeper.pass.cursor, below: end) else {
        guard let next = keeper.pass.next else {
          self.end()
          return false
        }
        (keeper.pass.codec, keeper.pass.next, keeper.pass.cursor) = (next, nil, 0)
        return count == 0
      }
      keeper.pass.cursor = Int(index) + 1
      guard let item = item(of: index) else { continue }
      if item.codec == codec {
        space.items[count] = item
        count += 1
        bytes += Int(item.length)
      } else if item.codec > codec {
        keeper.pass.next = min(keeper.pass.next ?? item.codec, item.codec)
      }
    }
    return true
  }

  /// The chunk of a persistent page that is in RAM without a copy. With the lock.
  private func item(of index: UInt32) -> Item? {
    let place = engine.pages.entry(index).pointee.place
    guard place.state == .pooled, !place.isDiscardable, session.copy(of: index).bits == 0 else { return nil }
    let segment = place.segment
    let head = engine.arena.head(segment)
    let offset = Int(place.unit) << engine.unitShift
    let header = engine.header(segment, offset).pointee
    return Item(
      owner: index, length: UInt32(engine.codec.length(header.lengthAndID)), place: place,
      id: head.pointee.idBase + engine.codec.idOffset(header.lengthAndID),
      address: UnsafeRawPointer(engine.arena.bytes(segment) + offset + ChunkHeader.byteCount),
      checksum: header.checksum, bin: -1, codec: head.pointee.codec, target: Place(bits: 0))
  }

  /// Leaves damaged chunks out: their pages are unreadable.
  private func verified(_ count: Int) -> Int {
    var kept = 0
    for index in 0..<count {
      let item = space.items[index]
      if item.codec > 0 {
        let sum = engine.checksum(
          item.address, Int(item.length), id: item.id, epoch: engine.epochs.codec(Int(item.codec)).epoch)
        guard sum == item.checksum else {
          engine.postponeUnreadable(item)
          continue
        }
      }
      space.items[kept] = item
      kept += 1
    }
    return kept
  }

  /// Raw pages through the first compressor that works now; those that do not become smaller as they are.
  private mutating func saveRaw(_ count: Int) throws(StoreError) {
    let now = engine.environment.now()
    let level = engine.lock.withLock {
      engine.plan.levels.indices.first {
        engine.plan.levels[$0].role == .page && engine.plan.levels[$0].isCompressor && !engine.plan.levels[$0].isLeaving
          && !engine.isDegraded($0, now)
      }
    }
    guard let level, var scratch = takeScratch() else { return try save(count, codec: 0) }
    var former: SegmentIndex?
    defer {
      engine.lock.withLock {
        engine.giveScratch(scratch)
        if let former { engine.giveScratch(former) }
      }
    }
    // Encoded ones come to the front.
    var encoded = 0
    var filled = 0
    for index in 0..<count {
      if filled + engine.pageSize > engine.segmentSize {
        // Without a second one the rest is saved as it is.
        guard former == nil, let second = takeScratch() else { break }
        (former, scratch, filled) = (scratch, second, 0)
      }
      guard let item = encode(space.items[index], level, engine.arena.bytes(scratch) + filled) else { continue }
      filled += Int(item.length)
      space.items[index] = space.items[encoded]
      space.items[encoded] = item
      encoded += 1
    }
    try save(encoded, codec: engine.codecNumber(level))
    for index in encoded..<count { space.items[index - encoded] = space.items[index] }
    try save(count - encoded, codec: 0)
  }

  private func takeScratch() -> SegmentIndex? {
    engine.lock.withLock { engine.takeScratch(level: session.level) }
  }

  private func encode(_ page: Item, _ level: Int, _ output: UnsafeMutableRawPointer) -> Item? {
    guard let tier = engine.calls[level] else { return nil }
    var item = page
    item.id = engine.nextID(context, level)
    var object = stowage_object(
      id: item.id, epoch: tier.epoch, length: UInt32(engine.pageSize), flags: 0, reserved: 0)
    let room = engine.longestChunk(engine.plan.packingLevel ?? level)
    var length = 0
    let result = tier.encode(
      context.pointee.tiers[level], &object, page.address, output, room: room, length: &length, sidecar: nil)
    guard result == STOWAGE_OK, length > 0, length <= room else { return nil }
    item.address = UnsafeRawPointer(output)
    item.length = UInt32(length)
    item.bin = -1
    return item
  }

  /// Packs chunks and writes them; while frames are on their way the next ones are packed.
  private mutating func save(_ count: Int, codec: UInt8) throws(StoreError) {
    guard count > 0 else { return }
    let bins = engine.planBins(space, count)
    let level = codec == 0 ? Int(FrameRecord.rawCodec) : Int(engine.epochs.codec(Int(codec)).level)
    guard var sender = FrameSender(engine, context, space, engine.sessionRoute(session, codec: level)) else {
      throw .full("there is no memory to pack pages for the checkpoint")
    }
    defer { sender.close() }
    let number = codec == 0 ? FrameRecord.rawCodec : codec
    var isSent = true
    var bin = 0
    while bin < bins, isSent {
      let frames = min(engine.framesPerSegment, bins - bin)
      let (ready, build) = sender.next
      engine.buildFrames(ready, build, firstBin: bin, count: frames)
      isSent = sender.send(frames) { publish($0, codec: number) }
      bin += frames
    }
    if !sender.finish({ publish($0, codec: number) }) { isSent = false }
    guard isSent else { throw sender.failure ?? engine.writeFailure(session.level) }
  }

  private mutating func publish(_ write: FrameWrite, codec: UInt8) {
    bytesWritten += write.count * engine.pageSize
    var first = 0
    while first < write.count {
      let end = min(first + 8, write.count)
      engine.lock.lock()
      for index in first..<end { publishFrame(write.space, index, codec: codec) }
      engine.lock.unlock()
      first = end
    }
  }

  /// With the lock: pages that are where they were have their copies in this frame.
  private mutating func publishFrame(_ space: JobSpace, _ index: Int, codec: UInt8) {
    let frames = engine.frames
    let sent = space.outgoing[index]
    guard FrameRecord.canName(sent.chunkBase), let frame = frames.allocate(chunks: sent.itemCount) else {
      return engine.abandonRoom(sent, session.level)
    }
    let record = frames.record(frame)
    engine.fillRecord(record, sent, target: session.level)
    record.pointee.codec = codec
    record.pointee.setChunkBase(sent.chunkBase)
    engine.copySidecars(space, from: index, to: frame)
    engine.occupyFrame(frame, record)
    engine.noteFrame(frame)
    for ordinal in 0..<sent.itemCount {
      let item = space.items[Int(space.sorted[sent.firstItem + ordinal])]
      frames.place(record, ordinal).pointee = FramePlace(
        owner: item.owner,
        lengthAndID: engine.codec.pack(length: Int(item.length), idOffset: item.id - sent.chunkBase))
      guard engine.pages.entry(item.owner).pointee.place == item.place, session.copy(of: item.owner).bits == 0 else {
        continue
      }
      session.setCopy(of: item.owner, Place.framed(frame, ordinal: ordinal, discardable: false))
      record.pointee.live += 1
      saved += 1
    }
    if engine.isSparse(record) { engine.levels[session.level].sparseFrames += 1 }
    if record.pointee.live == 0 { engine.endFrame(frame) }
  }
}

extension Engine {
  /// Ends a page that was found damaged, if it is still there; its destructor is called on an engine thread.
  func postponeUnreadable(_ item: Item) {
    lock.lock()
    guard pages.entry(item.owner).pointee.place == item.place else { return lock.unlock() }
    let dropped = dropPage(item.owner, .unreadable)
    lock.unlock()
    postpone(dropped)
  }
}
