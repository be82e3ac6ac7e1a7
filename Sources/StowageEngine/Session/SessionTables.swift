// SPDX-License-Identifier: Apache-2.0

/// What a store with a session keeps of its pages and frames beyond the other tables. Guarded by the engine's lock.
///
/// A page's *copy* is where it is in the session's tier while its place is elsewhere: a checkpoint made it, or the page was
/// brought back into RAM. Of a copy and a place there, the copy is what the index records. A persistent page whose record
/// would name neither has its change mark set.
struct SessionTables: @unchecked Sendable {
  /// The level of the session's tier: the last backing of the chain.
  let level: Int
  /// By page index: the copy, 0 when there is none.
  private let copies: BlockTable
  /// Pages and frames that are not as the last checkpoint recorded them.
  let pageChanges: ChangeMap
  let frameChanges: ChangeMap
  /// Frames in the session's tier by the number of their codec, then by that of their transform set; then copies;
  /// then RAM that the notes of deltas take.
  private let counts: UnsafeMutablePointer<Int>
  private static let copyCount = 512
  private static let noteBytes = 513

  init(level: Int) throws(StoreError) {
    self.level = level
    copies = try BlockTable(stride: 8, capacity: 1 << 31)
    pageChanges = try ChangeMap(capacity: 1 << 31)
    frameChanges = try ChangeMap(capacity: FrameTable.capacity)
    counts = .allocate(capacity: 514)
    counts.initialize(repeating: 0, count: 514)
  }

  func unmap() {
    copies.unmap()
    pageChanges.unmap()
    frameChanges.unmap()
    counts.deallocate()
  }

  /// A frame came to be in the session's tier, or is there no more.
  func count(_ record: FrameRecord, by step: Int) {
    counts[Int(record.codec)] += step
    counts[256 + Int(record.transforms)] += step
  }

  func frames(codec: Int) -> Int { counts[codec] }
  func frames(transforms: Int) -> Int { counts[256 + transforms] }

  /// RAM, with so many pages and frames numbered.
  func byteCount(pages: Int, frames: Int) -> Int {
    copies.byteCount + ChangeMap.byteCount(pages) + ChangeMap.byteCount(frames) + counts[Self.noteBytes]
  }

  /// These are the deltas of the index now.
  func noteDeltas(_ deltas: [DeltaNote]) { counts[Self.noteBytes] = deltas.reduce(0) { $0 + $1.byteCount } }

  /// What room for one page more than `pages` would add.
  func growth(_ pages: Int) -> Int { copies.count <= pages ? copies.growth() : 0 }

  /// Has room for more than `pages`.
  func grow(_ pages: Int) {
    let missing = pages + 1 - copies.count
    if missing > 0 { _ = copies.append(missing, isPresent: missing <= 4096) }
  }

  @inline(__always) func copy(of page: UInt32) -> Place {
    Place(bits: copies.address(Int(page)).load(as: UInt64.self))
  }

  @inline(__always) func setCopy(of page: UInt32, _ place: Place) {
    let address = copies.address(Int(page))
    counts[Self.copyCount] += (place.bare.bits != 0 ? 1 : 0) - (address.load(as: UInt64.self) != 0 ? 1 : 0)
    address.storeBytes(of: place.bare.bits, as: UInt64.self)
  }

  /// Pages that have one.
  var copyCount: Int { counts[Self.copyCount] }
}

/// What changes pages calls these, with the lock. Without a session they do nothing.
extension Engine {
  /// A page began, ended, or has other contents, or is somewhere else in the session's tier.
  @inline(__always) func noteChange(_ index: UInt32) {
    if let session { session.pageChanges.mark(index) }
  }

  /// A frame came to be in the session's tier, or ended.
  @inline(__always) func noteFrame(_ frame: FrameIndex) {
    if let session { session.frameChanges.mark(frame) }
  }

  /// Where the index says that a page is: nil when that is not in the session's tier.
  @inline(__always) func recordedPlace(_ index: UInt32, _ session: SessionTables) -> Place? {
    let copy = session.copy(of: index)
    if copy.bits != 0 { return copy }
    let place = pages.entry(index).pointee.place
    guard place.state == .framed, Int(frames.record(place.frame).pointee.level) == session.level else { return nil }
    return place
  }

  /// A page ends, or has other contents than its copy.
  @inline(__always) func dropCopy(_ index: UInt32) {
    guard let session else { return }
    let copy = session.copy(of: index)
    if copy.bits != 0 { forget(index, copy, session) }
  }

  private func forget(_ index: UInt32, _ copy: Place, _ session: SessionTables) {
    session.setCopy(of: index, Place(bits: 0))
    session.pageChanges.mark(index)
    let record = frames.record(copy.frame)
    guard !frames.isUnsettled(copy.frame) else { return leaveUnsettled(record, index) }
    let level = levels + Int(record.pointee.level)
    if isSparse(record) { level.pointee.sparseFrames -= 1 }
    record.pointee.live -= 1
    if isSparse(record) {
      level.pointee.sparseFrames += 1
      level.pointee.sparseRestUntil = 0
    }
    if record.pointee.live == 0 { endFrame(copy.frame) }
  }

  /// A page leaves a frame whose live chunks are still being counted: it was counted already, or will not be.
  func leaveUnsettled(_ record: UnsafeMutablePointer<FrameRecord>, _ owner: UInt32) {
    if owner >= pages.unlinked, record.pointee.live > 0 { record.pointee.live -= 1 }
  }

  /// Lets go of the copies that a frame holds: it is damaged, or about to be taken apart.
  func dropCopies(in frame: FrameIndex) {
    guard let session, Int(frames.record(frame).pointee.level) == session.level else { return }
    let record = frames.record(frame)
    // With its last page the frame ends, and its places are others'.
    for ordinal in 0..<Int(record.pointee.count) where record.pointee.live > 0 {
      let owner = frames.place(record, ordinal).pointee.owner
      let copy = session.copy(of: owner)
      if copy == Place.framed(frame, ordinal: ordinal, discardable: false) { forget(owner, copy, session) }
    }
  }

  /// Lets a page be where its copy is: its chunk in RAM is free. False when there is no copy.
  @inline(__always) func demoteToCopy(_ index: UInt32) -> Bool {
    guard let session else { return false }
    let copy = session.copy(of: index)
    guard copy.bits != 0 else { return false }
    let entry = pages.entry(index)
    let old = entry.pointee.place
    session.setCopy(of: index, Place(bits: 0))
    entry.pointee.place = copy.with(generation: old.generation)
    vacate(old)
    levels[session.level].pages += 1
    levels[session.level].entered += 1
    return true
  }

  /// A page that gets a place in RAM with the same contents keeps what it has in the session's tier as its copy: nothing
  /// of that is freed then. False when its place is not there.
  func keepAsCopy(_ index: UInt32, _ place: Place) -> Bool {
    guard let session, place.state == .framed, !place.isDiscardable else { return false }
    guard Int(frames.record(place.frame).pointee.level) == session.level, session.copy(of: index).bits == 0 else {
      return false
    }
    session.setCopy(of: index, place)
    levels[session.level].pages -= 1
    return true
  }
}
