// SPDX-License-Identifier: Apache-2.0
import CStowageSystem

/// All pages, by the index in their handles. Guarded by the engine's lock.
struct PageTable: @unchecked Sendable {
  let table: BlockTable
  private let state: UnsafeMutablePointer<State>

  private struct State {
    var free: UInt64 = 0
    var live = 0
    /// Pages to come get at least this generation, and none this one or a later one; the latest that was given or is
    /// to be given next.
    var floor: UInt32 = 1
    var limit = Place.generationMax + 1
    var latest: UInt32 = 1
    /// Entries whose next generation is not below the limit yet, linked as the free ones are.
    var parked: UInt64 = 0
    var parkedCount = 0
    /// While a session is resumed: entries below are not all read yet, and those that are free are not linked.
    var unlinked: UInt32 = 0
  }

  /// Page numbers have 32 bits; address space for as many is reserved.
  init() throws(StoreError) {
    table = try BlockTable(stride: MemoryLayout<PageEntry>.stride, capacity: 1 << 31)
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  func unmap() {
    table.unmap()
    state.deallocate()
  }

  var live: Int { state.pointee.live }
  /// Entries that wait for the next limit.
  var parkedCount: Int { state.pointee.parkedCount }
  var byteCount: Int { table.byteCount }
  /// What the next `allocate` would add to `byteCount`.
  var growth: Int { state.pointee.free != 0 ? 0 : table.growth() }

  @inline(__always) func entry(_ index: UInt32) -> UnsafeMutablePointer<PageEntry> {
    table.address(Int(index)).assumingMemoryBound(to: PageEntry.self)
  }

  /// An entry for a page to come; nil when all numbers are used. It stays free in the eyes of `find` until its
  /// place is set.
  @inline(__always) func allocate() -> UInt32? {
    let next = state.pointee.free
    guard next != 0 else { return append() }
    let index = UInt32(truncatingIfNeeded: next - 1)
    let place = entry(index).pointee.place
    state.pointee.free = place.value
    state.pointee.live += 1
    if place.generation < state.pointee.floor { entry(index).pointee.place = place.with(generation: state.pointee.floor) }
    return index
  }

  private func append() -> UInt32? {
    guard let index = table.append() else { return nil }
    // Generations start at 1, so that no handle is 0.
    entry(UInt32(index)).initialize(
      to: PageEntry(tag: 0, place: Place.free(next: 0).with(generation: state.pointee.floor)))
    state.pointee.live += 1
    return UInt32(index)
  }

  /// Ends an entry: its handles are stale from here on. The last generation retires the entry.
  @inline(__always) func release(_ index: UInt32) {
    let entry = entry(index)
    let generation = entry.pointee.place.generation
    state.pointee.live -= 1
    guard index >= state.pointee.unlinked else { return releaseUnlinked(entry, generation) }
    guard generation + 1 < state.pointee.limit else { return park(index, entry, generation) }
    if generation >= state.pointee.latest { state.pointee.latest = generation + 1 }
    entry.pointee.place = Place.free(next: state.pointee.free).with(generation: generation + 1)
    state.pointee.free = UInt64(index) + 1
  }

  @inline(never) private func park(_ index: UInt32, _ entry: UnsafeMutablePointer<PageEntry>, _ generation: UInt32) {
    guard generation < Place.generationMax else {
      entry.pointee.place = Place.free(next: 0).with(generation: 0)
      return
    }
    entry.pointee.place = Place.free(next: state.pointee.parked).with(generation: generation + 1)
    state.pointee.parked = UInt64(index) + 1
    state.pointee.parkedCount += 1
    state.pointee.latest = max(state.pointee.latest, generation + 1)
  }

  /// Asks for a handle's entry to be in the cache soon, whether it is there or not. Needs no lock.
  @inline(__always) func prefetch(_ handle: Handle) { stowage_prefetch(entry(handle.index)) }

  /// The entry of a handle, or nil when it is stale.
  @inline(__always) func find(_ handle: Handle) -> UnsafeMutablePointer<PageEntry>? {
    let index = handle.index
    guard Int(index) < table.count else { return nil }
    let entry = entry(index)
    let place = entry.pointee.place
    guard place.generation == handle.generation, place.state != .free else { return nil }
    return entry
  }
}

/// Generations across runs: a run that is not known to the next one, as it ended between two checkpoints, gave none at or
/// past the limit that was recorded; the next run begins there.
extension PageTable {
  /// A limit for what is given until the next one is recorded.
  var nextLimit: UInt32 { max(state.pointee.latest, state.pointee.floor) + 256 }

