// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

/// Tiers that come and go while pages are put, taken, replaced and looked at.
@Suite(.serialized) struct ChainChangeTests {
  private static let pageSize = 4096

  private static func kind(_ name: String, _ like: TestTier.Kind, priority: Int) -> TestTier.Kind {
    TestTier.Kind("\(name)-\(priority)", like.source, like.defines + ["PRIORITY=\(priority)"])
  }

  /// A chain that may change: rle, a packing lz, a cipher, a disk.
  private final class Setup {
    var tiers: [String: TestTier] = [:]
    var store: Store!

    init(isManual: Bool = false) throws {
      let chain = [
        try tier("rle", kind("rle", .rle, priority: 100)), try tier("lz", kind("lz", .lzTransparent, priority: 300)),
        try tier("cipher", kind("cipher", .cipher, priority: 500)), try backing("disk", kind("disk", .disk, priority: 900)),
      ]
      var configuration = StoreConfiguration(memoryLimit: 8 << 20)
      configuration.storeLimit = 512 << 10
      configuration.workers = isManual ? 1 : 2
      configuration.isChainChangeable = true
      store = try Store(
        configuration: configuration, chain: chain,
        environment: isManual ? Environment(now: { 1_000_000_000 }, random: { 4 }, scheduling: .manual) : .system)
    }

    func tier(_ name: String, _ kind: TestTier.Kind) throws -> ChainTier {
      let tier = try TestTier(kind)
      tiers[name] = tier
      return ChainTier(tier.table, name: name)
    }

    func backing(_ name: String, _ kind: TestTier.Kind) throws -> ChainTier {
      var tier = try tier(name, kind)
      tier.options = ["slots": .number(20_000)]
      return tier
    }

