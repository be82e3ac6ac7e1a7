// SPDX-License-Identifier: Apache-2.0
@testable import StowageEngine
import StowageTestSupport
import Testing

/// A page that was replaced and came to the very same place again does not get its older contents back from a touch
/// that began before.
@Suite struct OriginTests {
  private let engine: Engine
  private let page = PageBuffer(4096)

  init() throws {
    let environment = Environment(now: { 1 }, random: { 4 }, scheduling: .manual)
    var configuration = StoreConfiguration(memoryLimit: 4 << 20)
    configuration.workers = 1
    let disk = ChainTier(try TestTier(.disk).table)
    engine = try Engine.open(configuration, [disk], environment)
  }

  private func put(_ seed: UInt64) throws -> Handle {
    page.fill(Contents(seed: seed, kind: Contents.firstWithSeed))
    return try engine.put(page.read, tag: seed, kind: .persistent)
  }

  private func replace(_ handle: Handle, _ seed: UInt64) throws {
    page.fill(Contents(seed: seed, kind: Contents.firstWithSeed))
    try engine.replace(handle, with: page.read)
  }

  private func origin(_ handle: Handle) throws -> Origin {
    try engine.lock.withLock { engine.origin(try #require(engine.pages.find(handle)).pointee.place) }
  }

  /// What a touch does that loaded `seed` from `origin` and had to wait for room since.
  private func touchLate(_ handle: Handle, _ seed: UInt64, _ origin: Origin) throws -> Bool {
    page.fill(Contents(seed: seed, kind: Contents.firstWithSeed))
    return try engine.exchange(handle, page.bytes.baseAddress!, expected: origin)
  }

  private func expect(_ handle: Handle, _ seed: UInt64) throws {
    _ = try engine.take(handle, into: page.bytes.baseAddress!)
    #expect(page.matches(Contents(seed: seed, kind: Contents.firstWithSeed)))
  }

  @Test func `in a frame that is used again`() throws {
    defer { page.deallocate() }
    let handle = try put(1)
    try engine.flush(timeout: .seconds(5))
    let before = try origin(handle)
    try #require(before.place.state == .framed)
    try replace(handle, 2)
    try engine.flush(timeout: .seconds(5))
    #expect(try origin(handle).place == before.place)
    #expect(try !touchLate(handle, 1, before))
    #expect(try touchLate(handle, 2, origin(handle)))
    try expect(handle, 2)
    engine.close()
  }

  @Test func `in a segment that is used again, at the same place in the order`() throws {
    defer { page.deallocate() }
    let handle = try put(1)
    let before = try origin(handle)
    let sequence = engine.arena.head(before.place.segment).pointee.sequence
    for seed in 2...3 as ClosedRange<UInt64> {
      engine.lock.withLock { engine.sealIdle(0) }
      try replace(handle, seed)
    }
    #expect(try origin(handle).place == before.place)
    // As compaction does: what it copies keeps its place in the order.
    engine.arena.head(before.place.segment).pointee.sequence = sequence
    #expect(try !touchLate(handle, 1, before))
    try expect(handle, 3)
    engine.close()
  }
}
