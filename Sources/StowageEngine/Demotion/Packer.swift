// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Packing chunks into frames and sending them down.
extension Engine {
  /// Packs the pages of claimed segments of a page level into frames along `work.route`.
  func packFrames(_ context: Context, _ space: JobSpace, _ work: Work, segments count: Int) {
    let route = work.route
    // Chunks that are handed on as they are stay in place while they are packed; others are encoded into a
    // scratch segment first.
    let asIs = route.codec == work.level || (work.level == 0 && route.codec == Int(FrameRecord.rawCodec))
    var scratch: SegmentIndex? = nil
    if !asIs {
      scratch = lock.withLock { takeScratch(level: work.level) }
      guard scratch != nil else { return lock.withLock { unclaimAll(space, count) } }
    }
    var cursor = GatherCursor()
    while cursor.segment < count {
      let gathered = gatherWindow(context, space, work, &cursor, count, scratch)
      guard gathered.count > 0 else {
        guard gathered.isComplete else { break }
        continue
      }
      var bins = planBins(space, gathered.count)
      if asIs, work.level == plan.packingLevel, !work.isFlush, gathered.isComplete {
        bins = returnLeftovers(context, space, bins, work.level, segments: count)
      }
      guard gathered.isComplete, sendBins(context, space, bins, work) else { break }
      releaseEmptied(space, count)
    }
    lock.lock()
    if let scratch { giveScratch(scratch) }
    unclaimAll(space, count)
    lock.unlock()
  }

  private func unclaimAll(_ space: JobSpace, _ count: Int) {
    for index in 0..<count where space.segments[index] != noSegment { unclaim(space.segments[index]) }
  }

  /// Claimed segments whose last page has gone are released at once.
  private func releaseEmptied(_ space: JobSpace, _ count: Int) {
    lock.lock()
    for index in 0..<count where space.segments[index] != noSegment {
      guard arena.head(space.segments[index]).pointee.count == 0 else { continue }
      unclaim(space.segments[index])
      space.segments[index] = noSegment
    }
    lock.unlock()
  }

  struct GatherCursor {
    var segment = 0
    var offset = 0
  }

  /// Collects items until the space or the scratch segment is full, or the segments are through. `isComplete` is false
  /// when the codec failed.
  private func gatherWindow(
    _ context: Context, _ space: JobSpace, _ work: Work, _ cursor: inout GatherCursor, _ segments: Int,
    _ scratch: SegmentIndex?
  ) -> (count: Int, isComplete: Bool) {
    let drop: DropReason? =
      passesDiscardPoint(from: work.level, to: work.route.target) && !work.isFlush ? .discardPoint : nil
    var count = 0
    var filled = 0
    while cursor.segment < segments, count + JobSpace.batchMax <= JobSpace.itemsMax {
      if scratch != nil, filled + pageSize > segmentSize { break }
      let segment = space.segments[cursor.segment]
      guard segment != noSegment else {
        cursor = GatherCursor(segment: cursor.segment + 1)
        continue
      }
      let used = Int(arena.head(segment).pointee.used)
      let room = scratch == nil ? JobSpace.batchMax : min(JobSpace.batchMax, (segmentSize - filled) / pageSize)
      var dropped = discardList(when: drop != nil)
      lock.lock()
      var added = gather(
        segment, from: &cursor.offset, to: used, into: space.items + count, room: room, drop: drop, &dropped,
        adopts: session != nil)
      if work.isFlush { added = keepDiscardable(space.items + count, added) }
      lock.unlock()
      if !dropped.isEmpty { deliver(dropped) }
      let batch = space.items + count
      guard let prepared = prepare(context, batch, added, work, scratch, &filled) else { return (count, false) }
      count += prepared
      if cursor.offset >= used { cursor = GatherCursor(segment: cursor.segment + 1) }
    }
    return (count, true)
  }

  /// A flush moves persistent pages only; discardable ones stay behind in their segment.
  private func keepDiscardable(_ items: UnsafeMutablePointer<Item>, _ count: Int) -> Int {
    var kept = 0
    for index in 0..<count where !items[index].place.isDiscardable {
      items[kept] = items[index]
      kept += 1
    }
    return kept
  }

