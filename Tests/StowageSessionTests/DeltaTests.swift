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
    /// What a resume may find: what there was at the cut of the last checkpoint that holds, and of those after it of which
    /// it is open whether they do. By their numbers.
    private(set) var possible: [UInt64: [Handle: UInt64]] = [:]
    private let cut: Locked<UInt64>
    private var version: UInt64 = 0
    private let page = PageBuffer()
    private let wanted = PageBuffer()

    init(_ disk: SimulatedDisk, seed: UInt64, deltasMax: Int = .max) throws {
      (self.disk, self.deltasMax) = (disk, deltasMax)
      random = SeededRandom(seed: seed)
      let cut = Locked<UInt64>(0)
      self.cut = cut
      store = try Self.open(disk, .create(replacing: false), deltasMax: deltasMax) { number in cut.withLock { $0 = number } }
    }

    static func open(
      _ disk: SimulatedDisk, _ start: SessionConfiguration.Start, deltasMax: Int, atCut: (@Sendable (UInt64) -> Void)? = nil
    ) throws -> Store {
      var configuration = StoreConfiguration(memoryLimit: 24 << 20)
      configuration.workers = 1
      configuration.session = SessionConfiguration(name: "deltas", start: start)
      configuration.session?.deltasMax = deltasMax
      var environment = Environment(
        now: { DispatchTime.now().uptimeNanoseconds }, random: numbers, scheduling: .manual)
      environment.atCut = atCut
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

    /// - Parameter hot: of so many pages only, some of them far more often than others.
    func change(_ count: Int, hot: Int? = nil) throws {
      for _ in 0..<count {
        let at = hot.map(skewed) ?? random.below(handles.count)
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

    /// Below a bound; each number about as often as all those above it up to its double.
    private func skewed(_ bound: Int) -> Int {
      let share = Double(random.below(1 << 30)) / Double(1 << 30)
      return min(bound, Int(pow(Double(bound + 1), share))) - 1
    }

    /// - Parameter fault: what goes wrong: with the root always, and then it is open whether that holds; with others now
    ///   and then.
    /// - Returns: nil when it failed.
    func checkpoint(_ fault: SimulatedDisk.Fault? = nil) throws -> CheckpointReport? {
      if let fault { try disk.setFault(fault, fault == .root ? 1000 : 200) }
      let rootsFailed = try disk.count(.root)
      let result = Result { () throws(StoreError) in try store.checkpoint() }
      if let fault { try disk.setFault(fault, 0) }
      let number = cut.withLock { $0 }
      switch result {
      case .success(let report):
        #expect(report.sequence == number)
        possible = [number: pages]
        return report
      case .failure(let error):
        if fault == nil { throw error }
        if try disk.count(.root) > rootsFailed { possible[number] = pages }
        return nil
      }
    }

    /// The power fails on a disk that is as this one is now; what is resumed there is compared, page for page.
    /// - Parameter isSettled: the last checkpoint holds, and nothing has changed since.
    /// - Returns: whether it is a later one than the last checkpoint that is known to hold.
    @discardableResult func checkAfterCrash(_ copy: SimulatedDisk, isSettled: Bool = true) throws -> Bool {
      try copy.copy(disk)
      try copy.crash(seed: random.next())
      let resumed = try Self.open(copy, .resume(force: false), deltasMax: deltasMax)
      let number = try #require(resumed.sessionSummary?.sequence)
      let wanted = try #require(possible[number], "\(number) is none of \(possible.keys.sorted())")
      try check(resumed, wanted)
      // No slot is lost to what was merged, or to attempts that failed.
      if isSettled { #expect(resumed.sessionSummary?.slotsUsed == store.sessionSummary?.slotsUsed) }
      // And gone on with: what it merges are deltas that it has read.
      for _ in 0..<3 { try resumed.checkpoint() }
      resumed.close()
      let again = try Self.open(copy, .resume(force: false), deltasMax: deltasMax)
      try check(again, wanted)
      again.close()
      return number > possible.keys.min() ?? 0
    }

    private func check(_ store: Store, _ pages: [Handle: UInt64]) throws {
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
    let whole = try #require(try owner.checkpoint())
    #expect(whole.isWhole)
    var (written, merges, wholes) = (0, 0, 0)
    for round in 0..<300 {
      try owner.change(10)
      let report = try #require(try owner.checkpoint())
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

  /// - Parameters:
  ///   - hot: so many pages are changed, of 10,000; some of them in each round, most of them seldom.
  ///   - shareMax: what is written of the index at most, of what whole ones would have come to.
  @Test("the same pages changed again and again lead to a whole index never, more of them seldom", arguments: [
    (400, 0, 0.09), (10_000, 15, 0.24),
  ])
  func hotPages(hot: Int, wholesMax: Int, shareMax: Double) throws {
    let copy = try SimulatedDisk(15, slots: 1, seed: 0)
    let owner = try Owner(try SimulatedDisk(14, slots: 4000, seed: 2), seed: TestSeed.value)
    try owner.put(10_000)
    let whole = try #require(try owner.checkpoint())
    var (written, wholes, merges, most) = (0, 0, 0, 0)
    for round in 0..<120 {
      try owner.change(600, hot: hot)
      let report = try #require(try owner.checkpoint())
      written += report.indexBytes
      most = max(most, report.indexBytes)
      wholes += report.isWhole ? 1 : 0
      merges += report.deltasMerged > 0 ? 1 : 0
      if round % 40 == 39 { try owner.checkAfterCrash(copy) }
    }
    print(
      "deltas: \(hot) hot, whole \(whole.indexBytes), then \(written / 120) a checkpoint, at most \(most);",
      "\(merges) merges, \(wholes) whole")
    #expect(wholes <= wholesMax, "\(wholes)")
    if wholesMax == 0 { #expect(merges > 0) }
    #expect(Double(written) < shareMax * Double(120 * whole.indexBytes), "\(written / 120) of \(whole.indexBytes)")
    owner.store.close()
  }

  @Test("merged all the time, with checkpoints that fail between, a session is what it was at its last one")
  func failures() throws {
    let copy = try SimulatedDisk(15, slots: 1, seed: 0)
    var (doubts, held) = (0, 0)
    for deltasMax in 2...5 {
      let owner = try Owner(
        try SimulatedDisk(14, slots: 2000, seed: UInt64(deltasMax)), seed: TestSeed.value &+ UInt64(deltasMax), deltasMax: deltasMax)
      try owner.put(3000)
      #expect(try #require(try owner.checkpoint()).isWhole)
      var (merges, failed) = (0, 0)
      for round in 0..<120 {
        try owner.change(10)
        let fault: SimulatedDisk.Fault? = [.root, .full, nil, nil, nil][owner.random.below(5)]
        if let report = try owner.checkpoint(fault) {
          #expect(!report.isWhole, "after a failure the whole index is written")
          merges += report.deltasMerged > 0 ? 1 : 0
          if round % 10 == 9 { try owner.checkAfterCrash(copy) }
        } else {
          failed += 1
          // What has changed since is nobody's yet.
          if failed % 2 == 0 { try owner.change(10) }
          doubts += owner.possible.count > 1 ? 1 : 0
          held += try owner.checkAfterCrash(copy, isSettled: false) ? 1 : 0
        }
      }
      let summary = try #require(owner.store.sessionSummary)
      #expect(merges > 10 && failed > 10 && summary.mergesFailed > 0)
      #expect(summary.mergesBegun == merges + summary.mergesFailed)
      owner.store.close()
    }
    print("deltas: \(doubts) crashes in doubt, in \(held) of them the checkpoint held")
    #expect(held > 10 && doubts - held > 10, "\(held) of \(doubts)")
  }
}
