// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// Pages are loaded ahead while the rest of the index comes, and while they are used.
@Suite(.serialized) struct LoadAheadTests {
  private static let tier = Result { ChainTier(try TestTier(.lzTransparent).table, name: "lz") }

  /// What there should be, and how it is changed by one thread at a time.
  private struct Model {
    /// By handle: the tag, and the version that the contents have.
    var pages: [Handle: (tag: UInt64, version: UInt64)] = [:]
    var version: UInt64 = 0
    var random: SeededRandom
    let page = PageBuffer()
    let wanted = PageBuffer()

    mutating func put(_ store: Store) throws {
      version += 1
      ChurnJournal.fill(page.bytes, version: version)
      pages[try store.put(page.read, tag: version)] = (version, version)
    }

    /// Does something to a page that is there; says what was wrong with it.
    mutating func touch(_ store: Store, _ handle: Handle) throws {
      let old = pages[handle].unsafelyUnwrapped
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let tag = try store.peek(handle, into: page.bytes)
        expect(tag, old)
      case 5..<7:
        let tag = try store.take(handle, into: page.bytes)
        expect(tag, old)
        pages[handle] = nil
      case 7:
        try store.discard(handle)
        pages[handle] = nil
      case 8:
        version += 1
        ChurnJournal.fill(page.bytes, version: version)
        try store.replace(handle, with: page.read)
        pages[handle]?.version = version
      default: try put(store)
      }
    }

    func expect(_ tag: UInt64, _ wants: (tag: UInt64, version: UInt64)) {
      ChurnJournal.fill(wanted.bytes, version: wants.version)
      #expect(tag == wants.tag && memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) == 0)
    }

    func check(_ store: Store) throws {
      for (handle, wants) in pages { expect(try store.peek(handle, into: page.bytes), wants) }
      var count = 0
      try store.forEachPage { _ in count += 1 }
      #expect(count == pages.count)
    }
  }

  private func configuration(_ start: SessionConfiguration.Start, memory: Int) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: memory)
    configuration.workers = 3
    configuration.session = SessionConfiguration(name: "ahead", start: start)
    return configuration
  }

  @Test("pages are used, changed and ended while they are loaded", arguments: [96 << 20, 10 << 20])
  func used(memory: Int) throws {
    let disk = try SimulatedDisk(4, slots: 24_000, seed: TestSeed.value)
    let chain = [try Self.tier.get(), disk.tier()]
    var model = Model(random: SeededRandom(seed: TestSeed.value))
    let first = try Store(configuration: configuration(.create(replacing: false), memory: 10 << 20), chain: chain)
    for _ in 0..<10_000 { try model.put(first) }
    try first.suspend()
    let early = Locked(0)
    for _ in 0..<6 {
      let opened = Locked<Store?>(nil)
      var environment = Environment.system
      // Holds the counting up until some pages have been loaded of which it knows nothing.
      environment.whileLoading = {
        guard let store = opened.withLock({ $0 }) else { return }
        for _ in 0..<2000 where store.statistics().levels[1].pages < 100 { usleep(1000) }
        if store.statistics().levels[1].pages >= 100 { early.withLock { $0 += 1 } }
      }
      let store = try Store(
        configuration: configuration(.resume(force: false), memory: memory), chain: chain, environment: environment)
      opened.withLock { $0 = store }
      let loaded = Locked<Result<PreloadReport, any Error>?>(nil)
      let ended = DispatchSemaphore(value: 0)
      Thread {
        let result = Result { try store.preload() as PreloadReport }
        loaded.withLock { $0 = result }
        ended.signal()
      }.start()
      for handle in Array(model.pages.keys.shuffled(using: &model.random).prefix(2500)) {
        try model.touch(store, handle)
      }
      ended.wait()
      opened.withLock { $0 = nil }
      let report = try #require(loaded.withLock { $0 }).get()
      #expect(report.pages > 0)
      try model.check(store)
      try store.checkpoint()
      try model.check(store)
      try store.suspend()
    }
    #expect(early.withLock { $0 } > 0, "in no round was a page loaded before all were counted")
    // Each frame has been counted rightly when none is left behind its last page.
    let last = try Store(configuration: configuration(.resume(force: false), memory: memory), chain: chain)
    _ = try last.preload()
    for handle in model.pages.keys { try last.discard(handle) }
    try last.checkpoint()
    let levels = last.statistics().levels
    #expect(levels.allSatisfy { $0.pages == 0 } && levels[2].diskBytes == 0, "\(levels)")
    last.close()
  }
}