  /// Brings items to the form in which they are packed: checked as they are, or decoded and encoded anew into
  /// scratch. Damaged pages are dropped. The count of those that remain; nil when the codec failed.
  private func prepare(
    _ context: Context, _ items: UnsafeMutablePointer<Item>, _ count: Int, _ work: Work, _ scratch: SegmentIndex?,
    _ filled: inout Int
  ) -> Int? {
    var kept = 0
    let began = environment.now()
    for index in 0..<count {
      let item = items + index
      if let scratch {
        guard let page = rawPage(context, item, level: work.level) else { continue }
        guard encodeScratch(context, page, item, work, scratch, &filled) else { return nil }
      } else if work.level > 0 {
        let sum = checksum(
          item.pointee.address, Int(item.pointee.length), id: item.pointee.id,
          epoch: epochs.codec(Int(item.pointee.codec)).epoch)
        guard sum == item.pointee.checksum else {
          HostTable.clearError()
          dropUnreadable(item.pointee, STOWAGE_CORRUPT)
          continue
        }
      }
      items[kept] = item.pointee
      kept += 1
    }
    if scratch != nil, work.route.codec != Int(FrameRecord.rawCodec) {
      let elapsed = environment.now() &- began
      lock.withLock { levels[work.route.codec].countEncodes(kept, nanoseconds: elapsed) }
    }
    return kept
  }

  /// Encodes one page by the route's codec (or copies it raw) to the end of the scratch segment.
  private func encodeScratch(
    _ context: Context, _ page: UnsafeRawPointer, _ item: UnsafeMutablePointer<Item>, _ work: Work,
    _ scratch: SegmentIndex, _ filled: inout Int
  ) -> Bool {
    let output = arena.bytes(scratch) + filled
    item.pointee.address = UnsafeRawPointer(output)
    item.pointee.length = UInt32(pageSize)
    let codecLevel = work.route.codec
    let isRawTwice =
      plan.levels[work.level].compressorOrdinal >= 2 && page != UnsafeRawPointer(context.pointee.pageA)
    if codecLevel != Int(FrameRecord.rawCodec), !isRawTwice {
      let tier = calls[codecLevel].unsafelyUnwrapped
      item.pointee.id = nextID(context, codecLevel)
      var object = stowage_object(
        id: item.pointee.id, epoch: tier.epoch, length: UInt32(pageSize),
        flags: item.pointee.place.isDiscardable ? UInt32(STOWAGE_OBJECT_DISCARDABLE) : 0, reserved: 0)
      var written = 0
      let result = tier.encode(
        context.pointee.tiers[codecLevel], &object, page, output, room: longestChunk(codecLevel), length: &written,
        sidecar: nil)
      if result == STOWAGE_OK, written > 0, written <= longestChunk(codecLevel) {
        item.pointee.length = UInt32(written)
        filled += written
        return true
      }
      guard result == STOWAGE_TOO_BIG else {
        let reason = result == STOWAGE_OK ? "gave \(written) bytes where at most \(longestChunk(codecLevel)) fit" : tierMessage(result)
        lock.withLock { degrade(codecLevel, reason) }
        return false
      }
    }
    output.copyMemory(from: page, byteCount: pageSize)
    filled += pageSize
    return true
  }

  /// Some frames of a plan are badly filled, as the chunks left for them do not match. While more is to be packed soon,
  /// theirs go back to the oldest end of their level, where the next plan begins and has others to match. The number of
  /// frames that are left to send; most of them, so that packing gets on.
  private func returnLeftovers(
    _ context: Context, _ space: JobSpace, _ bins: Int, _ level: Int, segments count: Int
  ) -> Int {
    let own = (0..<count).reduce(0) { $0 + (space.segments[$1] == noSegment ? 0 : 1) }
    // More comes from other segments, or from what another worker has in hand.
    let isMore = lock.withLock { levels[level].sealed > 1 || levels[level].claimed > own }
    guard bins >= framesPerSegment * 2, isMore else { return bins }
    var kept = bins
    var bin = bins
    while bin > 0, kept > bins - bins / 16 {
      bin -= 1
      guard fill(space, bin) < pageSize - pageSize / 64 else { continue }
      kept -= 1
      (space.bins[bin], space.bins[kept]) = (space.bins[kept], space.bins[bin])
    }
    guard kept < bins else { return bins }
    withOwnSegment(context, level) {
      for bin in kept..<bins { returnChunks(context, space, space.bins[bin], level) }
    }
    return kept
  }

  private func returnChunks(_ context: Context, _ space: JobSpace, _ bin: Bin, _ level: Int) {
    for position in Int(bin.room)..<Int(bin.room + bin.count) {
      let item = space.items + Int(space.sorted[position])
      // Without a segment they stay where they are, which is as well.
      guard copyChunk(context, item, to: level, sequence: 0) else { return }
      publishCopies(context, item, 1, level)
    }
  }

