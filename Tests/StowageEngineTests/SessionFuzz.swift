// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
@testable import StowageEngine
import StowageTestSupport

/// Sessions that were changed behind their checksums, as somebody who knows the format could, and what comes of them.
///
/// What stands in slots behind mandatory tiers is changed by such a tier while it is decoded, by
/// Tests/Fixtures/tiers/mutate.c; so nothing here knows where an index has what. Root and head are in the clear: they are
/// written anew with their checksums.
/// One thread at a time uses it.
final class SessionFuzz: @unchecked Sendable {
  enum Part: String, CaseIterable { case root, head, index }

  struct Counts {
    var rounds: [Part: Int] = [:]
    var refused = 0
    var whole = 0
    /// Sessions with pages that were refused, and those pages.
    var partial = 0
    var pagesRefused = 0
    /// Without end-to-end checksums nobody can know.
    var pagesChanged = 0
    var seconds = 0.0
    var slowest = 0.0
    /// Different ones, but for their numbers.
    var reasons: Set<String> = []
  }

  private struct Page {
    var contents: Contents
    /// What it had at checkpoints before: bytes that change behind all that authenticates them can make an older state of it.
    var former: [Contents] = []
    var tag: UInt64
  }

  private let hasSums: Bool
  private let disk: SimulatedDisk
  private let good: SimulatedDisk
  /// What is changed now.
  private var part = Part.root
  private let chain: [ChainTier]
  private let plan: @convention(c) (UInt64, UInt64, UInt64) -> Void
  private let seen: @convention(c) () -> UInt64
  private var pages: [Handle: Page] = [:]
  private let buffer = PageBuffer(4096)
  private var clock: UInt64 = 1_000_000_000
  private var random: SeededRandom
  private(set) var counts = Counts()
  private(set) var failures: [String] = []
  private var metadataPages = 0
  private static let slots = 400

  /// - Parameter hasSums: with end-to-end checksums, so that wrong bytes are noticed whatever the index says.
  init(_ seed: UInt64, hasSums: Bool, isWhole: Bool) throws {
    self.hasSums = hasSums
    random = SeededRandom(seed, "fuzz \(hasSums) \(isWhole)")
    disk = try SimulatedDisk(5, slots: Self.slots, seed: seed)
    good = try SimulatedDisk(6, slots: 1, seed: 0)
    let mutator = try TestTier(.mutate)
    plan = try mutator.function("mutate_plan")
    seen = try mutator.function("mutate_seen")
    let packer = ChainTier(try TestTier(.lzTransparent).table, name: "lz")
    chain = [packer, ChainTier(mutator.table, name: "mutate"), disk.tier()]
    try make(isWhole: isWhole)
  }

  deinit { buffer.deallocate() }

  private func open(_ start: SessionConfiguration.Start) throws(StoreError) -> Store {
    var configuration = StoreConfiguration(memoryLimit: 3 << 20)
    configuration.workers = 1
    configuration.checksEndToEnd = hasSums
    configuration.session = SessionConfiguration(name: "fuzz", attributes: ["a": "b", "kernel": "6.1"], start: start)
    // Time stands still but for the calls, and nothing is random but by the seed.
    let environment = Environment(
      now: { [unowned self] in
        clock += 1000
        return clock
      },
      random: { [unowned self] in random.next() }, scheduling: .manual)
    return try Store(configuration: configuration, chain: chain, environment: environment)
  }

  /// A session of a whole index, and deltas if there are to be some.
  private func make(isWhole: Bool) throws {
    plan(0, 0, 0)
    let store = try open(.create(replacing: false))
    for _ in 0..<260 { try put(store) }
    try store.checkpoint()
    for _ in 0..<(isWhole ? 0 : 3) {
      for handle in pages.keys.sorted(by: { $0.rawValue < $1.rawValue }).prefix(30) {
        let contents = Contents.random(&random)
        buffer.fill(contents)
        try store.replace(handle, with: buffer.read)
        if let before = pages[handle]?.contents { pages[handle]?.former.append(before) }
        pages[handle]?.contents = contents
      }
      for _ in 0..<20 { try put(store) }
      try store.checkpoint()
    }
    try store.suspend()
    try good.copy(disk)
    plan(0, 0, 0)
    let looked = try open(.inspect)
    use(looked, mayWrite: false)
    metadataPages = Int(seen())
    looked.close()
    guard counts.pagesRefused == 0, counts.pagesChanged == 0, metadataPages > 3 else {
      throw TestFailure("the session to be changed is not right: \(counts)")
    }
  }

