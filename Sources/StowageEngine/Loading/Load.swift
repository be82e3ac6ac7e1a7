// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier

/// take, peek, touch and discard.
///
/// A load is optimistic: the place is read under the lock, the page is decoded without it, and what ends or moves the
/// page compares the place again, and that it is still the same use of it. So a page is given back by exactly one take, with the contents that it had when that
/// take ended it.
extension Engine {
  /// How one attempt to load ended.
  enum Loaded {
    case done
    /// The tier at that level could not give it now.
    case unavailable(level: Int, Int32)
    /// It is damaged for good.
    case damaged(level: Int, Int32)
  }

  func take(_ handle: Handle, into page: UnsafeMutableRawPointer) throws(StoreError) -> UInt64 {
    try ready(handle)
    pages.prefetch(handle)
    let context = try acquire()
    // The mark stays until the place was compared: meanwhile no segment is reused.
    defer {
      endReading(context)
      callers.release(context)
    }
    while true {
      lock.lock()
      guard let entry = find(handle) else {
        lock.unlock()
        throw lock.withLock { staleOrClosed(handle) }
      }
      let place = entry.pointee.place
      let origin = origin(place)
      if place.state == .word {
        stowage_fill(page, pageSize, words.value(Int(place.value)))
        guard matchesSum(handle, page) else { throw failed(handle, .done) }
        let tag = end(handle, entry)
        lock.unlock()
        return tag
      }
      let loaded = load(context, place, into: page)
      lock.lock()
      guard let entry = find(handle), isStill(entry, origin) else {
        lock.unlock()
        continue
      }
      if case .done = loaded, matchesSum(handle, page) {
        let tag = end(handle, entry)
        lock.unlock()
        return tag
      }
      throw failed(handle, loaded)
    }
  }

  /// With the lock: a page ends by take.
  @inline(__always) private func end(_ handle: Handle, _ entry: UnsafeMutablePointer<PageEntry>) -> UInt64 {
    let tag = entry.pointee.tag
    endPage(handle.index, entry)
    state.pointee.takeCount += 1
    return tag
  }

  func peek(_ handle: Handle, into page: UnsafeMutableRawPointer) throws(StoreError) -> UInt64 {
    try ready(handle)
    pages.prefetch(handle)
    let context = try acquire()
    defer {
      endReading(context)
      callers.release(context)
    }
    while true {
      lock.lock()
      guard let entry = find(handle) else {
        lock.unlock()
        throw lock.withLock { staleOrClosed(handle) }
      }
      let (place, tag) = (entry.pointee.place, entry.pointee.tag)
      let origin = origin(place)
      state.pointee.peekCount += 1
      if place.state == .word {
        stowage_fill(page, pageSize, words.value(Int(place.value)))
        guard matchesSum(handle, page) else { throw failed(handle, .done) }
        lock.unlock()
        return tag
      }
      let sum = storedSum(handle)
      let loaded = load(context, place, into: page)
      if case .done = loaded, sum == nil || sum == stowage_hash64(page, pageSize, 0) { return tag }
      lock.lock()
      guard let entry = find(handle), isStill(entry, origin) else {
        lock.unlock()
        continue
      }
      throw failed(handle, loaded)
    }
  }

  func touch(_ handle: Handle) throws(StoreError) {
    try ready(handle)
    let context = try acquire()
    defer { callers.release(context) }
    while true {
      lock.lock()
      guard let entry = find(handle) else {
        lock.unlock()
        throw lock.withLock { staleOrClosed(handle) }
      }
      let place = entry.pointee.place
      guard place.state != .word else { return lock.unlock() }
      let page = context.pointee.pageC
      let sum = storedSum(handle)
      let origin = origin(place)
      let loaded = load(context, place, into: page)
      // Not kept while waiting for room; what is used again meanwhile shows by its stamp.
      endReading(context)
      if case .done = loaded, sum == nil || sum == stowage_hash64(page, pageSize, 0) {
        // While a checkpoint makes its cut it stays where it is: this call has a context that others may wait for.
        switch Result(catching: { () throws(StoreError) in try exchange(handle, page, expected: origin) }) {
        case .success(true), .failure(.timedOut): return
        case .success(false): continue
        case .failure(let error): throw error
        }
      }
      lock.lock()
      guard let entry = find(handle), isStill(entry, origin) else {
        lock.unlock()
        continue
      }
      throw failed(handle, loaded)
    }
  }

