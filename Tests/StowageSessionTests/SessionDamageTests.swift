// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
@testable import StowageEngine
import StowageTestSupport
import Testing

/// A session whose disk was damaged: a named error for exactly the pages hit, never wrong bytes.
@Suite(.serialized) struct SessionDamageTests {
  private static let slots = 220

  private func configuration(_ start: SessionConfiguration.Start) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: 3 << 20)
    configuration.workers = 1
    configuration.session = SessionConfiguration(name: "damage", start: start)
    return configuration
  }

  private static let tiers = Result {
    [
      ChainTier(try TestTier(.lzTransparent).table, name: "lz"),
      ChainTier(try TestTier(.cipherKept).table, name: "cipher"),
    ]
  }

  private let buffers = (PageBuffer(), PageBuffer())
  private var page: UnsafeMutableRawBufferPointer { buffers.0.bytes }
  private var wanted: UnsafeMutableRawBufferPointer { buffers.1.bytes }

  /// A disk with a session of two checkpoints, so that there is a delta.
  private func made(_ disk: SimulatedDisk) throws -> [Handle: UInt64] {
    let chain = try Self.tiers.get() + [disk.tier()]
    let store = try Store(configuration: configuration(.create(replacing: false)), chain: chain)
    var pages: [Handle: UInt64] = [:]
    for version in UInt64(1)..<160 {
      ChurnJournal.fill(page, version: version)
      pages[try store.put(UnsafeRawBufferPointer(page), tag: version)] = version
    }
    try store.checkpoint()
    for handle in pages.keys.prefix(20) {
      ChurnJournal.fill(page, version: 1000 + handle.rawValue % 64)
      try store.replace(handle, with: UnsafeRawBufferPointer(page))
      pages[handle] = 1000 + handle.rawValue % 64
    }
    try store.checkpoint()
    store.close()
    return pages
  }

  @Test("a flipped bit in any slot costs the pages in it, or the session with a reason; nothing else")
  func flips() throws {
    let disk = try SimulatedDisk(11, slots: Self.slots, seed: 5)
    let pages = try made(disk)
    let chain = try Self.tiers.get() + [disk.tier()]
    var (refused, partial, whole) = (0, 0, 0)
    var random = SeededRandom(TestSeed.value, #function)
    for slot in 0..<Self.slots {
      let at = Int.random(in: 0..<4096, using: &random)
      try disk.slot(slot)[at] ^= 0x10
      defer { try? disk.slot(slot)[at] ^= 0x10 }
      let dropped = Locked<[DroppedPage]>([])
      let opened = Result { () throws(StoreError) -> Store in
        try Store(
          configuration: configuration(.inspect), chain: chain,
          destructor: { page in if page.reason == .unreadable { dropped.withLock { $0.append(page) } } })
      }
      if case .failure(.session(.damaged, let reason)) = opened {
        #expect(reason.contains("slot \(slot) "), "slot \(slot): \(reason)")
        refused += 1
        continue
      }
      let store = try opened.get()
      var lost: Set<Handle> = []
      for (handle, version) in pages {
        switch Result(catching: { () throws(StoreError) in try store.peek(handle, into: page) }) {
        case .success:
          ChurnJournal.fill(wanted, version: version)
          #expect(memcmp(page.baseAddress!, wanted.baseAddress!, 4096) == 0, "wrong bytes, slot \(slot)")
        case .failure(.unreadable(let named, let tier, _)):
          #expect(named == handle && tier == "disk")
          lost.insert(handle)
        case .failure(let error): Issue.record("slot \(slot): \(error)")
        }
      }
      store.close()
      #expect(Set(dropped.withLock { $0.map(\.handle) }) == lost)
      if lost.isEmpty { whole += 1 } else { partial += 1 }
    }
    print("damage: \(Self.slots) slots: session refused \(refused), pages lost \(partial), nothing \(whole)")
    #expect(refused > 3 && partial > 10 && whole > 10)
  }

  @Test("any other root is refused with a reason, or is the same session; never a crash")
  func roots() throws {
    let disk = try SimulatedDisk(12, slots: Self.slots, seed: 6)
    let pages = try made(disk)
    let chain = try Self.tiers.get() + [disk.tier()]
    let good = try disk.root()
    var random = SeededRandom(TestSeed.value, #function)
    for round in 0..<3000 {
      var root = good
      switch round % 4 {
      case 0: root[Int.random(in: 0..<root.count, using: &random)] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
      case 1: root.removeLast(Int.random(in: 1...root.count, using: &random))
      case 2:
        root = (0..<Int.random(in: 1...4096, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      default:
        // With its checksum made right: what a hostile writer would do.
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let at = Int.random(in: 12..<root.count - 8, using: &random)
          root[at] = UInt8.random(in: 0...255, using: &random)
        }
        root = SessionFormat.withChecksum(root)
      }
      try disk.setRoot(root)
      let opened = Result { () throws(StoreError) -> Store in
        try Store(configuration: configuration(.inspect), chain: chain)
      }
      // Or refused, with a reason.
      guard case .success(let store) = opened else { continue }
      for (handle, version) in pages.prefix(8) {
        guard (try? store.peek(handle, into: page)) != nil else { continue }
        ChurnJournal.fill(wanted, version: version)
        #expect(memcmp(page.baseAddress!, wanted.baseAddress!, 4096) == 0, "wrong bytes in \(handle), round \(round)")
      }
      store.close()
    }
    try disk.setRoot(good)
    let store = try Store(configuration: configuration(.resume(force: false)), chain: chain)
    #expect(store.sessionSummary?.sequence == 2)
    store.close()
  }

  @Test("a root that leaves out a delta, or names another tail, is refused, though all that it names is whole")
  func parts() throws {
    let disk = try SimulatedDisk(13, slots: Self.slots, seed: 7)
    _ = try made(disk)
    let chain = try Self.tiers.get() + [disk.tier()]
    let good = try SessionRoot(decoding: try disk.root())
    #expect(!good.deltas.isEmpty)
    var roots: [(String, SessionRoot)] = []
    func add(_ what: String, _ change: (inout SessionRoot) -> Void) {
      var root = good
      change(&root)
      roots.append((what, root))
    }
    add("without the last delta") { $0.deltas.removeLast() }
    add("a delta twice") { $0.deltas.append($0.deltas[0]) }
    add("another stream as the tail") { $0.tail = $0.deltas[0] }
    add("another checkpoint") { $0.sequence += 1 }
    add("another session") { $0.identity.0 ^= 1 }
    add("limits that were given out") { $0.generationLimit -= 1 }
    add("a tail that went through no cipher") { $0.tail.transforms = 0 }
    for (what, root) in roots {
      try disk.setRoot(root.encoded())
      let opened = Result { () throws(StoreError) -> Store in
        try Store(configuration: configuration(.inspect), chain: chain)
      }
      guard case .failure(.session(.damaged, let reason)) = opened else {
        Issue.record("\(what): \(opened)")
        continue
      }
      #expect(reason.contains("slot \(root.tail.top.slot) "), "\(what): \(reason)")
      // Before anything of it is read: bytes that are made for it could say what they like.
      if root.tail.transforms == 0 { #expect(reason.contains("mandatory"), "\(what): \(reason)") }
    }
  }
}