    func expectNoComplaint() { for (name, tier) in tiers { #expect(tier.complaint == nil, "\(name)") } }
  }

  /// Threads that use a store until told to stop, each with pages of its own and a table of what they hold.
  private final class Load: Sendable {
    let stops = Atomic<Bool>(false)
    let operations = Atomic<Int>(0)
    let failures = Locked<[String]>([])

    func run(_ store: Store, thread: Int) {
      var random = SeededRandom(TestSeed.value, "chain change \(thread)")
      let buffer = PageBuffer(ChainChangeTests.pageSize)
      defer { buffer.deallocate() }
      var pages: [(handle: Handle, contents: Contents)] = []
      do throws(StoreError) {
        while !stops.load(ordering: .relaxed) {
          try step(store, buffer, &pages, &random)
          operations.add(1, ordering: .relaxed)
        }
        for page in pages {
          try store.take(page.handle, into: buffer.bytes)
          if !buffer.matches(page.contents) { failures.withLock { $0.append("a page came back changed at the end") } }
        }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }

    private func step(
      _ store: Store, _ buffer: PageBuffer, _ pages: inout [(handle: Handle, contents: Contents)],
      _ random: inout SeededRandom
    ) throws(StoreError) {
      let choice = random.below(10)
      if pages.count < 200 || (choice < 4 && pages.count < 4000) {
        let contents = Contents.random(&random)
        buffer.fill(contents)
        pages.append((try store.put(buffer.read, tag: contents.seed), contents))
        return
      }
      let place = random.below(pages.count)
      let page = pages[place]
      switch choice {
      case 4...6:
        try store.take(page.handle, into: buffer.bytes)
        pages.swapAt(place, pages.count - 1)
        pages.removeLast()
      case 7:
        let contents = Contents.random(&random)
        buffer.fill(contents)
        try store.replace(page.handle, with: buffer.read)
        pages[place].contents = contents
        return
      default: try store.peek(page.handle, into: buffer.bytes)
      }
      if !buffer.matches(page.contents) { failures.withLock { $0.append("a page came back changed") } }
    }

    /// Waits until so many more operations were done.
    func wait(operations count: Int) {
      let from = operations.load(ordering: .relaxed)
      while operations.load(ordering: .relaxed) < from + count, failures.withLock({ $0.isEmpty }) { usleep(1000) }
    }
  }

  @Test func `tiers come, are replaced and go under load, and nothing is lost`() throws {
    let setup = try Setup()
    let store = setup.store!
    defer { store.close() }
    let load = Load()
    let threads = TestThreads(3) { load.run(store, thread: $0) }
    do {
      defer { load.stops.store(true, ordering: .relaxed) }
      try changeChain(setup, load)
    } catch {
      threads.join()
      throw error
    }
    threads.join()
    #expect(load.failures.withLock { $0 } == [])
    // Nothing is left that it packed.
    if store.levelNames.contains("lz") { #expect(try store.removeTier(named: "lz") == .removed) }
    #expect(setup.tiers["lz"]![.instances] == 0 && setup.tiers["lz"]![.contexts] == 0)
    #expect(setup.tiers["disk"]![.instances] == 0)
    setup.expectNoComplaint()
  }

  private func changeChain(_ setup: Setup, _ load: Load) throws {
    let store = setup.store!
    load.wait(operations: 20_000)

    try store.addTier(try setup.tier("lz-2", Self.kind("lz", .lz, priority: 200)))
    #expect(store.levelNames == ["store", "rle", "lz-2", "lz", "cipher", "disk"])
    load.wait(operations: 20_000)
    #expect(store.statistics().levels[2].pagesEntered > 0)

    // A newer version: the old one goes at once, as no frame was packed by it.
    try store.replaceTier(named: "rle", with: try setup.tier("rle-2", Self.kind("rle", .rle, priority: 100)))
    #expect(try store.removeTier(named: "rle") == .removed)
    #expect(store.levelNames == ["store", "rle-2", "lz-2", "lz", "cipher", "disk"])
    load.wait(operations: 20_000)
    #expect(store.statistics().levels[1].pagesEntered > 0)
    #expect(setup.tiers["rle"]![.instances] == 0 && setup.tiers["rle"]![.contexts] == 0)

    // The one that packs: it decodes what it packed as long as there is some.
    try store.replaceTier(named: "lz", with: try setup.tier("lz-3", Self.kind("lz", .lzTransparent, priority: 300)))
    load.wait(operations: 20_000)
    let first = try store.removeTier(named: "lz")
    #expect(first == .removed || store.levelNames.contains("lz"))
    #expect(store.statistics().levels.first { $0.name == "lz-3" }!.pagesEntered > 0)

    // Another backing below, and everything moves there.
    try store.addTier(try setup.backing("memory", Self.kind("memory", .memory, priority: 950)))
    #expect(try store.removeTier(named: "disk") == .removed)
    load.wait(operations: 10_000)
    #expect(store.statistics().levels.last!.pages > 0)
  }

  @Test func `what may not change is refused, and says why`() throws {
    let setup = try Setup(isManual: true)
    let store = setup.store!
    defer { store.close() }
    func message(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return "nothing was thrown"
    }
    #expect(message { try store.drainTier(named: "cipher") }.contains("mandatory"))
    #expect(message { _ = try store.removeTier(named: "nosuch") }.contains("no tier 'nosuch'"))
    let cipher = try setup.tier("cipher-2", Self.kind("cipher", .cipher, priority: 600))
    #expect(message { try store.addTier(cipher) }.contains("bytes beside each frame"))
    let above = try setup.backing("memory", Self.kind("memory", .memory, priority: 50))
    #expect(message { try store.addTier(above) }.contains("above the cipher"))
    let twice = try setup.tier("rle", Self.kind("rle", .rle, priority: 100))
    #expect(message { try store.addTier(twice) }.contains("two tiers"))
    for number in 0..<4 { try store.addTier(try setup.tier("rle-\(number + 2)", Self.kind("rle", .rle, priority: 100))) }
    let full = message { try store.addTier(try setup.tier("rle-6", Self.kind("rle", .rle, priority: 100))) }
    #expect(full.contains("no place is left"))
    #expect(store.levelNames == ["store", "rle", "rle-2", "rle-3", "rle-4", "rle-5", "lz", "cipher", "disk"])
    for (name, tier) in setup.tiers where ["cipher-2", "memory", "rle-6"].contains(name) { #expect(tier[.instances] == 0) }

    let fixed = try Store(configuration: StoreConfiguration(memoryLimit: 8 << 20), chain: [])
    defer { fixed.close() }
    #expect(message { try fixed.addTier(cipher) }.contains("fixed chain"))
  }

  @Test func `a tier that does not open leaves the chain as it was`() throws {
    let setup = try Setup()
    let store = setup.store!
    defer { store.close() }
    var bad = ChainTier(try TierLibrary.shipped("swapfile"))
    bad.options = ["path": .text("/nonexistent/folder/file")]
    #expect(throws: StoreError.self) { try store.addTier(bad) }
    #expect(store.levelNames == ["store", "rle", "lz", "cipher", "disk"])
    let buffer = PageBuffer(Self.pageSize)
    defer { buffer.deallocate() }
    buffer.fill(Contents(seed: 7, kind: Contents.firstWithSeed))
    let handle = try store.put(buffer.read, tag: 1)
    #expect(try store.take(handle, into: buffer.bytes) == 1)
  }
}
