// SPDX-License-Identifier: Apache-2.0
import CStowageSystem

/// Taking the pages of one session over to another, under the handles that they have.
extension Engine {
  func adopt(_ other: Engine) throws(StoreError) -> [PageSummary] {
    guard let keeper, keeper.root?.isEmpty ?? true || keeper.sequence == 0, lock.withLock({ pages.table.count == 0 })
    else {
      throw .configuration("pages are taken over to a store whose session was just begun, and that has no page yet")
    }
    var adopted: [PageSummary] = []
    try other.forEachPage { adopted.append($0) }
    guard let floor = other.lock.withLock({ other.keeper?.last?.generationLimit }), other.pageSize == pageSize else {
      throw .configuration(
        "pages are taken over from a session that was resumed or is looked at, with pages of the same size")
    }
    guard floor <= Place.generationMax / 2 else {
      throw .session(.tier, "the session's handles are used up; its pages need new ones, in a new session")
    }
    let zeros = pageSums == nil ? 0 : sumOfZeros()
    let entries = other.lock.withLock { other.pages.table.count }
    try lock.withLock { () throws(StoreError) in try adopt(adopted, entries: entries, floor: floor, sum: zeros) }
    return adopted
  }

  private func sumOfZeros() -> UInt64 {
    let page = UnsafeMutableRawPointer.allocate(byteCount: pageSize, alignment: 4096)
    defer { page.deallocate() }
    page.initializeMemory(as: UInt8.self, repeating: 0, count: pageSize)
    return stowage_hash64(page, pageSize, 0)
  }

  /// With the lock. Each page is one of zeros at first. Handles that the other session gave and does not have any more are
  /// below the floor, and so never given here.
  private func adopt(_ adopted: [PageSummary], entries: Int, floor: UInt32, sum: UInt64) throws(StoreError) {
    let each = MemoryLayout<PageEntry>.stride + MemoryLayout<UInt64>.stride + (pageSums == nil ? 0 : 8)
    let needed = entries * each + adopted.count * 8 + (session?.growth(entries) ?? 0)
    guard hasRoomBesidePools(needed) else {
      throw .full(
        "the tables of \(adopted.count) pages take \(needed) bytes of RAM, which is more than the limit leaves")
    }
    pages.setFloor(floor)
    guard pages.extend(to: entries, live: adopted.count) else { throw .full("there are no more numbers for pages") }
    growSums(entries: 1)
    for index in 0..<entries { pages.restore(UInt32(index), tag: 0, Place.free(next: 0).with(generation: floor)) }
    for page in adopted {
      let index = page.handle.index
      guard Int(index) < entries, page.handle.generation < floor, let word = words.add(0) else {
        throw .session(.damaged, "the session has page \(page.handle), which it cannot have given")
      }
      let place = Place.word(word, discardable: false).with(generation: page.handle.generation)
      pages.restore(index, tag: page.tag, place)
      pageSums?.address(Int(index)).storeBytes(of: sum, as: UInt64.self)
      state.pointee.sameFilled += 1
      noteChange(index)
    }
    while pages.unlinked > 0 { pages.linkOne() }
    try rebalance(force: true)
  }
}
