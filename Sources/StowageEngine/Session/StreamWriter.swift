// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Where a stream of bytes is in the session's tier.
///
/// Its pages' places stand in another stream, and so on, until one page holds them all: that one stands here.
struct StreamPlace: Equatable {
  var length: UInt64 = 0
  /// 0: the page that stands here is the stream.
  var depth: UInt8 = 0
  var transforms: UInt8 = 0
  var top = PagePlace()
  var isEmpty: Bool { length == 0 }
}

/// Where a page of a stream is, and what it takes to read it.
struct PagePlace: Equatable {
  var slot: UInt32 = 0
  var checksum: UInt32 = 0
  var id: UInt64 = 0
  var sidecars: [UInt8] = []

  static func byteCount(sidecars: Int) -> Int { 16 + sidecars }

  func put(_ writer: inout ByteWriter, sidecars count: Int) {
    writer.put(slot)
    writer.put(checksum)
    writer.put(id)
    for index in 0..<count { writer.put(index < sidecars.count ? sidecars[index] : 0) }
  }

  init() {}

  init(_ reader: inout ByteReader, sidecars count: Int) throws(ByteShortage) {
    slot = try reader.number()
    checksum = try reader.number()
    id = try reader.number()
    sidecars = Array(try reader.raw(count))
  }
}

extension StreamPlace {
  static func byteCount(sidecars: Int) -> Int { 10 + PagePlace.byteCount(sidecars: sidecars) }

  func put(_ writer: inout ByteWriter, sidecars: Int) {
    writer.put(length)
    writer.put(depth)
    writer.put(transforms)
    top.put(&writer, sidecars: sidecars)
  }

  init(_ reader: inout ByteReader, sidecars: Int) throws(ByteShortage) {
    length = try reader.number()
    depth = try reader.number()
    transforms = try reader.number()
    top = try PagePlace(&reader, sidecars: sidecars)
  }
}

/// Writes bytes as pages of the session's tier, some at a time, through the mandatory transforms or in the clear. Used by
/// the one thread that makes a checkpoint, with that work's context and space; takes memory until `finish` or `abandon`.
struct StreamWriter {
  private let engine: Engine
  private let context: Context
  private let space: JobSpace
  private let route: Route
  private var sender: FrameSender
  private let room: Int
  private var isOpen = true
  private var filled = 0
  private var length: UInt64 = 0
  private var places = ByteWriter()
  private var first = PagePlace()
  private var pageCount = 0
  /// Every slot that was taken for it.
  private(set) var slots: [UInt32] = []

  init(_ engine: Engine, _ context: Context, _ space: JobSpace, _ route: Route) throws(StoreError) {
    self.engine = engine
    self.context = context
    self.space = space
    self.route = route
    room = engine.framesPerSegment * engine.pageSize
    guard let sender = FrameSender(engine, context, space, route) else {
      throw .full("there is no memory to write the session's index with")
    }
    self.sender = sender
  }

  mutating func put(_ bytes: [UInt8]) throws(StoreError) {
    var at = 0
    while at < bytes.count {
      let part = min(bytes.count - at, room - filled)
      bytes.withUnsafeBytes {
        (engine.arena.bytes(sender.next.build) + filled).copyMemory(from: $0.baseAddress! + at, byteCount: part)
      }
      filled += part
      at += part
      if filled == room { try send() }
    }
    length += UInt64(bytes.count)
  }

  /// Sends the pages in hand, the last one filled up with zeros.
  private mutating func send() throws(StoreError) {
    let size = engine.pageSize
    let count = (filled + size - 1) / size
    let (ready, build) = sender.next
    let base = engine.arena.bytes(build)
    (base + filled).initializeMemory(as: UInt8.self, repeating: 0, count: count * size - filled)
    let firstID = engine.lock.withLock { engine.takeFrameIDs(count) }
    for index in 0..<count {
      ready.outgoing[index] = Outgoing(
        id: firstID + UInt64(index), address: UnsafeRawPointer(base + index * size), isMetadata: true)
    }
    filled = 0
    var arrived: [FrameWrite] = []
    let isSent = sender.send(count) { arrived.append($0) }
    for write in arrived { note(write) }
    guard isSent else { throw sender.failure ?? engine.writeFailure(route.target) }
  }

  private mutating func note(_ write: FrameWrite) {
    for index in 0..<write.count { note(write.space, index) }
    engine.lock.withLock {
      for index in 0..<write.count {
        engine.ports[route.target]?.slots.holdForNext(Int(write.space.outgoing[index].position))
      }
    }
  }

  private mutating func note(_ space: JobSpace, _ index: Int) {
    let sent = space.outgoing[index]
    var place = PagePlace()
    place.slot = sent.position
    place.checksum = sent.checksum
    place.id = sent.id
    place.sidecars = (0..<space.sidecarLength).map { space.sidecars[index * space.sidecarLength + $0] }
    if pageCount == 0 { first = place }
    pageCount += 1
    place.put(&places, sidecars: space.sidecarLength)
    slots.append(sent.position)
  }

  /// Ends the stream: its places are written as a stream too.
  mutating func finish() throws(StoreError) -> StreamPlace {
    defer { abandon() }
    if filled > 0 { try send() }
    guard sendLast() else { throw sender.failure ?? engine.writeFailure(route.target) }
    abandon()
    var place = StreamPlace()
    place.length = length
    guard pageCount > 1 else {
      place.transforms = transformsUsed
      place.top = first
      return place
    }
    var upper = try StreamWriter(engine, context, space, route)
    do throws(StoreError) {
      try upper.put(places.bytes)
      let above = try upper.finish()
      slots += upper.slots
      place.depth = above.depth + 1
      place.transforms = above.transforms
      place.top = above.top
      return place
    } catch {
      upper.abandon()
      slots += upper.slots
      throw error
    }
  }

  /// The set that the route's transforms make, as `transfer` has numbered it.
  private var transformsUsed: UInt8 {
    engine.lock.withLock { engine.transformSet(0, adding: route.transforms) } ?? 0
  }

  private mutating func sendLast() -> Bool {
    var arrived: [FrameWrite] = []
    let isSent = sender.finish { arrived.append($0) }
    for write in arrived { note(write) }
    return isSent
  }

  /// Gives its memory back. Slots are given back by who made it.
  mutating func abandon() {
    guard isOpen else { return }
    isOpen = false
    _ = sendLast()
    sender.close()
  }
}

extension Engine {
  /// Ids for objects of a full page. With the lock.
  func takeFrameIDs(_ count: Int) -> UInt64 {
    defer { state.pointee.nextFrameID += UInt64(count) }
    return state.pointee.nextFrameID
  }

  /// Why `transfer` to a level did not work.
  func writeFailure(_ level: Int) -> StoreError {
    let reasons = degradedReasons.withLock { $0 }
    let broken = lock.withLock {
      plan.levels.indices.first { $0 <= level && reasons[$0] != nil && levels[$0].isDegraded }
    }
    guard let broken else {
      return .full("'\(plan.levels[level].name)' has no slot left for what a checkpoint must write; make it larger")
    }
    return .unavailable(tier: plan.levels[broken].name, reason: reasons[broken] ?? "")
  }
}
