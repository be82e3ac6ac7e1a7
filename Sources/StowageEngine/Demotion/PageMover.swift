// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier

/// Moving single pages of one segment to a lower page level: decoded, encoded again, appended there.
extension Engine {
  /// The arena had no segment: no failure of a tier, whose codes are never positive.
  static let outOfSegments: Int32 = 1

  func movePages(_ context: Context, _ space: JobSpace, from source: Int, _ segment: SegmentIndex, _ route: Route) {
    let used = Int(arena.head(segment).pointee.used)
    let drops = passesDiscardPoint(from: source, to: route.target)
    var offset = 0
    while offset < used {
      var dropped = discardList(when: drops)
      lock.lock()
      let count = gather(
        segment, from: &offset, to: used, into: space.items, room: JobSpace.batchMax,
        drop: drops ? .discardPoint : nil, &dropped)
      lock.unlock()
      if !dropped.isEmpty { deliver(dropped) }
      let isWhole = encodeBatch(context, space, count, from: source, to: route.target)
      publish(context, space.items, count, from: source, route)
      guard isWhole else { break }
    }
    lock.lock()
    unclaim(segment)
    lock.unlock()
  }

  /// Collects the live chunks of a segment from `offset` on, at most `room`; with `drop`, discardable ones are dropped
  /// instead, with `adopts`, pages that have a copy go there instead. With the lock.
  func gather(
    _ segment: SegmentIndex, from offset: inout Int, to used: Int, into items: UnsafeMutablePointer<Item>,
    room: Int, drop: DropReason?, _ dropped: inout [DroppedPage], adopts: Bool = false
  ) -> Int {
    let base = arena.head(segment).pointee.idBase
    let number = arena.head(segment).pointee.codec
    var count = 0
    while offset < used, count < room, dropped.count < 256 {
      let header = header(segment, offset).pointee
      let length = codec.length(header.lengthAndID)
      let entry = pages.entry(header.owner)
      let place = entry.pointee.place.bare
      let here = self.place(segment, offset, discardable: place.isDiscardable)
      let start = offset + ChunkHeader.byteCount
      offset += aligned(ChunkHeader.byteCount + length)
      guard place == here else { continue }
      if let drop, place.isDiscardable {
        dropped.append(dropPage(header.owner, drop))
        continue
      }
      if adopts, demoteToCopy(header.owner) {
        levels[Int(arena.head(segment).pointee.level)].demoted += 1
        continue
      }
      items[count] = Item(
        owner: header.owner, length: UInt32(length), place: entry.pointee.place,
        id: base + codec.idOffset(header.lengthAndID), address: UnsafeRawPointer(arena.bytes(segment) + start),
        checksum: header.checksum, bin: -1, codec: number, target: Place(bits: 0))
      count += 1
    }
    return count
  }

  /// Encodes a batch into the context's open segment of `target`. False when the tier failed.
  private func encodeBatch(
    _ context: Context, _ space: JobSpace, _ count: Int, from source: Int, to target: Int
  ) -> Bool {
    var began = environment.now()
    var encoded = 0
    var failure = STOWAGE_OK
    for index in 0..<count {
      let item = space.items + index
      guard let page = rawPage(context, item, level: source) else { continue }
      let tries = worthTrying(item.pointee, from: source, to: target)
      failure = encodePage(context, page, owner: item.pointee.owner, to: target, tries: tries, item)
      guard failure == STOWAGE_OK else { break }
      encoded += 1
    }
    let now = environment.now()
    if now < began { began = now }
    lock.lock()
    levels[target].countEncodes(encoded, nanoseconds: now - began)
    if failure == STOWAGE_OK {
      recovered(target)
    } else if failure != Self.outOfSegments {
      degrade(target, tierMessage(failure))
    }
    lock.unlock()
    return failure == STOWAGE_OK
  }

  /// A page that two compressors could not make smaller is moved on raw, without burning CPU at every level.
  private func worthTrying(_ item: Item, from source: Int, to target: Int) -> Bool {
    guard plan.levels[target].isCompressor else { return true }
    return !(plan.levels[source].compressorOrdinal >= 2 && Int(item.length) == pageSize)
  }

  func tierMessage(_ code: Int32) -> String {
    let said = HostTable.lastError()
    return said.isEmpty ? TierResult.name(code) : said
  }

