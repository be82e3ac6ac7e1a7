// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// Many checkpoints with few changes each: what they write of the index, and that nothing is lost by that.
@Suite(.serialized) struct DeltaTests {
  /// A store without threads on a disk in memory, and what its owner knows.
  private final class Owner {
    static let tier = Result { ChainTier(try TestTier(.lzTransparent).table, name: "lz") }
    private static let numbers = TestSeed.numbers("deltas")

    let disk: SimulatedDisk
    let store: Store
    let deltasMax: Int
    var pages: [Handle: UInt64] = [:]
    var handles: [Handle] = []
    var random: SeededRandom
    private var version: UInt64 = 0
    private let page = PageBuffer()
    private let wanted = PageBuffer()

    init(_ disk: SimulatedDisk, seed: UInt64, deltasMax: Int = .max) throws {
      (self.disk, self.deltasMax) = (disk, deltasMax)
      random = SeededRandom(seed: seed)
      store = try Self.open(disk, .create(replacing: false), deltasMax: deltasMax)
    }

    static func open(_ disk: SimulatedDisk, _ start: SessionConfiguration.Start, deltasMax: Int) throws -> Store {
      var configuration = StoreConfiguration(memoryLimit: 24 << 20)
      configuration.workers = 1
      configuration.session = SessionConfiguration(name: "deltas", start: start)
      configuration.session?.deltasMax = deltasMax
      let environment = Environment(
        now: { DispatchTime.now().uptimeNanoseconds }, random: numbers, scheduling: .manual)
      return try Store(configuration: configuration, chain: [try tier.get(), disk.tier()], environment: environment)
    }

    /// Three words over and over, so that thousands of pages are few frames; some that are a frame each.
    private func nextVersion() -> UInt64 {
      version += 4
      return random.below(50) == 0 ? version + 3 : version
    }

    func put(_ count: Int) throws {
      for _ in 0..<count {
        let version = nextVersion()
        ChurnJournal.fill(page.bytes, version: version)
        let handle = try store.put(page.read, tag: version)
        #expect(pages.updateValue(version, forKey: handle) == nil, "a handle was given twice")
        handles.append(handle)
      }
    }

    /// - Parameter hot: of so many pages only.
    func change(_ count: Int, hot: Int? = nil) throws {
      for _ in 0..<count {
        let at = random.below(hot ?? handles.count)
        let handle = handles[at]
        switch hot == nil ? random.below(10) : 0 {
        case 0..<6:
          let version = nextVersion()
          ChurnJournal.fill(page.bytes, version: version)
          try store.replace(handle, with: page.read)
          pages[handle] = version
        case 6, 7:
          if random.below(2) == 0 { try store.take(handle, into: page.bytes) } else { try store.discard(handle) }
          pages[handle] = nil
          handles.swapAt(at, handles.count - 1)
          handles.removeLast()
        case 8: try put(1)
        default: try store.touch(handle)
        }
      }
    }

    /// The power fails on a disk that is as this one is now; what is resumed there is compared, page for page.
    func checkAfterCrash(_ copy: SimulatedDisk) throws {
      try copy.copy(disk)
      try copy.crash(seed: random.next())
      let resumed = try Self.open(copy, .resume(force: false), deltasMax: deltasMax)
      #expect(resumed.sessionSummary?.sequence == store.sessionSummary?.sequence)
      try check(resumed)
      // No slot is lost to what was merged, or to attempts that failed.
      #expect(resumed.sessionSummary?.slotsUsed == store.sessionSummary?.slotsUsed)
      // And gone on with: what it merges are deltas that it has read.
      for _ in 0..<3 { try resumed.checkpoint() }
      resumed.close()
      let again = try Self.open(copy, .resume(force: false), deltasMax: deltasMax)
      try check(again)
      again.close()
    }

    func check(_ store: Store) throws {
      var found: Set<Handle> = []
      try store.forEachPage { found.insert($0.handle) }
      #expect(found == Set(pages.keys))
      var wrong = 0
      for (handle, version) in pages {
        let tag = try store.peek(handle, into: page.bytes)
        ChurnJournal.fill(wanted.bytes, version: version)
        if memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) != 0 || tag > version { wrong += 1 }
      }
      #expect(wrong == 0, "\(wrong) of \(pages.count) pages are wrong")
    }
  }

  @Test("300 checkpoints of ten changes write less of the index than three whole ones of 50,000 pages")
  func fewChanges() throws {
    let copy = try SimulatedDisk(15, slots: 1, seed: 0)
    let owner = try Owner(try SimulatedDisk(14, slots: 6000, seed: 1), seed: TestSeed.value)
    try owner.put(50_000)
    let whole = try owner.store.checkpoint()
    #expect(whole.isWhole)
    var (written, merges, wholes) = (0, 0, 0)
    for round in 0..<300 {
      try owner.change(10)
      let report = try owner.store.checkpoint()
      written += report.indexBytes
      merges += report.deltasMerged > 0 ? 1 : 0
      wholes += report.isWhole ? 1 : 0
      if round % 60 == 59 || report.deltasMerged > 23 { try owner.checkAfterCrash(copy) }
    }
    print("deltas: whole \(whole.indexBytes), then \(written / 300) a checkpoint; \(merges) merges, \(wholes) whole")
    #expect(written < 3 * whole.indexBytes, "\(written) bytes, \(whole.indexBytes) for a whole index")
    #expect(merges > 5)
    owner.store.close()
  }

  @Test("the same pages changed again and again never lead to a whole index")
  func hotPages() throws {
    let copy = try SimulatedDisk(15, slots: 1, seed: 0)
    let owner = try Owner(try SimulatedDisk(14, slots: 4000, seed: 2), seed: TestSeed.value)
    try owner.put(10_000)
    try owner.store.checkpoint()
    for round in 0..<120 {
      try owner.change(600, hot: 400)
      let report = try owner.store.checkpoint()
      #expect(!report.isWhole)
      if round % 40 == 39 { try owner.checkAfterCrash(copy) }
    }
    owner.store.close()
  }

  @Test("merged all the time, with checkpoints that fail between, a session is what it was at its last one")
  func failures() throws {
    let copy = try SimulatedDisk(15, slots: 1, seed: 0)
    for deltasMax in 2...5 {
      let owner = try Owner(
        try SimulatedDisk(14, slots: 2000, seed: UInt64(deltasMax)), seed: TestSeed.value &+ UInt64(deltasMax), deltasMax: deltasMax)
      try owner.put(3000)
      #expect(try owner.store.checkpoint().isWhole)
      var (merges, failed) = (0, 0)
      for round in 0..<90 {
        try owner.change(10)
        // Whether the root holds is open then.
        try owner.disk.setFault(.root, owner.random.below(3) == 0 ? 1000 : 0)
        switch Result(catching: { () throws(StoreError) in try owner.store.checkpoint() }) {
        case .success(let report):
          #expect(!report.isWhole, "after a failure the whole index is written")
          merges += report.deltasMerged > 0 ? 1 : 0
          if round % 10 == 9 { try owner.checkAfterCrash(copy) }
        case .failure: failed += 1
        }
      }
      let summary = try #require(owner.store.sessionSummary)
      #expect(merges > 10 && failed > 10 && summary.mergesFailed > 0)
      #expect(summary.mergesBegun == merges + summary.mergesFailed)
      owner.store.close()
    }
  }
}
