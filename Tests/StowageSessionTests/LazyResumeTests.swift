// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

/// A resumed session is used before its index has been read.
@Suite(.serialized) struct LazyResumeTests {
  private static let tier = Result { ChainTier(try TestTier(.lzTransparent).table, name: "lz") }

  private func configuration(_ start: SessionConfiguration.Start, memory: Int = 6 << 20) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: memory)
    configuration.workers = 1
    configuration.session = SessionConfiguration(name: "lazy", start: start)
    return configuration
  }

  /// Nothing is read but what calls ask for, and what `Store.step` does.
  private let manual = Environment(
    now: { 1_000_000_000 }, random: TestSeed.numbers("lazy resume"), scheduling: .manual)

  private func suspended(_ disk: SimulatedDisk, pages count: UInt64) throws -> [Handle] {
    let store = try Store(
      configuration: configuration(.create(replacing: false)), chain: [try Self.tier.get(), disk.tier()])
    let page = PageBuffer()
    var handles: [Handle] = []
    for version in 0..<count {
      ChurnJournal.fill(page.bytes, version: version)
      handles.append(try store.put(page.read, tag: version))
    }
    try store.suspend()
    return handles
  }

  private func flip(_ disk: SimulatedDisk, _ slots: some Sequence<Int>) throws {
    for slot in slots { try disk.slot(slot)[7] ^= 0x20 }
  }

  /// What a peek gives: true for the right contents, nil for a named error of the index.
  private func peek(_ store: Store, _ handle: Handle, _ version: UInt64) throws -> Bool? {
    let (page, wanted) = (PageBuffer(), PageBuffer())
    switch Result(catching: { () throws(StoreError) in try store.peek(handle, into: page.bytes) }) {
    case .success(let tag):
      ChurnJournal.fill(wanted.bytes, version: version)
      return tag == version && memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) == 0
    case .failure(.session(.damaged, let reason)):
      #expect(reason.contains("slot "))
      return nil
    case .failure(let error): throw error
    }
  }

  @Test("the first page needs a small part of the index")
  func firstPage() throws {
    let slots = 14_000
    let disk = try SimulatedDisk(7, slots: slots, seed: 7)
    let handles = try suspended(disk, pages: 20_000)
    let store = try Store(
      configuration: configuration(.resume(force: false)), chain: [try Self.tier.get(), disk.tier()],
      environment: manual)
    #expect(try peek(store, handles[10_000], 10_000) == true)
    // What is read from here on is damaged: what was read before is not read again.
    try flip(disk, 0..<slots)
    #expect(try peek(store, handles[300], 300) == nil)
    #expect(try peek(store, handles[19_999], 19_999) == nil)
    try flip(disk, 0..<slots)
    #expect(try peek(store, handles[300], 300) == true)
    try store.finishResuming()
    for (version, handle) in handles.enumerated() { #expect(try peek(store, handle, UInt64(version)) == true) }
    store.close()
  }

  @Test("a damaged index costs the pages of that part of it; nothing is written to the session then")
  func damagedIndex() throws {
    let slots = 1200
    let disk = try SimulatedDisk(8, slots: slots, seed: 8)
    let handles = try suspended(disk, pages: 1500)
    let chain = [try Self.tier.get(), disk.tier()]
    var (seen, fewest) = (0, Int.max)
    var random = SeededRandom(TestSeed.value, "damaged index")
    for slot in (0..<slots).shuffled(using: &random) {
      try flip(disk, [slot])
      defer { try? flip(disk, [slot]) }
      let opened = Result { () throws(StoreError) -> Store in
        try Store(configuration: configuration(.resume(force: false)), chain: chain, environment: manual)
      }
      // The head, the tail or a delta: then nothing can be had.
      guard case .success(let store) = opened else { continue }
      defer { store.close() }
      guard
        case .failure(.session(.damaged, let reason)) = Result(catching: { () throws(StoreError) in
          try store.finishResuming()
        })
      else { continue }
      #expect(reason.contains("slot \(slot)"), "\(reason), not \(slot)")
      var lost = 0
      for (version, handle) in handles.enumerated() {
        switch try peek(store, handle, UInt64(version)) {
        case true?: break
        case false?: Issue.record("page \(version) has wrong contents")
        case nil: lost += 1
        }
      }
      #expect(lost > 0)
      fewest = min(fewest, lost)
      let page = PageBuffer()
      ChurnJournal.fill(page.bytes, version: 1)
      _ = try store.put(page.read, tag: 1)
      for what in ["checkpoint", "suspend"] {
        let refused = Result(catching: { () throws(StoreError) in
          _ = what == "suspend" ? try store.suspend() : try store.checkpoint()
        })
        guard case .failure(.session(.damaged, _)) = refused else {
          Issue.record("a \(what) over a damaged index: \(refused)")
          continue
        }
      }
      seen += 1
      if seen == 6 { break }
    }
    #expect(seen == 6, "no slot of the index was met")
    // Not those few that tell where the others are.
    #expect(fewest < handles.count / 2)
    let store = try Store(configuration: configuration(.resume(force: false)), chain: chain)
    for (version, handle) in handles.enumerated() { #expect(try peek(store, handle, UInt64(version)) == true) }
    store.close()
  }

  /// Never the same one twice: at most three reads of the index are under way, and what is done once more follows them.
  @Test("a read that gives other bytes is done once more: the index and its pages are right", arguments: [6, 7, 11])
  func flippedReads(every reads: Int) throws {
    let disk = try SimulatedDisk(7, slots: 14_000, seed: 7)
    let handles = try suspended(disk, pages: 12_000)
    let chain = [try Self.tier.get(), disk.tier()]
    let page = PageBuffer()
    // A delta that is more than a page.
    let first = try Store(configuration: configuration(.resume(force: false)), chain: chain)
    for version in stride(from: 0, to: handles.count, by: 12) {
      ChurnJournal.fill(page.bytes, version: UInt64(version))
      try first.replace(handles[version], with: page.read)
    }
    #expect(try !first.checkpoint().isWhole)
    try first.suspend()
    try disk.setFlips(every: reads)
    let store = try Store(configuration: configuration(.resume(force: false)), chain: chain, environment: manual)
    try store.finishResuming()
    #expect(try disk.damagedReads > 10)
    for (version, handle) in handles.enumerated() { #expect(try peek(store, handle, UInt64(version)) == true) }
    store.close()
    // Twice the same is damage.
    try disk.setFlips(every: 1)
    let refused = Result { () throws(StoreError) -> Store in
      try Store(configuration: configuration(.resume(force: false)), chain: chain, environment: manual)
    }
    guard case .failure(.session(.damaged, _)) = refused else {
      Issue.record("opened over a disk that gives other bytes all the time: \(refused)")
      return
    }
    try disk.setFlips(every: 0)
    try Store(configuration: configuration(.resume(force: false)), chain: chain, environment: manual).suspend()
  }

  @Test("reads of the index that come to nothing are tried again, and keep neither memory nor requests")
  func lateReads() throws {
    let disk = try SimulatedDisk(8, slots: 30_000, seed: 8)
    let handles = try suspended(disk, pages: 40_000)
    let chain = [try Self.tier.get(), disk.tier()]
    let undisturbed = try Store(configuration: configuration(.resume(force: false)), chain: chain)
    try undisturbed.finishResuming()
    let ramBytes = undisturbed.statistics().ramBytes
    undisturbed.close()
    try disk.setFault(.hang, 600)
    var store: Store?
    for _ in 0..<1000 where store == nil {
      store = try? Store(configuration: configuration(.resume(force: false)), chain: chain)
    }
    let resumed = try #require(store)
    var (failures, isThere) = (0, false)
    for _ in 0..<3000 where !isThere {
      switch Result(catching: { () throws(StoreError) in try resumed.finishResuming() }) {
      case .success: isThere = true
      case .failure(.unavailable): failures += 1
      case .failure(let error): throw error
      }
    }
    #expect(isThere && failures > 20, "\(failures)")
    try disk.setFault(.hang, 0)
    let now = resumed.statistics().ramBytes
    #expect(now <= ramBytes + 512 << 10, "\(now) bytes, \(ramBytes) without trouble")
    for (version, handle) in handles.enumerated() { #expect(try peek(resumed, handle, UInt64(version)) == true) }
    try resumed.suspend()
  }

  /// Does something to every third page. What is left: each one's version, `.max` when its contents are what they were.
  private func churn(_ store: Store, _ handles: [Handle], _ number: Int, _ seeded: SeededRandom) throws -> [Handle:
    UInt64]
  {
    var random = seeded
    let page = PageBuffer()
    var own: [Handle: UInt64] = [:]
    for index in stride(from: number, to: handles.count, by: 3).shuffled(using: &random) {
      let handle = handles[index]
      let choice = random.next() % 8
      let version = random.next() % 1_000_000_000
      switch choice {
      case 0: try store.take(handle, into: page.bytes)
      case 1: try store.discard(handle)
      case 2:
        ChurnJournal.fill(page.bytes, version: version)
        try store.replace(handle, with: page.read)
        own[handle] = version
      case 3:
        try store.touch(handle)
        own[handle] = .max
      case 4:
        ChurnJournal.fill(page.bytes, version: version)
        own[try store.put(page.read, tag: version)] = version
        own[handle] = .max
      default: own[handle] = .max
      }
    }
    return own
  }

  @Test("threads take, replace and discard while the index is read; the next resume has what they left")
  func useMeanwhile() throws {
    let disk = try SimulatedDisk(9, slots: 20_000, seed: 9)
    var handles = try suspended(disk, pages: 24_000)
    let chain = [try Self.tier.get(), disk.tier()]
    var contents: [Handle: UInt64] = [:]
    for round in 0..<3 {
      let store = try Store(configuration: configuration(.resume(force: false), memory: 8 << 20), chain: chain)
      // Each thread has every third page; what becomes of them.
      let versions = Locked<[Handle: UInt64]>([:])
      let old = handles
      let threads = (0..<3).map { number in
        Background {
          let outcome = Result {
            try churn(store, old, number, SeededRandom(TestSeed.value, "round \(round), thread \(number)"))
          }
          switch outcome {
          case .success(let own): versions.withLock { $0.merge(own) { first, _ in first } }
          case .failure(let error): Issue.record("\(error)")
          }
        }
      }
      for thread in threads { thread.join() }
      let now = versions.withLock { $0 }
      if round == 1 { try store.checkpoint() }
      try store.suspend()
      let resumed = try Store(configuration: configuration(.resume(force: false)), chain: chain)
      var count = 0
      try resumed.forEachPage { _ in count += 1 }
      #expect(count == now.count)
      let (page, wanted) = (PageBuffer(), PageBuffer())
      for (handle, version) in now {
        let tag = try resumed.peek(handle, into: page.bytes)
        // What was left alone in all rounds has the contents that its tag tells.
        contents[handle] = version == .max ? contents[handle] ?? tag : version
        ChurnJournal.fill(wanted.bytes, version: contents[handle] ?? 0)
        #expect(memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) == 0)
      }
      try resumed.suspend()
      handles = Array(now.keys)
    }
  }

  @Test("pages that are loaded ahead are right, and go down again at no cost")
  func preload() throws {
    let disk = try SimulatedDisk(10, slots: 20_000, seed: 10)
    let handles = try suspended(disk, pages: 12_000)
    let chain = [try Self.tier.get(), disk.tier()]
    let store = try Store(configuration: configuration(.resume(force: false), memory: 192 << 20), chain: chain)
    let report = try store.preload()
    #expect(report.pages == 12_000 && report.pagesLeft == 0 && report.bytesRead > 0, "\(report)")
    for (version, handle) in handles.enumerated() { #expect(try peek(store, handle, UInt64(version)) == true) }
    let checkpoint = try store.checkpoint()
    #expect(checkpoint.pagesWritten == 0 && checkpoint.pages == 12_000)
    // They leave RAM without being written.
    try store.setMemoryLimit(6 << 20)
    #expect(store.waitUntilSettled(timeout: .seconds(30)))
    for (version, handle) in handles.enumerated() { #expect(try peek(store, handle, UInt64(version)) == true) }
    try store.suspend()
    // Little room: as many as fit.
    let small = try Store(configuration: configuration(.resume(force: false), memory: 6 << 20), chain: chain)
    let part = try small.preload()
    #expect(part.pages > 0 && part.pagesLeft > 0)
    for (version, handle) in handles.enumerated() { #expect(try peek(small, handle, UInt64(version)) == true) }
    try small.suspend()
  }
}
