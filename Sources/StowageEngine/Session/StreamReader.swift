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

  /// Neighbouring pages that are read together.
  private struct Reading {
    let pages: Range<Int>
    let holder: SegmentIndex
    let request: RequestPointer
  }

  /// Reads that are under way at once, when there is memory for more than one.
  private static let readingsMax = 3

  /// The bytes of pages, neighbours read together.
  func read(_ pages: [PagePlace], _ transforms: UInt8) throws(StreamFault) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(pages.count * size)
    var readings: [Reading] = []
    defer { for reading in readings { abandon(reading) } }
    var next = 0
    while next < pages.count || !readings.isEmpty {
      if next < pages.count, readings.count < Self.readingsMax,
        let reading = try begin(run(of: pages, from: next), pages, isFirst: readings.isEmpty)
      {
        readings.append(reading)
        next = reading.pages.upperBound
      } else {
        let reading = readings.removeFirst()
        try end(reading, pages, transforms, &bytes, isAlone: readings.isEmpty)
      }
    }
    return bytes
  }

  private func run(of pages: [PagePlace], from first: Int) -> Range<Int> {
    var end = first + 1
    while end < pages.count, end - first < engine.framesPerSegment,
      pages[end].slot == pages[first].slot &+ UInt32(end - first)
    {
      end += 1
    }
    return first..<end
  }

  /// Nil when there is no memory or request for more than those that are under way; the first one has to be had.
  private func begin(_ run: Range<Int>, _ pages: [PagePlace], isFirst: Bool) throws(StreamFault) -> Reading? {
    guard let port = engine.ports[level] else { throw .unavailable(level: level, "it is not there any more") }
    let (scratch, total) = engine.lock.withLock {
      (isFirst || engine.hasRoomBesides ? engine.takeScratch(level: level) : nil, port.slots.total)
    }
    guard let holder = scratch else {
      guard isFirst else { return nil }
      throw .unavailable(level: level, "there is no memory to read the session's index with")
    }
    if let outside = run.first(where: { Int(pages[$0].slot) >= total }) {
      engine.lock.withLock { engine.giveScratch(holder) }
      throw .damaged(slot: pages[outside].slot, "there is no such slot")
    }
    if let request = request(port, run, pages, holder, isFirst: isFirst) {
      return Reading(pages: run, holder: holder, request: request)
    }
    engine.lock.withLock { engine.giveScratch(holder) }
    guard isFirst else { return nil }
    throw .unavailable(level: level, port.lastFailure(port.timedOut("no request is free: earlier calls hang")))
  }

  private func request(
    _ port: BackingPort, _ run: Range<Int>, _ pages: [PagePlace], _ holder: SegmentIndex, isFirst: Bool
  ) -> RequestPointer? {
    port.beginRead(
      context, slot: UInt64(pages[run.lowerBound].slot), count: run.count, .metadata,
      ids: { pages[run.lowerBound + $0].id }, into: engine.arena.bytes(holder), holder: holder,
      keep: isFirst ? 0 : BackingPort.keptForLoads, waits: isFirst,
      pin: { segment in engine.lock.withLock { engine.arena.head(segment).pointee.pins += 1 } })
  }

  /// Waits for a read, and appends what it gave. Damage, whoever finds it, is looked at once more.
  /// - Parameter isAlone: no other is under way. Who has some must not wait for a request.
  private func end(
    _ reading: Reading, _ pages: [PagePlace], _ transforms: UInt8, _ bytes: inout [UInt8], isAlone: Bool
  ) throws(StreamFault) {
    defer { engine.lock.withLock { engine.giveScratch(reading.holder) } }
    let before = bytes.count
    do throws(StreamFault) {
      try finish(reading, pages, transforms, &bytes)
    } catch {
      guard case .damaged = error else { throw error }
      bytes.removeLast(bytes.count - before)
      guard let port = engine.ports[level],
        let again = request(port, reading.pages, pages, reading.holder, isFirst: isAlone)
      else { throw .unavailable(level: level, "it cannot be read once more now: no request is free") }
      let second = Reading(pages: reading.pages, holder: reading.holder, request: again)
      try finish(second, pages, transforms, &bytes)
    }
  }

  private func finish(
    _ reading: Reading, _ pages: [PagePlace], _ transforms: UInt8, _ bytes: inout [UInt8]
  ) throws(StreamFault) {
    guard let port = engine.ports[level] else { throw .unavailable(level: level, "it is not there any more") }
    let result = port.endRead(reading.request)
    guard result == STOWAGE_OK else {
      let said = port.lastFailure(result)
      if TierResult.isDamage(result) { throw .damaged(slot: pages[reading.pages.lowerBound].slot, said) }
      throw .unavailable(level: level, said)
    }
    for index in reading.pages {
      let address = UnsafeRawPointer(engine.arena.bytes(reading.holder)) + (index - reading.pages.lowerBound) * size
      try open(pages[index], address, transforms)
      bytes.append(contentsOf: UnsafeRawBufferPointer(start: context.pointee.pageA, count: size))
    }
  }

  private func abandon(_ reading: Reading) {
    _ = engine.ports[level]?.endRead(reading.request)
    engine.lock.withLock { engine.giveScratch(reading.holder) }
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
