// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Foundation
internal import Glibc
internal import StowageBasics
internal import StowageEngine
internal import Synchronization

/// A store over the tier, closed while one of the tier's calls is running.
///
/// The store sees the tier through a copy of its tables in which encode and write wait, and open and close are noted.
/// They are C functions, so what they need is global; there is one store in a check's process.
struct StoreTrial {
  /// What the functions saw.
  private struct Seen {
    var running = 0
    var calls = 0
    var closes = 0
    /// Closed while a call was running.
    var isClosedBusy = false
  }

  private static let seen = Mutex(Seen())
  private static let mustWait = Atomic<Bool>(true)
  /// The tier's own functions; set before the store is made, and not changed any more.
  nonisolated(unsafe) private static var own:
    (tier: stowage_tier, transform: stowage_transform?, backing: stowage_backing?)!

  private let check: CheckRun
  private let table: TierTable

  init(_ run: CheckRun) throws {
    check = run
    let loaded = try run.load()
    let own = try loaded.table()
    guard !own.flags.contains(.lossy) else { throw run.notApplicable("no chain takes a lossy tier") }
    guard own.role == .backing || own.sidecarLength == 0 || own.isLengthPreserving else {
      throw run.notApplicable("no chain takes a compressor with a sidecar")
    }
    table = try Self.wrapped(loaded)
  }

  func run() throws {
    let store = try store()
    try fill(store)
    let isClosed = Atomic<Bool>(false)
    let closer = Thread {
      store.close()
      isClosed.store(true, ordering: .releasing)
    }
    closer.stackSize = 1 << 20
    check.notes.note(.close)
    closer.start()
    usleep(50_000)
    let early = Self.seen.withLock { ($0.closes, $0.running) }
    Self.mustWait.store(false, ordering: .releasing)
    try check.expect(early.1 == 0 || early.0 == 0, "the store closed the tier while a call was running")
    for _ in 0..<2000 where !isClosed.load(ordering: .acquiring) { usleep(5000) }
    try check.expectInTime(isClosed.load(ordering: .acquiring), "the store did not close within 10 s")
    let seen = Self.seen.withLock { $0 }
    try check.expect(!seen.isClosedBusy, "the store closed the tier while a call was running")
    try check.expect(seen.closes == 1, "the store closed the tier \(seen.closes) times")
    check.summary = "\(seen.calls) calls, one of them still running when the store was closed"
  }

  private func store() throws -> Store {
    var configuration = StoreConfiguration(memoryLimit: 8 << 20)
    configuration.storeLimit = 256 << 10
    configuration.workers = 2
    configuration.putPatience = .milliseconds(20)
    var tier = ChainTier(table)
    let arguments = try OpenArguments(check, table)
    tier.options = arguments.values
    do {
      return try Store(configuration: configuration, chain: [tier])
    } catch {
      throw check.fail("a store over it does not open: \(error)")
    }
  }

  /// Puts pages until one of the tier's calls is running.
  private func fill(_ store: Store) throws {
    var page = [UInt8](repeating: 0, count: store.pageSize)
    for number in 0..<4000 {
      for index in page.indices.prefix(1500) { page[index] = UInt8(truncatingIfNeeded: check.random.next()) }
      do { _ = try page.withUnsafeBytes { try store.put($0, tag: UInt64(number)) } } catch {
        guard case StoreError.full = error else { throw check.fail("a store over it does not take a page: \(error)") }
      }
      if Self.seen.withLock({ $0.running > 0 }) { return }
      if number > 64 { usleep(200) }
    }
    throw check.notRun("a store over it never called it")
  }

  // MARK: The tables

  private static func wrapped(_ loaded: LoadedTier) throws -> TierTable {
    own = (loaded.raw.pointee, loaded.raw.pointee.transform?.pointee, loaded.raw.pointee.backing?.pointee)
    let tier = UnsafeMutablePointer<stowage_tier>.allocate(capacity: 1)
    tier.initialize(to: own.tier)
    tier.pointee.struct_size = UInt32(MemoryLayout<stowage_tier>.offset(of: \stowage_tier.get_extension)!)
    tier.pointee.close = { StoreTrial.close($0) }
    if let transform = own.transform {
      let table = UnsafeMutablePointer<stowage_transform>.allocate(capacity: 1)
      table.initialize(to: transform)
      table.pointee.encode = { instance, context, object, input, output, room, length, sidecar in
        StoreTrial.call {
          StoreTrial.own.transform!.encode(instance, context, object, input, output, room, length, sidecar)
        }
      }
      tier.pointee.transform = UnsafePointer(table)
    }
    if let backing = own.backing {
      let table = UnsafeMutablePointer<stowage_backing>.allocate(capacity: 1)
      table.initialize(to: backing)
      table.pointee.submit = nil
      table.pointee.write = { instance, context, slot, count, buffer, objects in
        StoreTrial.call { StoreTrial.own.backing!.write(instance, context, slot, count, buffer, objects) }
      }
      tier.pointee.backing = UnsafePointer(table)
    }
    return try TierTable(descriptor: tier, file: loaded.run.order.file)
  }

  private static func call(_ body: () -> Int32) -> Int32 {
    seen.withLock {
      $0.running += 1
      $0.calls += 1
    }
    // Not for ever: the store's own patience with a tier is longer.
    for _ in 0..<1000 where mustWait.load(ordering: .acquiring) { usleep(2000) }
    let code = body()
    seen.withLock { $0.running -= 1 }
    return code
  }

  private static func close(_ instance: OpaquePointer) {
    seen.withLock {
      $0.closes += 1
      if $0.running > 0 { $0.isClosedBusy = true }
    }
    own.tier.close(instance)
  }
}
