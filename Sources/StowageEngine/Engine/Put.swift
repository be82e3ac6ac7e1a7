// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// put and replace.
extension Engine {
  func put(_ page: UnsafeRawBufferPointer, tag: UInt64, kind: PageKind) throws(StoreError) -> Handle {
    let source = try checked(page)
    let discardable = kind == .discardable
    var word: UInt64 = 0
    if stowage_same_filled(source, pageSize, &word) != 0 {
      return try putWord(word, source, tag: tag, discardable: discardable)
    }
    if putsThrough.load(ordering: .relaxed), let handle = try putThrough(source, tag, discardable) { return handle }
    lock.lock()
    let (segment, offset): (SegmentIndex, Int)
    do { (segment, offset) = try reserveRaw(entries: 1) } catch {
      lock.unlock()
      throw error
    }
    let index = pages.allocate().unsafelyUnwrapped
    noteChange(index)
    state.pointee.puts += 1
    lock.unlock()

    copyRaw(source, segment, offset, owner: index)
    let sum = sum(of: source)

    lock.lock()
    noteSum(index, sum)
    let place = place(segment, offset, discardable: discardable)
    let handle = begin(index, tag, place)
    occupy(place, length: pageSize)
    levels[0].entered += 1
    state.pointee.puts -= 1
    unpinStore(segment)
    lock.unlock()
    return handle
  }

  @inline(__always) func checked(_ page: UnsafeRawBufferPointer) throws(StoreError) -> UnsafeRawPointer {
    guard page.count == pageSize, let source = page.baseAddress else {
      throw .wrongSize(given: page.count, pageSize: pageSize)
    }
    return source
  }

  /// Makes an allocated entry a page. With the lock.
  @inline(__always) func begin(_ index: UInt32, _ tag: UInt64, _ place: Place) -> Handle {
    let entry = pages.entry(index)
    let generation = entry.pointee.place.generation
    entry.pointee.tag = tag
    entry.pointee.place = place.with(generation: generation)
    noteChange(index)
    state.pointee.putCount += 1
    if place.isDiscardable { state.pointee.discardablePages += 1 }
    return Handle(index: index, generation: generation)
  }

  @inline(__always) private func copyRaw(
    _ source: UnsafeRawPointer, _ segment: SegmentIndex, _ offset: Int, owner: UInt32
  ) {
    header(segment, offset).pointee = ChunkHeader(
      owner: owner, lengthAndID: codec.pack(length: pageSize, idOffset: 0), checksum: 0)
    chunkAddress(segment, offset + ChunkHeader.byteCount).copyMemory(from: source, byteCount: pageSize)
  }

  @inline(__always) private func unpinStore(_ segment: SegmentIndex) {
    let head = arena.head(segment)
    head.pointee.pins -= 1
    if head.pointee.pins == 0, head.pointee.state == .sealed {
      if head.pointee.count == 0 { releaseSealed(segment) }
      if levels[0].segments > levels[0].high || state.pointee.putWaiters > 0 || state.pointee.flushes > 0 {
        work.notifyOne()
      }
    }
  }

  /// The end-to-end checksum of a page, when they are kept. Needs no lock.
  @inline(__always) private func sum(of source: UnsafeRawPointer) -> UInt64? {
    pageSums == nil ? nil : stowage_hash64(source, pageSize, 0)
  }

  /// The table has the place already. With the lock.
  @inline(__always) private func noteSum(_ index: UInt32, _ sum: UInt64?) {
    if let pageSums, let sum { pageSums.address(Int(index)).storeBytes(of: sum, as: UInt64.self) }
  }

  private func putWord(_ word: UInt64, _ source: UnsafeRawPointer, tag: UInt64, discardable: Bool)
    throws(StoreError) -> Handle
  {
    let sum = sum(of: source)
    lock.lock()
    defer { lock.unlock() }
    try waitForTables(entries: 1, word: word)
    guard let number = words.add(word) else { throw .full("all numbers of same-filled pages are used") }
    let index = pages.allocate().unsafelyUnwrapped
    noteSum(index, sum)
    state.pointee.sameFilled += 1
    return begin(index, tag, .word(number, discardable: discardable))
  }

  func replace(_ handle: Handle, with page: UnsafeRawBufferPointer) throws(StoreError) {
    let source = try checked(page)
    try ready(handle)
    try exchange(handle, source, expected: nil)
    lock.withLock { state.pointee.replaceCount += 1 }
  }

  /// Gives a handle new contents, at the young end; with `expected` only while the page still has the contents that it had
  /// then. False when it has not.
  @discardableResult func exchange(_ handle: Handle, _ source: UnsafeRawPointer, expected: Origin?)
    throws(StoreError) -> Bool
  {
    var word: UInt64 = 0
    let isWord = stowage_same_filled(source, pageSize, &word) != 0
    let sum = sum(of: source)
    lock.lock()
    defer { lock.unlock() }
    guard let entry = find(handle) else { throw staleOrClosed(handle) }
    let discardable = entry.pointee.place.isDiscardable
    if isWord {
      try waitForTables(entries: 0, word: word)
      guard let number = words.add(word) else { throw .full("all numbers of same-filled pages are used") }
      guard let entry = find(handle), hasContents(entry, expected) else {
        words.remove(number)
        return try goneDuring(handle)
      }
      state.pointee.sameFilled += 1
      settle(handle, entry, .word(number, discardable: discardable), sum, isSame: false)
      return true
    }
    let (segment, offset) = try reserveRaw(entries: 0, givesUp: expected != nil)
    state.pointee.puts += 1
    lock.unlock()
    copyRaw(source, segment, offset, owner: handle.index)
    lock.lock()
    state.pointee.puts -= 1
    defer { unpinStore(segment) }
    guard let entry = find(handle), hasContents(entry, expected) else {
      return try goneDuring(handle)
    }
    let place = place(segment, offset, discardable: discardable)
    occupy(place, length: pageSize)
    levels[0].entered += 1
    settle(handle, entry, place, sum, isSame: expected != nil)
    return true
  }

