// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Why a stream could not be read.
enum StreamFault: Error {
  /// It is not what was written: which slot, and what is wrong with it.
  case damaged(slot: UInt32, String)
  /// The tier at that level cannot give it now.
  case unavailable(level: Int, String)
}

/// Reads pages that a `StreamWriter` wrote.
struct StreamReader {
  /// Whose index is being loaded may keep one.
  unowned let engine: Engine
  let context: Context
  let level: Int
  /// Bytes of sidecars in every page's place.
  let sidecars: Int

  init(_ engine: Engine, _ context: Context, level: Int, sidecars: Int) {
    self.engine = engine
    self.context = context
    self.level = level
    self.sidecars = sidecars
  }

  private var size: Int { engine.pageSize }

  func stream(_ place: StreamPlace) throws(StreamFault) -> SessionStream {
    try SessionStream(place, sidecars: sidecars, pageSize: size, slotsTotal: engine.ports[level]?.slots.total ?? 0)
  }

  /// All bytes of a stream, and the slots that it has.
  func all(of place: StreamPlace) throws(StreamFault) -> (bytes: [UInt8], slots: [UInt32]) {
    var stream = try stream(place)
    return (try stream.read(0..<stream.length, self), try stream.slots(self))
  }

  /// The bytes of pages, neighbours read together.
  func read(_ pages: [PagePlace], _ transforms: UInt8) throws(StreamFault) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(pages.count * size)
    var first = 0
    while first < pages.count {
      var count = 1
      while first + count < pages.count, count < engine.framesPerSegment,
        pages[first + count].slot == pages[first].slot &+ UInt32(count)
      {
        count += 1
      }
      try readRun(pages[first..<first + count], transforms, &bytes)
      first += count
    }
    return bytes
  }

  /// Reads neighbouring pages; damage, whoever finds it, is looked at once more.
  private func readRun(_ pages: ArraySlice<PagePlace>, _ transforms: UInt8, _ bytes: inout [UInt8]) throws(StreamFault) {
    let before = bytes.count
    do throws(StreamFault) {
      try readRunOnce(pages, transforms, &bytes)
    } catch {
      guard case .damaged = error else { throw error }
      bytes.removeLast(bytes.count - before)
      try readRunOnce(pages, transforms, &bytes)
    }
  }

  private func readRunOnce(
    _ pages: ArraySlice<PagePlace>, _ transforms: UInt8, _ bytes: inout [UInt8]
  ) throws(StreamFault) {
    guard let port = engine.ports[level] else { return }
    let (scratch, total) = engine.lock.withLock { (engine.takeScratch(level: level), port.slots.total) }
    guard let holder = scratch else {
      throw .unavailable(level: level, "there is no memory to read the session's index with")
    }
    defer { engine.lock.withLock { engine.giveScratch(holder) } }
    let first = pages.startIndex
    for page in pages where Int(page.slot) >= total {
      throw .damaged(slot: page.slot, "there is no such slot")
    }
    let result = port.readRun(
      context, slot: UInt64(pages[first].slot), count: pages.count, .metadata, ids: { pages[first + $0].id },
      into: engine.arena.bytes(holder), holder: holder,
      pin: { segment in engine.lock.withLock { engine.arena.head(segment).pointee.pins += 1 } })
    guard result == STOWAGE_OK else {
      let said = port.lastFailure(result)
      if TierResult.isDamage(result) { throw .damaged(slot: pages[first].slot, said) }
      throw .unavailable(level: level, said)
    }
    for index in pages.indices {
      let address = UnsafeRawPointer(engine.arena.bytes(holder)) + (index - first) * size
      try open(pages[index], address, transforms)
      bytes.append(contentsOf: UnsafeRawBufferPointer(start: context.pointee.pageA, count: size))
    }
  }

  /// Checks a page and decodes it to the context's `pageA`.
  private func open(_ page: PagePlace, _ address: UnsafeRawPointer, _ transforms: UInt8) throws(StreamFault) {
    let set = engine.epochs.set(transforms)
    for index in 0..<engine.levelCount where set.mask & engine.plan.levels[index].transformBit != 0 {
      guard let tier = engine.calls[index], tier.threadOpen == nil || context.pointee.tiers[index] != nil else {
        throw .damaged(slot: page.slot, "it is said to have gone through a tier that it cannot have")
      }
    }
    guard engine.checksum(address, size, id: page.id, epoch: set.sum) == page.checksum else {
      throw .damaged(slot: page.slot, "its checksum does not match what was stored")
    }
    var record = FrameRecord()
    record.id = page.id
    record.transforms = transforms
    var view = Engine.FrameView(
      record: record, frame: .max, sidecars: InlineArray(repeating: 0), offset: 0, length: size, id: page.id,
      discardable: false)
    view.isMetadata = true
    for (index, byte) in page.sidecars.enumerated() { view.sidecars[index] = byte }
    let (result, failed) = engine.undoTransforms(context, view, set, address)
    guard result != STOWAGE_OK else { return }
    let said = engine.tierMessage(result)
    if TierResult.isDamage(result) { throw .damaged(slot: page.slot, "'\(engine.plan.levels[failed].name)': \(said)") }
    throw .unavailable(level: failed, said)
  }
}