  private func fill(_ space: JobSpace, _ bin: Int) -> Int {
    let planned = space.bins[bin]
    var bytes = 0
    for position in Int(planned.room)..<Int(planned.room + planned.count) {
      bytes += Int(space.items[Int(space.sorted[position])].length)
    }
    return bytes
  }

  // MARK: Sending

  /// Builds the planned frames and sends them along the route, a segment's worth at a time. False when that failed: the
  /// rest stays where it is.
  private func sendBins(_ context: Context, _ space: JobSpace, _ bins: Int, _ work: Work) -> Bool {
    guard let build = lock.withLock({ takeScratch(level: work.level) }) else { return false }
    defer { lock.withLock { giveScratch(build) } }
    var bin = 0
    while bin < bins {
      let count = min(framesPerSegment, bins - bin, roomForFrames(context, work.route, from: work.level))
      guard count > 0 else { return false }
      buildFrames(space, build, firstBin: bin, count: count)
      guard transfer(context, space, count, work.route, scratchPinned: build) else { return false }
      publishNew(context, space, count, work)
      bin += count
    }
    return true
  }

  /// Puts the chunks of planned frames behind each other in a segment.
  func buildFrames(_ space: JobSpace, _ build: SegmentIndex, firstBin: Int, count: Int) {
    lock.lock()
    let firstID = takeFrameIDs(count)
    lock.unlock()
    for index in 0..<count {
      let bin = space.bins[firstBin + index]
      let frame = arena.bytes(build) + index * pageSize
      var at = 0
      for position in Int(bin.room)..<Int(bin.room + bin.count) {
        let item = space.items[Int(space.sorted[position])]
        (frame + at).copyMemory(from: item.address, byteCount: Int(item.length))
        at += Int(item.length)
      }
      if at < pageSize { (frame + at).initializeMemory(as: UInt8.self, repeating: 0, count: pageSize - at) }
      space.outgoing[index] = Outgoing(
        id: firstID + UInt64(index), address: UnsafeRawPointer(frame), firstItem: Int(bin.room),
        itemCount: Int(bin.count), chunkBase: bin.idBase, isDiscardable: bin.isDiscardable)
    }
  }

  /// Lets the pages of new frames be in them, those that are still at their old places.
  private func publishNew(_ context: Context, _ space: JobSpace, _ count: Int, _ work: Work) {
    var first = 0
    while first < count {
      let end = min(first + 8, count)
      lock.lock()
      if first == 0 { noteFrameCursor(context, work.route.target) }
      for index in first..<end { publishNewFrame(space, space.outgoing[index], index, work) }
      unpinUnpublished(context)
      lock.unlock()
      first = end
    }
  }

  private func publishNewFrame(_ space: JobSpace, _ sent: Outgoing, _ index: Int, _ work: Work) {
    let target = work.route.target
    guard FrameRecord.canName(sent.chunkBase), let frame = frames.allocate(chunks: sent.itemCount) else {
      return abandonRoom(sent, target)
    }
    let record = frames.record(frame)
    let idBase = sent.chunkBase
    fillRecord(record, sent, target: target)
    // Chunks that are handed on as they are keep their codec.
    record.pointee.codec =
      work.route.codec == work.level && work.level > 0
      ? space.items[Int(space.sorted[sent.firstItem])].codec : codecNumber(work.route.codec)
    record.pointee.setChunkBase(idBase)
    copySidecars(space, from: index, to: frame)
    occupyFrame(frame, record)
    noteFrame(frame)
    var moved = 0
    for ordinal in 0..<sent.itemCount {
      let item = space.items[Int(space.sorted[sent.firstItem + ordinal])]
      frames.place(record, ordinal).pointee = FramePlace(
        owner: item.owner, lengthAndID: codec.pack(length: Int(item.length), idOffset: item.id - idBase))
      let entry = pages.entry(item.owner)
      guard entry.pointee.place == item.place else { continue }
      vacate(item.place)
      entry.pointee.place = Place.framed(frame, ordinal: ordinal, discardable: item.place.isDiscardable)
        .with(generation: item.place.generation)
      if let session, target == session.level {
        noteChange(item.owner)
        dropCopy(item.owner)
      }
      record.pointee.live += 1
      moved += 1
    }
    levels[target].pages += moved
    if sent.isDiscardable { levels[target].discardable += moved }
    if isSparse(record) { levels[target].sparseFrames += 1 }
    levels[target].entered += moved
    levels[work.level].demoted += moved
    countSkipped(work.route, pages: moved)
    if moved == 0 { endFrame(frame) }
  }
}
