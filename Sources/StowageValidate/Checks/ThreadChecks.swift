// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine
internal import Synchronization

/// Calls side by side.
enum ThreadChecks {
  static let all = [contextMoves, transforms, backings, serialised]

  private static let threadCount = 4

  static let contextMoves = Check(
    "threads-context-moves", .threads, needs: ["life-open"],
    proves: "A context works on other threads than the one that opened it, and is closed on another.",
    advice: "Keep in the context what belongs to it, not in thread-local storage; a context belongs to no thread."
  ) { run in
    let loaded = try run.load()
    let tier = try OpenTier(loaded, try loaded.table())
    guard tier.hasContexts else { throw run.notApplicable("the tier has no contexts") }
    let context = Shared(try tier.context())
    for round in 0..<run.times(10) where !run.isLate || round < 2 {
      // What comes of it is the business of other checks, but it must be the same on every thread.
      let here = useOnce(tier, context.value, id: UInt64(round + 1))
      let there = Mutex<[UInt8]>([])
      try CheckThreads.run(1) { _ in
        let seen = useOnce(tier, context.value, id: UInt64(round + 1))
        there.withLock { $0 = seen.bytes }
        guard seen.code == here.code else {
          throw run.fail(
            "a page gave \(TierResult.name(here.code)) on the thread that opened the context, "
              + "and \(OpenTier.said(seen.code)) on another")
        }
      }
      try run.expect(there.withLock { $0 } == here.bytes, "a page came back changed on another thread")
    }
    try CheckThreads.run(1) { _ in tier.end(context.value) }
    tier.close()
  }

  /// A context on its way to another thread: one thread at a time uses it.
  private struct Shared: @unchecked Sendable {
    let value: OpaquePointer?
    init(_ value: OpaquePointer?) { self.value = value }
  }