  private func put(_ store: Store) throws {
    let (contents, tag) = (Contents.random(&random), random.next())
    buffer.fill(contents)
    pages[try store.put(buffer.read, tag: tag)] = Page(contents: contents, tag: tag)
  }

  // MARK: One round

  func round(_ part: Part) throws {
    self.part = part
    try disk.copy(good)
    plan(0, 0, 0)
    switch part {
    case .root: try changeRoot()
    case .head: try changeHead()
    case .index: plan(random.next(), UInt64(random.below(metadataPages)), UInt64(1 + random.below(2)))
    }
    counts.rounds[part, default: 0] += 1
    let began = ContinuousClock.now
    // Looked at, or gone on with: that writes to a slot that something else may be said to be in.
    let isInspected = !random.one(in: 4)
    do {
      let store = try open(isInspected ? .inspect : .resume(force: random.one(in: 2)))
      use(store, mayWrite: !isInspected)
      if !isInspected, random.one(in: 2) { _ = try? store.suspend() }
      store.close()
    } catch {
      counts.refused += 1
      let reason = "\(error)".filter { !$0.isNumber }
      counts.reasons.insert(String(reason.suffix(48)))
    }
    let seconds = (ContinuousClock.now - began) / .seconds(1)
    counts.seconds += seconds
    counts.slowest = max(counts.slowest, seconds)
  }

  /// Every page, then some more work.
  private func use(_ store: Store, mayWrite: Bool) {
    let before = counts.pagesRefused
    for (handle, page) in pages {
      switch Result(catching: { () throws(StoreError) in try store.peek(handle, into: buffer.bytes) }) {
      case .success:
        guard !buffer.matches(page.contents) else { continue }
        counts.pagesChanged += 1
        guard hasSums, part != .index || !page.former.contains(where: buffer.matches) else { continue }
        failures.append("page \(handle) has other contents, though it has a checksum")
      case .failure: counts.pagesRefused += 1
      }
    }
    try? store.forEachPage { _ in }
    if counts.pagesRefused > before { counts.partial += 1 } else { counts.whole += 1 }
    guard mayWrite else { return }
    for (index, handle) in pages.keys.enumerated() where index < 60 {
      buffer.fill(Contents.random(&random))
      switch index % 4 {
      case 0: _ = try? store.take(handle, into: buffer.bytes)
      case 1: try? store.replace(handle, with: buffer.read)
      case 2: try? store.touch(handle)
      default: _ = try? store.put(buffer.read, tag: 0)
      }
      if index % 20 == 0 { _ = try? store.checkpoint() }
      store.step()
    }
    try? store.flush(timeout: .seconds(10))
  }

  // MARK: What is in the clear

  private static let interesting: [UInt64] = [
    0, 1, 255, 4095, 4096, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 39, 1 << 40, .max >> 1, .max,
  ]

  private func change(_ bytes: inout [UInt8], from first: Int) {
    for _ in 0..<1 + random.below(3) {
      let at = first + random.below(max(1, bytes.count - first))
      guard bytes.indices.contains(at) else { return }
      switch random.below(4) {
      case 0: bytes[at] ^= UInt8(1 << random.below(8))
      case 1: bytes[at] = UInt8(random.below(256))
      default:
        let value = Self.interesting[random.below(Self.interesting.count)]
        for index in 0..<[1, 2, 4, 8][random.below(4)] where at + index < bytes.count {
          bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
        }
      }
    }
    if random.one(in: 10) { bytes.removeLast(random.below(bytes.count)) }
  }

  private func changeRoot() throws {
    var root = try disk.root()
    change(&root, from: 12)
    try disk.setRoot(SessionFormat.withChecksum(root))
  }

  /// The head is one page in the clear; its checksum is in the root.
  private func changeHead() throws {
    var root = try SessionRoot(decoding: try disk.root())
    let slot = try disk.slot(Int(root.head.top.slot))
    var head = Array(slot.prefix(Int(root.head.length)))
    change(&head, from: 0)
    for index in slot.indices { slot[index] = index < head.count ? head[index] : 0 }
    root.head.length = UInt64(head.count)
    root.head.top.checksum = PageChecksum.of(UnsafeRawBufferPointer(slot), id: root.head.top.id)
    try disk.setRoot(root.encoded())
  }
}