  /// Nothing from there on is given any more.
  func lowerLimit(to limit: UInt32) { state.pointee.limit = min(state.pointee.limit, limit) }

  /// Once it is recorded: entries that had waited for it are free.
  func setLimit(_ limit: UInt32) {
    state.pointee.limit = min(limit, Place.generationMax + 1)
    var next = state.pointee.parked
    state.pointee.parked = 0
    state.pointee.parkedCount = 0
    while next != 0 {
      let own = next
      let entry = entry(UInt32(own - 1))
      let place = entry.pointee.place
      next = place.value
      let isFree = place.generation < state.pointee.limit
      entry.pointee.place =
        Place.free(next: isFree ? state.pointee.free : state.pointee.parked).with(generation: place.generation)
      if isFree {
        state.pointee.free = own
      } else {
        state.pointee.parked = own
        state.pointee.parkedCount += 1
      }
    }
  }

  func setFloor(_ floor: UInt32) {
    state.pointee.floor = max(1, floor)
    state.pointee.latest = max(state.pointee.latest, state.pointee.floor)
  }

  func restore(_ index: UInt32, tag: UInt64, _ place: Place) {
    entry(index).initialize(to: PageEntry(tag: tag, place: place))
  }
}

/// Entries of a session that is resumed: they are read one after the other while others are used. Those that are free are
/// linked, from the last to the first, when all are read.
extension PageTable {
  /// Makes an empty table one of `count` entries with `live` pages.
  func extend(to count: Int, live: Int) -> Bool {
    guard count == 0 || table.append(count, isPresent: false) != nil else { return false }
    state.pointee.live = live
    state.pointee.unlinked = UInt32(count)
    return true
  }

  /// Entries below are not linked yet.
  var unlinked: UInt32 { state.pointee.unlinked }

  @inline(never) private func releaseUnlinked(_ entry: UnsafeMutablePointer<PageEntry>, _ generation: UInt32) {
    // Without a generation when all of them are used.
    let next = generation < Place.generationMax ? generation + 1 : 0
    entry.pointee.place = Place.free(next: 0).with(generation: next)
  }

  /// The next entry, downwards, counts from here on.
  func linkOne() {
    let index = state.pointee.unlinked - 1
    state.pointee.unlinked = index
    let entry = entry(index)
    let place = entry.pointee.place
    guard place.state == .free, place.generation > 0 else { return }
    guard place.generation < state.pointee.limit else { return park(index, entry, place.generation - 1) }
    entry.pointee.place = Place.free(next: state.pointee.free).with(generation: place.generation)
    state.pointee.free = UInt64(index) + 1
  }
}

/// The words of same-filled pages, by a number of 37 bits. Guarded by the engine's lock.
///
/// A word that fits 36 bits, signed, as zero does, is its own number, with a bit above it: no record, and no line to fetch.
struct WordTable: @unchecked Sendable {
  private let table: BlockTable
  private let free: UnsafeMutablePointer<UInt64>

  init() throws(StoreError) {
    table = try BlockTable(stride: 8, capacity: 1 << 31)
    free = .allocate(capacity: 1)
    free.initialize(to: 0)
  }

  func unmap() {
    table.unmap()
    free.deallocate()
  }

  var byteCount: Int { table.byteCount }
  /// What the next `add` would add to `byteCount` at most; and that of a word.
  var growth: Int { free.pointee != 0 ? 0 : table.growth() }
  @inline(__always) func growth(for word: UInt64) -> Int { Self.own(word) == nil ? growth : 0 }

  private static let isOwn = 1 << 36

  @inline(__always) private static func own(_ word: UInt64) -> Int? {
    let value = Int(bitPattern: UInt(word))
    return (value << 28) >> 28 == value ? value & (isOwn - 1) | isOwn : nil
  }

  @inline(__always) private func word(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    table.address(index).assumingMemoryBound(to: UInt64.self)
  }

  func add(_ value: UInt64) -> Int? {
    if let own = Self.own(value) { return own }
    var index: Int
    if free.pointee != 0 {
      index = Int(free.pointee - 1)
      free.pointee = word(index).pointee
    } else {
      guard let appended = table.append() else { return nil }
      index = appended
    }
    word(index).pointee = value
    return index
  }

  func value(_ index: Int) -> UInt64 {
    index & Self.isOwn != 0 ? UInt64(bitPattern: Int64((index << 28) >> 28)) : word(index).pointee
  }

  func remove(_ index: Int) {
    guard index & Self.isOwn == 0 else { return }
    word(index).pointee = free.pointee
    free.pointee = UInt64(index) + 1
  }
}