  /// The raw page of a chunk: in place when it is raw, else decoded to the context's first scratch page. Nil when
  /// it is damaged: then it is dropped as unreadable.
  func rawPage(_ context: Context, _ item: UnsafeMutablePointer<Item>, level: Int) -> UnsafeRawPointer? {
    let result = decodeChunk(
      context, codec: Int(item.pointee.codec), item.pointee.address, length: Int(item.pointee.length), id: item.pointee.id,
      checksum: item.pointee.checksum, discardable: item.pointee.place.isDiscardable, into: context.pointee.pageA)
    switch result {
    case .inPlace(let page): return page
    case .decoded: return UnsafeRawPointer(context.pointee.pageA)
    case .failed(let code):
      item.pointee.target = Place(bits: 0)
      guard TierResult.isDamage(code) else {
        lock.withLock { degrade(level, tierMessage(code)) }
        return nil
      }
      dropUnreadable(item.pointee, code)
      return nil
    }
  }

  /// Ends a page that engine work found damaged, if it is still there. Without the lock, on an engine thread.
  func dropUnreadable(_ item: Item, _ code: Int32) {
    lock.lock()
    guard pages.entry(item.owner).pointee.place == item.place else { return lock.unlock() }
    let dropped = dropPage(item.owner, .unreadable)
    lock.unlock()
    deliver([dropped])
  }

  /// Lets the pages of a batch be at their new places, those that are still at their old ones.
  func publish(
    _ context: Context, _ items: UnsafeMutablePointer<Item>, _ count: Int, from source: Int, _ route: Route
  ) {
    var moved = 0
    lock.lock()
    noteCursor(context, route.target)
    for index in 0..<count where items[index].target.bits != 0 {
      let item = items[index]
      let entry = pages.entry(item.owner)
      guard entry.pointee.place == item.place else { continue }
      let length = codec.length(
        header(item.target.segment, Int(item.target.unit) << unitShift).pointee.lengthAndID)
      vacate(item.place)
      occupy(item.target, length: length)
      entry.pointee.place = item.target.with(generation: item.place.generation)
      moved += 1
    }
    unpinUnpublished(context)
    levels[source].demoted += moved
    levels[route.target].entered += moved
    countSkipped(route, pages: moved)
    lock.unlock()
  }

  /// What an encoding may take to be worth keeping. At the packing level a chunk of nearly a page would have a frame to
  /// itself anyway; raw it costs no more there, and nothing to decode.
  func longestChunk(_ level: Int) -> Int { pageSize - (level == plan.packingLevel ? pageSize / 16 : 1) }

  /// Tells the tables how far a context has appended. With the lock.
  func noteCursor(_ context: Context, _ level: Int) {
    let segment = context.pointee.open[level]
    if segment != noSegment { arena.head(segment).pointee.used = UInt32(context.pointee.cursor[level]) }
  }

  /// Encodes a page to the end of the context's open segment of `level`; `item` gets the place. Without the lock.
  /// - Parameter tries: otherwise it is kept raw.
  /// - Returns: the tier's result; TOO_BIG is no failure, the page is kept raw then. Or `outOfSegments`.
  func encodePage(
    _ context: Context, _ page: UnsafeRawPointer, owner: UInt32, to level: Int, tries: Bool,
    _ item: UnsafeMutablePointer<Item>
  ) -> Int32 {
    item.pointee.target = Place(bits: 0)
    let id = nextID(context, level)
    guard ensureOpen(context, level, room: ChunkHeader.byteCount + unit * 4, id: id) else { return Self.outOfSegments }
    let tier = calls[level].unsafelyUnwrapped
    let isCompressor = plan.levels[level].isCompressor
    let room = segmentSize - context.pointee.cursor[level] - ChunkHeader.byteCount
    let isDirect = room >= pageSize
    var output = isDirect ? appendAddress(context, level) : context.pointee.pageB
    var length = pageSize
    if tries {
      var object = stowage_object(
        id: id, epoch: tier.epoch, length: UInt32(pageSize),
        flags: item.pointee.place.isDiscardable ? UInt32(STOWAGE_OBJECT_DISCARDABLE) : 0, reserved: 0)
      let most = isCompressor ? longestChunk(level) : pageSize
      var written = 0
      let result = tier.encode(
        context.pointee.tiers[level], &object, page, output, room: most, length: &written, sidecar: nil)
      if result == STOWAGE_OK, written > 0, written <= most {
        length = written
      } else if result != STOWAGE_TOO_BIG || !isCompressor {
        return result == STOWAGE_OK ? STOWAGE_INVALID : result
      }
    }
    let isRaw = isCompressor && length == pageSize
    if !isDirect || isRaw {
      guard ensureOpen(context, level, room: ChunkHeader.byteCount + length, id: id) else { return Self.outOfSegments }
      let place = appendAddress(context, level)
      place.copyMemory(from: isRaw ? page : UnsafeRawPointer(output), byteCount: length)
      output = place
    }
    let sum = checksum(output, length, id: id, epoch: tier.epoch)
    item.pointee.target = append(
      context, level, length: length, owner: owner, id: id, checksum: sum,
      discardable: item.pointee.place.isDiscardable)
    return STOWAGE_OK
  }
}
