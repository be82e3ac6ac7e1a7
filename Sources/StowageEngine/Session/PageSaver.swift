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
  let engine: Engine
  let session: SessionTables
  let keeper: SessionKeeper
  let context: Context
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
    _ = saveBatches(.max)
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

  /// Batches that a worker saves at most before it looks for more urgent work; one if a put waits.
  static let batchesOfWorker = 8

  /// Saves up to so many batches of the pass's pages. False when none are left, or one could not be saved.
  mutating func saveBatches(_ most: Int) -> Bool {
    engine.lock.withLock { keeper.pass.savers += 1 }
    (saved, bytesWritten) = (0, 0)
    var isMore = false
    var failure: StoreError?
    do throws(StoreError) { isMore = try saveSome(most) } catch { failure = error }
    engine.endReading(context)
    engine.lock.withLock {
      keeper.pass.savers -= 1
      keeper.pass.saved += saved
      keeper.pass.bytesWritten += bytesWritten
      guard let failure else { return }
      keeper.pass.failure = keeper.pass.failure ?? failure
      end()
    }
    return isMore
  }

  /// While the frames of one batch are on their way the next one is gathered and packed.
  private mutating func saveSome(_ most: Int) throws(StoreError) -> Bool {
    let halves = space.halves
    var sender: FrameSender?
    var codec: UInt8 = 0
    defer { sender?.close() }
    var number = 0
    while number < most {
      let half = number % 2 == 0 ? halves.0 : halves.1
      let batch = gather(half)
      if sender != nil, batch.count == 0 || batch.codec != codec { try finish(&sender, codec: codec) }
      guard batch.count > 0 else { return false }
      codec = batch.codec
      if codec == 0 {
        try saveRaw(half, batch.count)
      } else {
        if sender == nil { sender = try makeSender(half, codec: codec) }
        try send(half, verified(half, batch.count), &sender, codec: codec)
      }
      // All of the earlier batches is published.
      engine.continueReading(context, since: batch.mark)
      number += 1
      // A worker's room comes before the checkpoint.
      if most != .max, engine.lock.withLock({ engine.state.pointee.putWaiters > 0 }) { break }
    }
    try finish(&sender, codec: codec)
    return true
  }

  /// Nothing more is handed out. With the lock.
  func end() {
    keeper.pass.isActive = false
    engine.state.pointee.savesPages = false
  }

  /// Raw pages through the first compressor that works now; those that do not become smaller as they are.
  private mutating func saveRaw(_ space: JobSpace, _ count: Int) throws(StoreError) {
    let now = engine.environment.now()
    let level = engine.lock.withLock {
      engine.plan.levels.indices.first {
        engine.plan.levels[$0].role == .page && engine.plan.levels[$0].isCompressor && !engine.plan.levels[$0].isLeaving
          && !engine.isDegraded($0, now)
      }
    }
    guard let level, var scratch = takeScratch() else { return try save(space, count, codec: 0) }
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
    try save(space, encoded, codec: engine.codecNumber(level))
    for index in encoded..<count { space.items[index - encoded] = space.items[index] }
    try save(space, count - encoded, codec: 0)
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

  // MARK: Packing and writing

  /// Chunks that share nothing with those before and after them.
  private mutating func save(_ space: JobSpace, _ count: Int, codec: UInt8) throws(StoreError) {
    guard count > 0 else { return }
    var sender: FrameSender? = try makeSender(space, codec: codec)
    defer { sender?.close() }
    try send(space, count, &sender, codec: codec)
    try finish(&sender, codec: codec)
  }

  private func makeSender(_ space: JobSpace, codec: UInt8) throws(StoreError) -> FrameSender {
    let level = codec == 0 ? Int(FrameRecord.rawCodec) : Int(engine.epochs.codec(Int(codec)).level)
    guard let sender = FrameSender(engine, context, space, engine.sessionRoute(session, codec: level)) else {
      throw .full("there is no memory to pack pages for the checkpoint")
    }
    return sender
  }

  /// Packs chunks and begins to write them; while frames are on their way the next ones are packed. Those that were sent
  /// before have all arrived when it returns.
  private mutating func send(
    _ space: JobSpace, _ count: Int, _ sender: inout FrameSender?, codec: UInt8
  ) throws(StoreError) {
    sender?.use(chunksOf: space)
    let bins = engine.planBins(space, count)
    var bin = 0
    var sends = 0
    while bin < bins {
      guard let (ready, build) = sender?.next else { return }
      let frames = min(engine.framesPerSegment, bins - bin)
      engine.buildFrames(ready, build, firstBin: bin, count: frames)
      guard sender?.send(frames, { publish($0, codec: codec) }) == true else { return try finish(&sender, codec: codec) }
      bin += frames
      sends += 1
    }
    if sender?.finish(but: sends, { publish($0, codec: codec) }) == false { try finish(&sender, codec: codec) }
  }

  /// Waits for everything that was sent, and ends the sender.
  private mutating func finish(_ sender: inout FrameSender?, codec: UInt8) throws(StoreError) {
    guard sender != nil else { return }
    _ = sender?.finish { publish($0, codec: codec) }
    let failure = sender?.failure
    sender?.close()
    sender = nil
    if let failure { throw failure }
  }

  private mutating func publish(_ write: FrameWrite, codec: UInt8) {
    let codec = codec == 0 ? FrameRecord.rawCodec : codec
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
