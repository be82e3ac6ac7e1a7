// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier

/// What a checkpoint's pass saves next.
extension PageSaver {
  /// Pages looked at in one section under the lock.
  private static let sectionMax = 128

  /// Collects chunks of one codec; the reader's mark keeps them in place. What their headers tell comes later: a look at
  /// each is a cache miss, and under the lock everybody would wait for it.
  ///
  /// - Returns: `mark` is the reader's mark that is enough for this batch.
  func gather(_ space: JobSpace) -> (count: Int, codec: UInt8, mark: UInt64) {
    var count = 0
    var codec: UInt8 = 0
    var isMore = true
    let mark = engine.lock.withLock { engine.beginReadingOn(context) }
    while isMore {
      engine.lock.withLock {
        if count == 0 { codec = keeper.pass.codec }
        guard keeper.pass.isActive, keeper.pass.codec == codec else {
          isMore = false
          return
        }
        isMore = gatherSome(space, codec, &count)
      }
    }
    readHeaders(space, count)
    return (count, codec, mark)
  }

  /// With the lock. False when there is enough, or nothing left of the pass.
  private func gatherSome(_ space: JobSpace, _ codec: UInt8, _ count: inout Int) -> Bool {
    // Raw pages are encoded into two segments; chunks are sixteen segments' worth at most.
    let perSegment = engine.segmentSize / engine.pageSize
    let most = min(JobSpace.itemsMax / 2, codec == 0 ? 2 * (perSegment - 1) : 16 * perSegment)
    let end = engine.pages.table.count
    for _ in 0..<Self.sectionMax {
      guard count < most else { return false }
      guard let index = session.pageChanges.next(from: keeper.pass.cursor, below: end) else {
        guard let next = keeper.pass.next else {
          self.end()
          return false
        }
        (keeper.pass.codec, keeper.pass.next, keeper.pass.cursor) = (next, nil, 0)
        return count == 0
      }
      keeper.pass.cursor = Int(index) + 1
      let place = engine.pages.entry(index).pointee.place
      guard place.state == .pooled, !place.isDiscardable, session.copy(of: index).bits == 0 else { continue }
      let own = engine.arena.head(place.segment).pointee.codec
      if own == codec {
        space.items[count] = item(of: index, place)
        count += 1
      } else if own > codec {
        keeper.pass.next = min(keeper.pass.next ?? own, own)
      }
    }
    return true
  }

  /// A chunk without what its header says. With the lock.
  private func item(of index: UInt32, _ place: Place) -> Item {
    let head = engine.arena.head(place.segment)
    let offset = Int(place.unit) << engine.unitShift
    return Item(
      owner: index, length: 0, place: place, id: head.pointee.idBase,
      address: UnsafeRawPointer(engine.arena.bytes(place.segment) + offset + ChunkHeader.byteCount), checksum: 0, bin: -1,
      codec: head.pointee.codec, target: Place(bits: 0))
  }

  /// Needs no lock: what is read here of a chunk's header does not change while the segment is not given away.
  private func readHeaders(_ space: JobSpace, _ count: Int) {
    func header(_ index: Int) -> UnsafeRawPointer { space.items[index].address - ChunkHeader.byteCount }
    for index in 0..<count {
      if index + Self.headersAhead < count { stowage_prefetch(header(index + Self.headersAhead)) }
      let header = header(index).assumingMemoryBound(to: ChunkHeader.self)
      let item = space.items + index
      let lengthAndID = header.pointee.lengthAndID
      item.pointee.length = UInt32(engine.codec.length(lengthAndID))
      item.pointee.id += engine.codec.idOffset(lengthAndID)
      item.pointee.checksum = header.pointee.checksum
    }
  }

  private static let headersAhead = 16

  /// Leaves damaged chunks out: their pages are unreadable.
  func verified(_ space: JobSpace, _ count: Int) -> Int {
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
}