  func discard(_ handle: Handle) throws(StoreError) {
    try ready(handle)
    lock.lock()
    defer { lock.unlock() }
    while state.pointee.stopsCalls, !state.pointee.isClosing {
      let ticket = space.ticket
      lock.unlock()
      space.wait(ticket, timeout: 5_000_000)
      lock.lock()
    }
    guard let entry = find(handle) else { throw staleOrClosed(handle) }
    endPage(handle.index, entry)
    state.pointee.discardCount += 1
  }

  private func storedSum(_ handle: Handle) -> UInt64? {
    pageSums.map { $0.address(Int(handle.index)).load(as: UInt64.self) }
  }

  private func matchesSum(_ handle: Handle, _ page: UnsafeRawPointer) -> Bool {
    guard let sum = storedSum(handle) else { return true }
    return sum == stowage_hash64(page, pageSize, 0)
  }

  /// The error of a load that failed for a page that is still where it was; a damaged page is dropped. Expects the
  /// lock, releases it.
  private func failed(_ handle: Handle, _ loaded: Loaded) -> StoreError {
    switch loaded {
    case .unavailable(let level, let code):
      lock.unlock()
      return .unavailable(tier: plan.levels[level].name, reason: loadReason(level, code))
    case .damaged(let level, let code):
      let dropped = dropPage(handle.index, .unreadable)
      lock.unlock()
      postpone(dropped)
      return .unreadable(handle: handle, tier: plan.levels[level].name, reason: loadReason(level, code))
    case .done:
      let level = levelIndex(of: pages.entry(handle.index).pointee.place)
      let dropped = dropPage(handle.index, .unreadable)
      lock.unlock()
      postpone(dropped)
      return .unreadable(
        handle: handle, tier: plan.levels[level].name,
        reason: "its end-to-end checksum does not match: a tier decoded it to other bytes")
    }
  }

  private func loadReason(_ level: Int, _ code: Int32) -> String {
    if let port = ports[level], code != STOWAGE_CORRUPT { return port.lastFailure(code) }
    let said = HostTable.lastError()
    if said.isEmpty, code == STOWAGE_CORRUPT { return "its checksum does not match what was stored" }
    return said.isEmpty ? TierResult.name(code) : "\(said) (\(TierResult.name(code)))"
  }

  // MARK: One attempt. Expects the lock, releases it; a reader's mark is left to the caller to end.

  @inline(__always) private func load(_ context: Context, _ place: Place, into page: UnsafeMutableRawPointer) -> Loaded
  {
    if place.state == .pooled { return loadPooled(context, place, into: page) }
    return loadFramed(context, place, into: page)
  }

  @inline(__always) private func loadPooled(
    _ context: Context, _ place: Place, into page: UnsafeMutableRawPointer
  ) -> Loaded {
    let segment = place.segment
    let offset = Int(place.unit) << unitShift
    // In a large store it is in no cache: it is under way while the lock is let go.
    stowage_prefetch(chunkAddress(segment, offset))
    let head = arena.head(segment)
    let level = Int(head.pointee.level)
    let idBase = head.pointee.idBase
    let codecNumber = Int(head.pointee.codec)
    beginReading(context)
    lock.unlock()
    let header = header(segment, offset).pointee
    let length = codec.length(header.lengthAndID)
    let decoded = decodeChunk(
      context, codec: codecNumber, UnsafeRawPointer(arena.bytes(segment) + offset + ChunkHeader.byteCount),
      length: length,
      id: idBase + codec.idOffset(header.lengthAndID), checksum: header.checksum,
      discardable: place.isDiscardable, into: page)
    switch decoded {
    case .decoded: return .done
    case .inPlace(let raw):
      page.copyMemory(from: raw, byteCount: pageSize)
      return .done
    case .failed(let code):
      return TierResult.isDamage(code) ? .damaged(level: level, code) : .unavailable(level: level, code)
    }
  }