  private func hasContents(_ entry: UnsafeMutablePointer<PageEntry>, _ expected: Origin?) -> Bool {
    expected.map { isStill(entry, $0) } ?? true
  }

  private func goneDuring(_ handle: Handle) throws(StoreError) -> Bool {
    guard find(handle) != nil else { throw .staleHandle(handle) }
    return false
  }

  private func settle(
    _ handle: Handle, _ entry: UnsafeMutablePointer<PageEntry>, _ place: Place, _ sum: UInt64?, isSame: Bool
  ) {
    let old = entry.pointee.place
    entry.pointee.place = place.with(generation: old.generation)
    noteSum(handle.index, sum)
    if isSame {
      // The index goes on naming what the page has in the session's tier.
      if !keepAsCopy(handle.index, old) { vacate(old) }
      if let session, session.copy(of: handle.index).bits == 0 { noteChange(handle.index) }
    } else {
      vacate(old)
      noteChange(handle.index)
      dropCopy(handle.index)
    }
  }

  /// The entry of a handle; none any more when the store was suspended, as what would change now would be lost.
  @inline(__always) func find(_ handle: Handle) -> UnsafeMutablePointer<PageEntry>? {
    state.pointee.isSuspended ? nil : pages.find(handle)
  }

  func staleOrClosed(_ handle: Handle) -> StoreError {
    state.pointee.isClosing ? .closed : .staleHandle(handle)
  }
}

/// Putting without a stop in the store.
extension Engine {
  /// Encodes a page on the caller's thread into the first page level that takes it; the store has no room of its own
  /// then. Nil when none does now: the page goes the ordinary way.
  func putThrough(_ source: UnsafeRawPointer, _ tag: UInt64, _ discardable: Bool) throws(StoreError) -> Handle? {
    let context = try acquire()
    defer { callers.release(context) }
    // A tier without a context to encode with for the moment: the page goes the ordinary way.
    guard prepareToEncode(context) else { return nil }
    let sum = sum(of: source)
    lock.lock()
    guard let target = straightTarget, let growth = straightGrowth(context, target), !state.pointee.isClosing,
      !state.pointee.holdsPuts
    else {
      lock.unlock()
      return nil
    }
    growSums(entries: 1)
    guard let index = pages.allocate() else {
      lock.unlock()
      return nil
    }
    noteChange(index)
    state.pointee.puts += 1
    lock.unlock()
    let before = context.pointee.open[target]
    var item = Item(
      owner: index, length: UInt32(pageSize),
      place: Place(state: .free, discardable: discardable, value: 0), id: 0, address: source, checksum: 0, bin: -1,
      target: Place(bits: 0))
    let result = encodePage(context, source, owner: index, to: target, tries: true, &item)
    lock.lock()
    defer { lock.unlock() }
    state.pointee.puts -= 1
    defer { unpinUnpublished(context) }
    guard result == STOWAGE_OK else {
      if result != Self.outOfSegments { degrade(target, tierMessage(result)) }
      pages.release(index)
      return nil
    }
    noteCursor(context, target)
    let length = codec.length(header(item.target.segment, Int(item.target.unit) << unitShift).pointee.lengthAndID)
    occupy(item.target, length: length)
    levels[target].entered += 1
    noteSum(index, sum)
    if levels[target].segments > levels[target].high { work.notifyOne() }
    if growth > 0 || context.pointee.open[target] != before { try rebalance() }
    return begin(index, tag, item.target)
  }

  /// The first page level that takes pages now, unless they would pass a discard point on the way. With the lock.
  @inline(__always) private var straightTarget: Int? {
    for index in 1..<max(levelCount, 1) {
      if plan.levels[index].isDiscardPoint { return nil }
      guard plan.levels[index].role == .page, levels[index].limit > 0 else { continue }
      // What time it is matters only where something failed.
      if levels[index].isDegraded, isDegraded(index, environment.now()) { continue }
      return index
    }
    return nil
  }

  /// What one page more at `target` adds to the tables; nil when there is no room for it: in the context's open segment, else
  /// for a segment; and in the tables. With the lock.
  @inline(__always) private func straightGrowth(_ context: Context, _ target: Int) -> Int? {
    guard fitsOpenSegment(context, target) || (hasRoom(target) && hasRoomForPut) else { return nil }
    let growth = pages.growth + sumsGrowth
    return hasRoomForTables(growth) ? growth : nil
  }

  /// Whether a page goes into the context's open segment however long its chunk, and whatever ids others take meanwhile.
  @inline(__always) private func fitsOpenSegment(_ context: Context, _ target: Int) -> Bool {
    let segment = context.pointee.open[target]
    guard segment != noSegment, context.pointee.cursor[target] + ChunkHeader.byteCount + pageSize <= segmentSize else {
      return false
    }
    let ids = context.pointee.ids[target]
    let id = ids.isEmpty ? levels[target].nextID : ids.lowerBound
    return codec.fits(id &+ ChunkCodec.baseStep, base: arena.head(segment).pointee.idBase)
  }
}
