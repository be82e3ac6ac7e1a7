// SPDX-License-Identifier: Apache-2.0

/// What a store with a session keeps of its pages and frames beyond the other tables. Guarded by the engine's lock.
struct SessionTables: @unchecked Sendable {
  /// The level of the session's tier: the last backing of the chain.
  let level: Int
  /// By page index: where the page's copy in the session's tier is, if its place is elsewhere; 0 when there is none.
  let saved: BlockTable
  let pageChanges: ChangeMap
  let frameChanges: ChangeMap
  /// Pages recorded before the checkpoint came to them.
  let early: BlockTable
  /// By group of pages: its first early record, plus one.
  let earlyHeads: Region
  /// Frames that ended while a checkpoint was under way: their numbers are used again after it.
  let ended: BlockTable
  let cut: UnsafeMutablePointer<Cut>

  /// Pages of one block of the index.
  static let pageGroup = 1024

  init(level: Int) throws(StoreError) {
    self.level = level
    saved = try BlockTable(stride: 8, capacity: 1 << 31)
    pageChanges = try ChangeMap(capacity: 1 << 32)
    frameChanges = try ChangeMap(capacity: FrameTable.capacity)
    early = try BlockTable(stride: MemoryLayout<EarlyRecord>.stride, capacity: 1 << 28)
    earlyHeads = try Region(byteCount: (1 << 32) / Self.pageGroup * 4)
    ended = try BlockTable(stride: 4, capacity: FrameTable.capacity)
    cut = .allocate(capacity: 1)
    cut.initialize(to: Cut())
  }

  func unmap() {
    saved.unmap()
    pageChanges.unmap()
    frameChanges.unmap()
    early.unmap()
    earlyHeads.unmap()
    ended.unmap()
    cut.deallocate()
  }

  /// RAM, with so many pages and frames numbered.
  func byteCount(pages: Int, frames: Int) -> Int {
    saved.byteCount + early.byteCount + ended.byteCount + ChangeMap.byteCount(pages) + ChangeMap.byteCount(frames)
      + pages / Self.pageGroup * 4
  }

  @inline(__always) func copy(of page: UInt32) -> Place {
    Place(bits: saved.address(Int(page)).load(as: UInt64.self))
  }

  @inline(__always) func setCopy(of page: UInt32, _ place: Place) {
    saved.address(Int(page)).storeBytes(of: place.bare.bits, as: UInt64.self)
  }

  func earlyHead(_ group: Int) -> UnsafeMutablePointer<UInt32> {
    earlyHeads.base.assumingMemoryBound(to: UInt32.self) + group
  }

  func earlyRecord(_ number: Int) -> UnsafeMutablePointer<EarlyRecord> {
    early.address(number).assumingMemoryBound(to: EarlyRecord.self)
  }
}

/// A page as it was at a cut, recorded because it changed since.
struct EarlyRecord {
  var index: UInt32 = 0
  /// The next one of its group of pages, plus one.
  var next: UInt32 = 0
  var tag: UInt64 = 0
  /// With its generation. Free: there was no page. Pooled: its chunk is to be saved yet, its segment is pinned.
  var place = Place(bits: 0)
  /// The word of a same-filled page.
  var word: UInt64 = 0
}

/// The checkpoint under way.
struct Cut {
  var isActive = false
  /// Records of pages and frames below these numbers belong to it.
  var pageCount = 0
  var frameCount = 0
  var earlyCount = 0
  /// Early records below this one have been saved.
  var earlySaved = 0
  var endedCount = 0
  /// While chunks are being saved: segments older than these, by order of entry, and the number of the pass.
  var savesBelow: UInt64 = 0
  var pass: UInt32 = 0
  var failure: String? = nil
}

/// What changes pages calls these, with the lock. Without a session they do nothing.
extension Engine {
  /// Before a page's contents, tag or state change: the checkpoint under way has it as it was.
  @inline(__always) func noteChange(_ index: UInt32) {
    guard let session = sessionTables else { return }
    if session.pageChanges.isPending(index) { recordEarly(index, session) }
    session.pageChanges.mark(index)
  }

  /// Before a page loses its copy in the session's tier, or has another one.
  @inline(__always) func noteMove(_ index: UInt32) { noteChange(index) }