  /// What a load needs to know of a frame, copied out under the lock.
  struct FrameView {
    var record: FrameRecord
    var frame: FrameIndex
    var sidecars: InlineArray<256, UInt8>
    var offset: Int
    var length: Int
    var id: UInt64
    var discardable: Bool
    /// It is a page of the index, no frame.
    var isMetadata = false
    var kind: ObjectKind { isMetadata ? .metadata : ObjectKind(discardable: record.isDiscardable) }
  }

  func view(of place: Place) -> FrameView {
    let record = frames.record(place.frame)
    var offset = 0
    for ordinal in 0..<place.ordinal {
      offset += codec.length(frames.place(record, ordinal).pointee.lengthAndID)
    }
    let own = frames.place(record, place.ordinal).pointee.lengthAndID
    var view = FrameView(
      record: record.pointee, frame: place.frame, sidecars: InlineArray(repeating: 0), offset: offset,
      length: codec.length(own), id: chunkBase(record) + codec.idOffset(own),
      discardable: place.isDiscardable)
    let sidecars = frames.sidecars(place.frame)
    for index in 0..<frames.sidecarLength { view.sidecars[index] = sidecars[index] }
    return view
  }

  private func loadFramed(_ context: Context, _ place: Place, into page: UnsafeMutableRawPointer) -> Loaded {
    let view = view(of: place)
    let level = Int(view.record.level)
    guard view.record.flags & FrameRecord.stuck == 0 else {
      lock.unlock()
      ports[level]?.noteFailure("an earlier read of the same slot has not returned yet")
      return .unavailable(level: level, STOWAGE_RETRY)
    }
    let isBacked = ports[level] != nil
    if isBacked { frames.record(place.frame).pointee.pins += 1 } else { beginReading(context) }
    lock.unlock()
    let opened = openFrame(context, view)
    var (result, failedLevel) = (opened.result, opened.level)
    if result == STOWAGE_OK {
      let bytes = UnsafeRawPointer(context.pointee.pageA) + view.offset
      result = copyChunk(context, view, bytes, into: page)
      failedLevel =
        view.record.codec == FrameRecord.rawCodec ? level : Int(epochs.codec(Int(view.record.codec)).level)
    }
    if isBacked {
      lock.lock()
      if opened.isPinned { unpinFrame(place.frame) } else { markStuck(place.frame) }
      lock.unlock()
    }
    guard result != STOWAGE_OK else { return .done }
    return TierResult.isDamage(result) ? .damaged(level: failedLevel, result) : .unavailable(level: failedLevel, result)
  }

  private func copyChunk(
    _ context: Context, _ view: FrameView, _ bytes: UnsafeRawPointer, into page: UnsafeMutableRawPointer
  ) -> Int32 {
    if view.record.codec == FrameRecord.rawCodec {
      page.copyMemory(from: bytes, byteCount: pageSize)
      return STOWAGE_OK
    }
    let decoded = decodeUnchecked(
      context, codec: Int(view.record.codec), bytes, length: view.length, id: view.id, discardable: view.discardable,
      into: page)
    switch decoded {
    case .decoded: return STOWAGE_OK
    case .inPlace(let raw):
      page.copyMemory(from: raw, byteCount: pageSize)
      return STOWAGE_OK
    case .failed(let code): return code
    }
  }

  /// Brings a frame, as it was packed, to the context's `pageA`: read, checked, decoded through its transforms. Without
  /// the lock. `isPinned` is false when the read was set aside: its end takes the pin back.
  func openFrame(_ context: Context, _ view: FrameView) -> (result: Int32, level: Int, isPinned: Bool) {
    let first = openFrameOnce(context, view)
    // Damage, whoever finds it, is looked at once more: the second time it counts.
    guard TierResult.isDamage(first.result), first.isPinned else { return first }
    return openFrameOnce(context, view)
  }

