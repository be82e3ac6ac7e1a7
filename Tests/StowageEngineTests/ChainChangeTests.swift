// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

/// Tiers that come and go while pages are put, taken, replaced and looked at.
@Suite(.serialized) struct ChainChangeTests {
  private static let pageSize = 4096
  private static let marker = Array("PLAINTEXT-MARKER".utf8)

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
        try tier("cipher", kind("cipher", .cipher, priority: 500)),
        try backing("disk", kind("disk", .disk, priority: 900)),
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

    /// One that looks for pages in the clear.
    func backing(_ name: String, _ kind: TestTier.Kind) throws -> ChainTier {
      var tier = try tier(name, kind)
      try tiers[name]!.watch(for: marker)
      tier.options = ["slots": .number(20_000)]
      return tier
    }

    func expectNoComplaint() {
      for (name, tier) in tiers {
        #expect(tier.complaint == nil, "\(name)")
        #expect(tier[.markers] == 0, "pages reached \(name) in the clear")
      }
    }
  }

  /// Threads that use a store until told to stop, each with pages of its own and a table of what they hold.
  private final class Load: Sendable {
    let stops = Atomic<Bool>(false)
    let operations = Atomic<Int>(0)
    let failures = Locked<[String]>([])

    func run(_ store: Store, thread: Int) {
      var random = SeededRandom(TestSeed.value, "chain change \(thread)")
      let (buffer, expected) = (PageBuffer(ChainChangeTests.pageSize), PageBuffer(ChainChangeTests.pageSize))
      defer {
        buffer.deallocate()
        expected.deallocate()
      }
      var pages: [(handle: Handle, contents: Contents)] = []
      do throws(StoreError) {
        while !stops.load(ordering: .relaxed) {
          try step(store, buffer, expected, &pages, &random)
          operations.add(1, ordering: .relaxed)
        }
        for page in pages {
          try store.take(page.handle, into: buffer.bytes)
          check(buffer, page.contents, expected)
        }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }

    private func fill(_ buffer: PageBuffer, _ contents: Contents) {
      buffer.fill(contents)
      if contents.kind >= Contents.firstWithSeed { buffer.mark(ChainChangeTests.marker, every: 256) }
    }

    private func check(_ buffer: PageBuffer, _ contents: Contents, _ expected: PageBuffer) {
      fill(expected, contents)
      if !buffer.read.elementsEqual(expected.read) { failures.withLock { $0.append("a page came back changed") } }
    }

    private func step(
      _ store: Store, _ buffer: PageBuffer, _ expected: PageBuffer,
      _ pages: inout [(handle: Handle, contents: Contents)], _ random: inout SeededRandom
    ) throws(StoreError) {
      let choice = random.below(10)
      if pages.count < 200 || (choice < 4 && pages.count < 4000) {
        let contents = Contents.random(&random)
        fill(buffer, contents)
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
        fill(buffer, contents)
        try store.replace(page.handle, with: buffer.read)
        pages[place].contents = contents
        return
      default: try store.peek(page.handle, into: buffer.bytes)
      }
      check(buffer, page.contents, expected)
    }

    /// Waits until so many more operations were done, or one has failed.
    func wait(operations count: Int) throws {
      let from = operations.load(ordering: .relaxed)
      let end = ContinuousClock.now + .seconds(120)
      while operations.load(ordering: .relaxed) < from + count, failures.withLock({ $0.isEmpty }) {
        guard ContinuousClock.now < end else {
          let done = operations.load(ordering: .relaxed) - from
          throw TestFailure("within two minutes only \(done) of \(count) operations were done")
        }
        usleep(1000)
      }
    }
  }

  /// Runs a body while threads use the store, each of which must get back what it put.
  private func underLoad(_ store: Store, _ body: (Load) throws -> Void) throws {
    let load = Load()
    let threads = TestThreads(3) { load.run(store, thread: $0) }
    let outcome = Result { try body(load) }
    load.stops.store(true, ordering: .relaxed)
    threads.join()
    #expect(load.failures.withLock { $0 } == [])
    try outcome.get()
  }

  @Test func `tiers come, are replaced and go under load, and nothing is lost`() throws {
    let setup = try Setup()
    let store = setup.store!
    defer { store.close() }
    try underLoad(store) { try changeChain(setup, $0) }
    // Nothing is left that it packed.
    if store.levelNames.contains("lz") { #expect(try store.removeTier(named: "lz") == .removed) }
    #expect(setup.tiers["lz"]![.instances] == 0 && setup.tiers["lz"]![.contexts] == 0)
    #expect(setup.tiers["disk"]![.instances] == 0)
    setup.expectNoComplaint()
  }

  private func changeChain(_ setup: Setup, _ load: Load) throws {
    let store = setup.store!
    try load.wait(operations: 20_000)

    try store.addTier(try setup.tier("lz-2", Self.kind("lz", .lz, priority: 200)))
    #expect(store.levelNames == ["store", "rle", "lz-2", "lz", "cipher", "disk"])
    try load.wait(operations: 20_000)
    #expect(store.statistics().levels[2].pagesEntered > 0)

    // A newer version: the old one goes at once, as no frame was packed by it.
    try store.replaceTier(named: "rle", with: try setup.tier("rle-2", Self.kind("rle", .rle, priority: 100)))
    #expect(try store.removeTier(named: "rle") == .removed)
    #expect(store.levelNames == ["store", "rle-2", "lz-2", "lz", "cipher", "disk"])
    try load.wait(operations: 20_000)
    #expect(store.statistics().levels[1].pagesEntered > 0)
    #expect(setup.tiers["rle"]![.instances] == 0 && setup.tiers["rle"]![.contexts] == 0)

    // The one that packs: it decodes what it packed as long as there is some.
    try store.replaceTier(named: "lz", with: try setup.tier("lz-3", Self.kind("lz", .lzTransparent, priority: 300)))
    try load.wait(operations: 20_000)
    let first = try store.removeTier(named: "lz")
    #expect(first == .removed || store.levelNames.contains("lz"))
    #expect(store.statistics().levels.first { $0.name == "lz-3" }!.pagesEntered > 0)

    // Another backing below, and everything moves there.
    try store.addTier(try setup.backing("memory", Self.kind("memory", .memory, priority: 950)))
    #expect(try store.removeTier(named: "disk") == .removed)
    try load.wait(operations: 10_000)
    #expect(store.statistics().levels.last!.pages > 0)
  }

  @Test func `tiers are replaced for ever under load, as long as the replaced ones go`() throws {
    let setup = try Setup()
    let store = setup.store!
    defer { store.close() }
    try underLoad(store) { load in
      try load.wait(operations: 10_000)
      for number in 2...51 {
        let old = number == 2 ? "rle" : "rle-\(number - 1)"
        try store.replaceTier(
          named: old, with: try setup.tier("rle-\(number)", Self.kind("rle", .rle, priority: 100)))
        #expect(try store.removeTier(named: old) == .removed)
        try load.wait(operations: 200)
      }
      // The backing too, with the cipher above it all the time.
      for number in 2...4 {
        let old = number == 2 ? "disk" : "disk-\(number - 1)"
        try store.replaceTier(
          named: old, with: try setup.backing("disk-\(number)", Self.kind("disk", .disk, priority: 900)))
        #expect(try store.removeTier(named: old) == .removed)
        try load.wait(operations: 5000)
      }
    }
    #expect(store.levelNames == ["store", "rle-51", "lz", "cipher", "disk-4"])
    for (name, tier) in setup.tiers {
      #expect(tier[.instances] == (store.levelNames.contains(name) ? 1 : 0), "\(name)")
    }
    #expect(setup.tiers["disk-4"]![.writes] > 0)
    setup.expectNoComplaint()
  }

  @Test func `the tier that packs is replaced for ever, and what each packed is read back`() throws {
    let setup = try Setup(isManual: true)
    let store = setup.store!
    defer { store.close() }
    let buffer = PageBuffer(Self.pageSize)
    defer { buffer.deallocate() }
    var random = SeededRandom(TestSeed.value, "packing")
    var pages: [(handle: Handle, contents: Contents)] = []
    func put(_ count: Int) throws {
      for _ in 0..<count {
        let contents = Contents(seed: random.next(), kind: Contents.firstWithSeed + UInt32(random.below(4)))
        buffer.fill(contents)
        pages.append((try store.put(buffer.read, tag: 0), contents))
      }
      var steps = 0
      while store.step() {
        steps += 1
        try #require(steps < 100_000, "engine work never ends")
      }
    }
    for number in 2...13 {
      let old = number == 2 ? "lz" : "lz-\(number - 1)"
      try put(1500)
      try store.replaceTier(
        named: old, with: try setup.tier("lz-\(number)", Self.kind("lz", .lzTransparent, priority: 300)))
      try put(1500)
      #expect(setup.tiers["lz-\(number)"]![.encodes] > 0)
      for page in pages {
        try store.take(page.handle, into: buffer.bytes)
        #expect(buffer.matches(page.contents))
      }
      pages = []
      #expect(setup.tiers[old]![.decodes] > 0)
      #expect(try store.removeTier(named: old) == .removed)
    }
    #expect(store.levelNames == ["store", "rle", "lz-13", "cipher", "disk"])
    setup.expectNoComplaint()
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
    for number in 2...5 {
      try store.addTier(try setup.tier("rle-\(number)", Self.kind("rle", .rle, priority: 100)))
    }
    let full = message { try store.addTier(try setup.tier("rle-6", Self.kind("rle", .rle, priority: 100))) }
    #expect(full.contains("no place is left"))
    #expect(store.levelNames == ["store", "rle", "rle-2", "rle-3", "rle-4", "rle-5", "lz", "cipher", "disk"])
    for name in ["cipher-2", "memory", "rle-6"] { #expect(setup.tiers[name]![.instances] == 0) }

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