  @inline(never) private func recordEarly(_ index: UInt32, _ session: SessionTables) {
    session.pageChanges.clearPending(index)
    let cut = session.cut
    if cut.pointee.earlyCount == session.early.count, session.early.append() == nil {
      // 268 million pages changed while one checkpoint was written: it fails, the last one holds.
      cut.pointee.failure = "too many pages changed meanwhile"
      return
    }
    let entry = pages.entry(index)
    var record = EarlyRecord(index: index, tag: entry.pointee.tag, place: entry.pointee.place)
    switch entry.pointee.place.state {
    case .word: record.word = words.value(Int(entry.pointee.place.value))
    case .free: break
    case .pooled, .framed:
      record.place = recordedPlace(index, session)
      if record.place.isDiscardable {
        record.place = .free(next: 0).with(generation: record.place.generation)
      } else if record.place.state == .pooled {
        arena.head(record.place.segment).pointee.pins += 1
      } else {
        recordFrame(record.place.frame, session)
      }
    }
    let head = session.earlyHead(Int(index) / SessionTables.pageGroup)
    record.next = head.pointee
    session.earlyRecord(cut.pointee.earlyCount).pointee = record
    cut.pointee.earlyCount += 1
    head.pointee = UInt32(cut.pointee.earlyCount)
  }

  /// Where a page is in the session's tier, else where it is.
  @inline(__always) func recordedPlace(_ index: UInt32, _ session: SessionTables) -> Place {
    let place = pages.entry(index).pointee.place
    let copy = session.copy(of: index)
    return copy.bits == 0 ? place : copy.with(generation: place.generation)
  }

  /// A page that is recorded is in this frame: if the last checkpoint does not know the frame as it is, this one has to.
  func recordFrame(_ frame: FrameIndex, _ session: SessionTables) {
    if Int(frames.record(frame).pointee.level) != session.level {
      session.cut.pointee.failure = "a frame had not come down to the session's tier"
    }
    if session.frameChanges.isChanged(frame) { session.frameChanges.setPending(frame) }
  }

  /// A page needs its copy in the session's tier no more.
  @inline(__always) func dropCopy(_ index: UInt32) {
    guard let session = sessionTables else { return }
    let copy = session.copy(of: index)
    if copy.bits != 0 { forget(index, copy, session) }
  }

  private func forget(_ index: UInt32, _ copy: Place, _ session: SessionTables) {
    session.setCopy(of: index, Place(bits: 0))
    let record = frames.record(copy.frame)
    let level = levels + Int(record.pointee.level)
    if isSparse(record) { level.pointee.sparseFrames -= 1 }
    record.pointee.live -= 1
    if isSparse(record) { level.pointee.sparseFrames += 1 }
    if record.pointee.live == 0 { endFrame(copy.frame) }
  }

  /// Lets a page be where its copy is: its chunk in RAM is free. False when there is no copy.
  @inline(__always) func demoteToCopy(_ index: UInt32) -> Bool {
    guard let session = sessionTables else { return false }
    let copy = session.copy(of: index)
    guard copy.bits != 0 else { return false }
    let entry = pages.entry(index)
    let old = entry.pointee.place
    session.setCopy(of: index, Place(bits: 0))
    entry.pointee.place = copy.with(generation: old.generation)
    vacate(old)
    levels[Int(frames.record(copy.frame).pointee.level)].pages += 1
    return true
  }

  /// The other way round: a page that gets a place in RAM keeps what it has in the session's tier as its copy. False when it
  /// is not there. The entry is the caller's to change.
  func keepAsCopy(_ index: UInt32, _ place: Place) -> Bool {
    guard let session = sessionTables, place.state == .framed, !place.isDiscardable else { return false }
    let level = Int(frames.record(place.frame).pointee.level)
    guard level == session.level, session.copy(of: index).bits == 0 else { return false }
    session.setCopy(of: index, place)
    levels[level].pages -= 1
    return true
  }

  /// A frame has ended. Its number is used again, while a checkpoint is under way only after it: pages that were recorded
  /// name it.
  func releaseFrame(_ frame: FrameIndex) {
    guard let session = sessionTables else { return frames.release(frame) }
    session.frameChanges.mark(frame)
    guard session.cut.pointee.isActive else { return frames.release(frame) }
    let record = frames.record(frame)
    record.pointee.flags |= FrameRecord.dying
    record.pointee.live = 0
    let number = session.cut.pointee.endedCount
    // There are places for every frame.
    guard number < session.ended.count || session.ended.append() != nil else { return }
    session.ended.address(number).storeBytes(of: frame, as: FrameIndex.self)
    session.cut.pointee.endedCount = number + 1
  }
}