  /// One page there and back, on any thread: the first error, or OK, and what came back.
  private static func useOnce(_ tier: OpenTier, _ context: OpaquePointer?, id: UInt64) -> (code: Int32, bytes: [UInt8])
  {
    let (page, back) = (PlainRoom(3 * tier.pageSize), PlainRoom(3 * tier.pageSize))
    for index in 0..<tier.pageSize {
      page.base.storeBytes(of: UInt8(index / 64 & 255), toByteOffset: index, as: UInt8.self)
    }
    if tier.table.role == .backing {
      let written = tier.write(context, slot: Int(id % 8), count: 1, page.base)
      guard written == STOWAGE_OK else { return (written, []) }
      let read = tier.read(context, slot: Int(id % 8), count: 1, back.base)
      return (read, tier.isLossy ? [] : back.bytes(tier.pageSize))
    }
    let (output, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
    let object = tier.object(id, length: tier.pageSize)
    let (code, length) = tier.encode(
      context, object, page.base, output.base, room: tier.room(for: tier.pageSize), tier.sidecar(sidecar.base))
    guard code == STOWAGE_OK else { return (code, []) }
    let decoded = tier.decode(context, object, output.base, length: length, back.base, tier.sidecar(sidecar.base))
    return (decoded, tier.isLossy ? [] : back.bytes(tier.pageSize))
  }

  static let transforms = Check(
    "threads-transform", .threads, scope: .transforms, needs: ["transform-any-order"], timeLimit: .seconds(20),
    proves: "A tier that calls itself parallel gives right results to several threads at once, "
      + "each with a context of its own.",
    advice: "Share nothing that changes between contexts, or guard it; or declare another thread model."
  ) { run in
    let tier = try run.open(.transform)
    guard tier.table.threadModel == .parallel else { throw run.notApplicable("the tier takes one call at a time") }
    let rounds = run.times(150)
    let (done, ended) = (Counter(), Counter())
    try CheckThreads.run(threadCount) { thread in
      // Contexts that end while others are at work are another check's business.
      var isCounted = false
      defer { if !isCounted { ended.add() } }
      let bench = try TransformBench(tier)
      let pages = SamplePages(run)
      var random = SeededRandom(seed: run.order.seed &+ UInt64(thread))
      for round in 0..<rounds where !run.isLate || round < 10 {
        for (index, kind) in SamplePages.Kind.allCases.enumerated() {
          let page = pages.bytes(kind, length: tier.pageSize, &random)
          let id = UInt64(thread * 1_000_000 + round * 10 + index + 1)
          guard let encoding = try bench.encode(page, id: id) else { continue }
          let (code, output) = bench.decode(encoding)
          done.add()
          guard !tier.isLossy else { continue }
          guard code == STOWAGE_OK else {
            throw run.fail("decode, with other threads at work, answered \(OpenTier.said(code))")
          }
          guard output == page else {
            throw run.fail(
              "a page came back changed, with other threads at work: \(TransformBench.difference(page, output))")
          }
        }
      }
      ended.add()
      isCounted = true
      while ended.value < threadCount { usleep(200) }
      tier.end(bench.context)
    }
    guard done.value > 0 else { throw run.notRun("nothing was encoded") }
    try run.expect(true, "")
    run.summary = "\(done.value) pages on \(threadCount) threads"
    tier.close()
  }

  static let backings = Check(
    "threads-backing", .threads, scope: .backings, needs: ["backing-model"], timeLimit: .seconds(20),
    proves: "A tier that calls itself parallel gives right results to several threads at once, at different slots.",
    advice: "Share no buffer between calls, or guard it; or declare another thread model."
  ) { run in
    let tier = try run.open(.backing)
    guard tier.table.threadModel == .parallel else { throw run.notApplicable("the tier takes one call at a time") }
    let rounds = run.times(300)
    try CheckThreads.run(threadCount) { thread in
      // Of every four slots one is this thread's.
      let bench = try BackingBench(tier)
      var random = SeededRandom(seed: run.order.seed &+ UInt64(thread))
      let turns = bench.slots / threadCount
      guard turns > 0 else { return }
      for version in 1...rounds where !run.isLate || version < 10 {
        let slot = random.below(turns) * threadCount + thread
        bench.prepare(slot, [version])
        let written = tier.write(bench.context, slot: slot, count: 1, bench.room.base)
        guard written == STOWAGE_OK else {
          throw run.fail("write, with other threads at work, answered \(OpenTier.said(written))")
        }
        bench.soil()
        let read = tier.read(bench.context, slot: slot, count: 1, bench.room.base)
        guard read == STOWAGE_OK || tier.isLossy else {
          throw run.fail("read, with other threads at work, answered \(OpenTier.said(read))")
        }
        guard bench.holds(bench.room.base, slot: slot, version: version) else {
          throw run.fail("slot \(slot) does not hold what was written to it, with other threads at work at other slots")
        }
      }
      tier.end(bench.context)
    }
    try run.expect(true, "")
    run.summary = "\(rounds) writes and reads on each of \(threadCount) threads"
    tier.close()
  }

  /// Counts on several threads.
  private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .acquiring) }
    func add() { count.add(1, ordering: .acquiringAndReleasing) }
  }

  // MARK: The host's part

  static let serialised = Check(
    "threads-serialised", .threads, needs: ["life-open"], timeLimit: .seconds(20), opensStore: true,
    proves:
      "In a store that several threads use, a tier that takes one call at a time gets one at a time, and serves them.",
    advice: "Calls come from any thread, even if one at a time: keep nothing in thread-local storage between them."
  ) { run in
    let loaded = try run.load()
    let table = try loaded.table()
    guard table.threadModel != .parallel else { throw run.notApplicable("the tier takes calls side by side") }
    guard !table.flags.contains(.lossy) else { throw run.notApplicable("no store takes a lossy tier") }
    let watched = try TierTable(descriptor: CallWatch.between(loaded.raw), file: run.order.file)
    let store = try openStore(run, watched, table)
    try StoreDrive(run, store).go()
    store.close()
    let (most, count) = CallWatch.seen
    guard count > 0 else { throw run.notRun("the store made no call into the tier") }
    try run.expect(most <= 1, "\(most) calls were in the tier at one time, which takes one at a time")
    run.summary = "\(count) calls"
  }

  /// A store over this tier alone; twice, where one call at a time is meant for all instances.
  private static func openStore(_ run: CheckRun, _ watched: TierTable, _ table: TierTable) throws -> Store {
    var configuration = StoreConfiguration(memoryLimit: 24 << 20)
    configuration.storeLimit = 512 << 10
    configuration.workers = 2
    configuration.putPatience = .seconds(2)
    var tier = ChainTier(watched)
    tier.options = try OpenArguments(run, table).values
    var second = ChainTier(watched, name: "\(table.name)-2")
    second.options = try OpenArguments(run, table, suffix: "-2").values
    if table.threadModel == .oneForAll, let store = try? Store(configuration: configuration, chain: [tier, second]) {
      return store
    }
    do { return try Store(configuration: configuration, chain: [tier]) } catch {
      throw run.notRun("no store can be opened over it alone: \(error)")
    }
  }
}

/// Several threads that put pages into a store and take them out again.
private struct StoreDrive: Sendable {
  let run: CheckRun
  let store: Store

  init(_ run: CheckRun, _ store: Store) { (self.run, self.store) = (run, store) }

  func go() throws {
    let count = run.times(3000)
    try CheckThreads.run(4) { thread in
      var random = SeededRandom(seed: run.order.seed &+ UInt64(thread))
      let pages = SamplePages(run)
      var kept: [(handle: Handle, page: [UInt8])] = []
      for round in 0..<count where !run.isLate || round < 100 {
        if kept.count < 300, random.below(3) > 0 {
          let page = pages.bytes(random.below(2) == 0 ? .text : .stripes, length: store.pageSize, &random)
          guard let handle = try put(page) else { break }
          kept.append((handle, page))
        } else if !kept.isEmpty {
          try take(kept.remove(at: random.below(kept.count)))
        }
      }
      for entry in kept { try take(entry) }
    }
    try run.expect(true, "")
  }

  /// Nil when the store is full.
  private func put(_ page: [UInt8]) throws -> Handle? {
    do { return try page.withUnsafeBytes { try store.put($0, tag: 0) } } catch StoreError.full {
      return nil
    } catch { throw run.fail("a store over it could not put a page: \(error)") }
  }

  private func take(_ entry: (handle: Handle, page: [UInt8])) throws {
    let room = PlainRoom(store.pageSize)
    do {
      try store.take(entry.handle, into: UnsafeMutableRawBufferPointer(start: room.base, count: store.pageSize))
    } catch {
      throw run.fail("a store over it could not take a page: \(error)")
    }
    guard room.bytes(store.pageSize) == entry.page else { throw run.fail("a store over it gave a page back changed") }
  }
}