  private func openFrameOnce(_ context: Context, _ view: FrameView) -> (result: Int32, level: Int, isPinned: Bool) {
    let level = Int(view.record.level)
    let record = view.record
    var bytes: UnsafeRawPointer
    if let port = ports[level] {
      bytes = UnsafeRawPointer(context.pointee.pageA)
      let mapped = port.map(UInt64(record.position), frame: view.frame)
      guard mapped.code == STOWAGE_OK else { return (mapped.code, level, !mapped.isSetAside) }
      if let page = mapped.page {
        bytes = page
      } else {
        let read = port.read(
          context, slot: UInt64(record.position), id: record.id, view.kind, frame: view.frame,
          into: context.pointee.pageA)
        guard read.code == STOWAGE_OK else { return (read.code, level, !read.isSetAside) }
      }
    } else {
      bytes = UnsafeRawPointer(arena.bytes(record.position / UInt32(framesPerSegment)))
        + Int(record.position) % framesPerSegment * pageSize
    }
    let set = epochs.set(record.transforms)
    guard checksum(bytes, pageSize, id: record.id, epoch: set.sum) == record.checksum else {
      HostTable.clearError()
      return (STOWAGE_CORRUPT, level, true)
    }
    let (result, failed) = undoTransforms(context, view, set, bytes)
    return (result, failed, true)
  }

  /// Decodes a frame's bytes through the transforms of its set, to the context's `pageA`. The result, and the level whose
  /// tier gave it. `bytes` may be `pageA`.
  func undoTransforms(
    _ context: Context, _ view: FrameView, _ set: TransformSet, _ bytes: UnsafeRawPointer
  ) -> (Int32, Int) {
    var current = bytes
    for index in stride(from: levelCount - 1, through: 1, by: -1)
    where set.mask & plan.levels[index].transformBit != 0 {
      let output = current == UnsafeRawPointer(context.pointee.pageB) ? context.pointee.pageA : context.pointee.pageB
      let tier = calls[index].unsafelyUnwrapped
      let level = plan.levels[index]
      var object = frameObject(view.record.id, set.epoch(level.transformBit), view.kind)
      let result = withUnsafeBytes(of: view.sidecars) { sidecars in
        let sidecar = sidecars.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self) + level.sidecarOffset
        return tier.decode(
          context.pointee.tiers[index], &object, current, length: pageSize, output,
          sidecar: level.sidecarLength > 0 ? sidecar : nil)
      }
      guard result == STOWAGE_OK else { return (result, index) }
      current = UnsafeRawPointer(output)
    }
    if current != UnsafeRawPointer(context.pointee.pageA) {
      context.pointee.pageA.copyMemory(from: current, byteCount: pageSize)
    }
    return (STOWAGE_OK, 0)
  }

  /// Where the ids of a frame's chunks count from.
  @inline(__always) func chunkBase(_ record: UnsafeMutablePointer<FrameRecord>) -> UInt64 {
    let number = record.pointee.codec
    return record.pointee.chunkBase(space: number == FrameRecord.rawCodec ? 0 : epochs.codec(Int(number)).space)
  }

  /// A read of the frame was set aside: until it ends, further loads are refused at once. Unless it has ended
  /// meanwhile, and taken its pin with it. With the lock.
  func markStuck(_ frame: FrameIndex) {
    let record = frames.record(frame)
    if record.pointee.pins > 0 { record.pointee.flags |= FrameRecord.stuck }
  }

  /// The end of a load from a slot. With the lock.
  func unpinFrame(_ frame: FrameIndex) {
    let record = frames.record(frame)
    record.pointee.pins -= 1
    if record.pointee.pins == 0, record.pointee.flags & FrameRecord.stuck != 0 {
      record.pointee.flags &= ~FrameRecord.stuck
      ports[Int(record.pointee.level)]?.queue.lookAgain()
      levels[Int(record.pointee.level)].sparseRestUntil = 0
    }
    if record.pointee.pins == 0, record.pointee.flags & FrameRecord.dying != 0 {
      record.pointee.flags &= ~FrameRecord.dying
      endFrame(frame)
    }
  }
}
