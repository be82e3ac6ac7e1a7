// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport

/// A store with a session on a disk that loses power, and what its owner knows of it: everything from one seed.
final class SessionWorld: @unchecked Sendable {
  struct Page: Equatable {
    var contents: Contents
    var tag: UInt64
    var kind: PageKind
  }

  /// What was counted over all lives.
  struct Counts {
    var crashes = 0
    var resumes = 0
    var suspends = 0
    var checkpoints = 0
    var pagesCompared = 0
    var failedCheckpoints = 0
    var interleaved = 0
    var automatic = 0
  }

  let seed: UInt64
  let disk: SimulatedDisk
  private let chain: [ChainTier]
  private(set) var random: SeededRandom
  private(set) var counts = Counts()
  private(set) var failures: [String] = []
  private let buffer = PageBuffer(4096)
  private var clock: UInt64 = 1_000_000_000

  private var store: Store?
  private var live: [Handle: Page] = [:]
  private var order: [Handle] = []
  /// By checkpoint: the persistent pages at its cut.
  private var cuts: [UInt64: [Handle: Page]] = [:]
  /// The last checkpoint that is known to hold.
  private var completed: UInt64 = 0
  /// Every handle that was ever given out.
  private var issued: Set<Handle> = []
  /// Handles that ended since the last resume, and some of earlier lives.
  private var ended: [Handle] = []
  private var isInterleaving = false
  private let target: Int
  private let interleaves: Bool

  init(_ seed: UInt64, disk number: Int, tiers: [ChainTier], slots: Int, interleaves: Bool) throws {
    self.seed = seed
    random = SeededRandom(seed, "session world")
    disk = try SimulatedDisk(number, slots: slots, seed: seed &* 31)
    chain = tiers + [disk.tier()]
    target = 100 + random.below(500)
    self.interleaves = interleaves
  }

  deinit { buffer.deallocate() }

  private func fail(_ text: String) {
    if failures.count < 4 { failures.append("\(text) (seed \(seed), life \(counts.resumes + counts.crashes))") }
  }

  // MARK: The store

  private var environment: Environment {
    var environment = Environment(
      now: { [unowned self] in
        clock += 1000
        return clock
      },
      random: { [unowned self] in random.next() }, scheduling: .manual)
    environment.atCut = { [unowned self] number in cuts[number] = live.filter { $0.value.kind == .persistent } }
    return environment
  }

  private func configuration(_ start: SessionConfiguration.Start) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: 3 << 20)
    configuration.workers = 1
    configuration.session = SessionConfiguration(name: "world", attributes: ["seed": "\(seed)"], start: start)
    return configuration
  }

  private func open(_ start: SessionConfiguration.Start) throws -> Store {
    let destructor: Destructor = { [unowned self] page in
      if page.reason == .unreadable { fail("page \(page.handle) was dropped as unreadable") }
      forget(page.handle)
    }
    return try Store(configuration: configuration(start), chain: chain, environment: environment, destructor: destructor)
  }

  /// One life: some work, with checkpoints, until the power fails or the store is suspended.
  func life(operations: Int) throws {
    if store == nil { store = try open(.create(replacing: false)) }
    guard let store else { return }
    let isCrash = !random.one(in: 6)
    if isCrash { try disk.dies(in: 1 + random.below(random.one(in: 2) ? 60 : 600)) }
    try disk.setFaults(syncs: random.one(in: 4) ? 60 : 0, writes: random.one(in: 4) ? 20 : 0)
    for _ in 0..<operations where failures.isEmpty {
      if try disk.isDead { break }
      step(store)
    }
    try disk.setFaults()
    // What its close ends was not ended by the owner.
    let known = (live, order)
    if isCrash || !suspend(store) { try crash(store) }
    (live, order) = known
    self.store = nil
    guard failures.isEmpty else { return }
    try resume()
  }

  private func suspend(_ store: Store) -> Bool {
    do {
      let report = try store.suspend()
      completed = report.sequence
      counts.suspends += 1
      return true
    } catch {
      counts.failedCheckpoints += 1
      return false
    }
  }

  private func crash(_ store: Store) throws {
    try disk.dies(in: 1)
    store.close()
    try disk.crash()
    counts.crashes += 1
  }

  // MARK: Work

  private func step(_ store: Store) {
    let before = store.sessionSequence
    for _ in 0..<random.below(3) { store.step() }
    noteAutomatic(store, since: before)
    switch random.below(100) {
    case 0..<2: checkpoint(store)
    case 2..<4: try? store.flush(timeout: .seconds(1000))
    default: operate(store)
    }
  }

  private func checkpoint(_ store: Store) {
    current = self
    do {
      if interleaves { try disk.setInterleave(interleaveNow) }
      let report = try store.checkpoint()
      if report.sequence <= completed { fail("checkpoint \(report.sequence) after \(completed)") }
      completed = report.sequence
      counts.checkpoints += 1
    } catch {
      counts.failedCheckpoints += 1
    }
    try? disk.setInterleave(nil)
    current = nil
  }

  /// Called in the middle of a checkpoint.
  func interleave() {
    guard let store, !isInterleaving else { return }
    isInterleaving = true
    defer { isInterleaving = false }
    for _ in 0..<random.below(4) {
      operate(store)
      counts.interleaved += 1
    }
  }

  private func operate(_ store: Store) {
    let before = store.sessionSequence
    perform(store)
    if !isInterleaving { noteAutomatic(store, since: before) }
  }

  /// The store may make a checkpoint by itself.
  private func noteAutomatic(_ store: Store, since before: UInt64) {
    guard before != store.sessionSequence else { return }
    counts.automatic += 1
    completed = store.sessionSequence
  }

  private func perform(_ store: Store) {
    let grows = live.count < target / 2 + random.below(target)
    do {
      switch random.below(grows ? 14 : 8) {
      case 0, 1: try end(store, takes: true)
      case 2: try end(store, takes: false)
      case 3: try peek(store)
      case 4:
        guard let handle = pick() else { return }
        try store.touch(handle)
      case 5, 6: try replace(store)
      case 7 where !ended.isEmpty: tryStale(store)
      default: try put(store)
      }
    } catch let error as StoreError {
      switch error {
      case .full, .unavailable, .closed: break
      default: fail("\(error)")
      }
    } catch { fail("\(error)") }
  }

  private func pick() -> Handle? { order.isEmpty ? nil : order[random.below(order.count)] }

  private func forget(_ handle: Handle) {
    guard live.removeValue(forKey: handle) != nil else { return }
    if let at = order.firstIndex(of: handle) { order.swapAt(at, order.count - 1) }
    order.removeLast()
    ended.append(handle)
    if ended.count > 64 { ended.remove(at: random.below(ended.count)) }
  }

  private func put(_ store: Store) throws {
    let contents = Contents.random(&random)
    let kind: PageKind = random.one(in: 8) ? .discardable : .persistent
    let tag = random.next()
    buffer.fill(contents)
    let handle = try store.put(buffer.read, tag: tag, kind: kind)
    if !issued.insert(handle).inserted { fail("handle \(handle) was given out twice") }
    live[handle] = Page(contents: contents, tag: tag, kind: kind)
    order.append(handle)
  }

  private func replace(_ store: Store) throws {
    guard let handle = pick() else { return }
    let contents = Contents.random(&random)
    buffer.fill(contents)
    try store.replace(handle, with: buffer.read)
    live[handle]?.contents = contents
  }

  private func end(_ store: Store, takes: Bool) throws {
    guard let handle = pick(), let page = live[handle] else { return }
    if takes {
      let tag = try store.take(handle, into: buffer.bytes)
      compare(handle, page, tag)
    } else {
      try store.discard(handle)
    }
    forget(handle)
  }

  private func peek(_ store: Store) throws {
    guard let handle = pick(), let page = live[handle] else { return }
    compare(handle, page, try store.peek(handle, into: buffer.bytes))
  }

  private func compare(_ handle: Handle, _ page: Page, _ tag: UInt64) {
    if tag != page.tag { fail("page \(handle) has another tag") }
    if !buffer.matches(page.contents) { fail("page \(handle) has other contents") }
  }

  private func tryStale(_ store: Store) {
    let handle = ended[random.below(ended.count)]
    guard live[handle] == nil else { return }
    do {
      _ = try store.peek(handle, into: buffer.bytes)
      fail("handle \(handle) of a page that ended is good again")
    } catch StoreError.staleHandle { } catch StoreError.unavailable { } catch { fail("\(error)") }
  }

  // MARK: Resuming

  private func resume() throws {
    do {
      let store = try open(.resume(force: false))
      self.store = store
      counts.resumes += 1
      compareAll(store)
    } catch StoreError.session(.none, _) where completed == 0 {
      // A new one begins, which knows nothing of the old one's handles.
      (live, order, ended) = ([:], [], [])
      (cuts, issued) = ([:], [])
    } catch {
      fail("checkpoint \(completed) holds, but: \(error)")
    }
  }

  private func compareAll(_ store: Store) {
    let sequence = store.sessionSequence
    guard sequence >= completed, let expected = cuts[sequence] else {
      return fail("resumed checkpoint \(sequence), of \(cuts.keys.sorted().suffix(4)); \(completed) had completed")
    }
    completed = sequence
    for handle in live.keys where expected[handle] == nil { ended.append(handle) }
    live = expected
    order = expected.keys.sorted { $0.rawValue < $1.rawValue }
    cuts = [sequence: expected]
    var found = 0
    do {
      try store.forEachPage { page in
        found += 1
        if expected[page.handle]?.tag != page.tag { fail("page \(page.handle) was not there at the cut") }
      }
      if found != expected.count { fail("\(found) pages are there of \(expected.count)") }
      for handle in order {
        guard let page = expected[handle] else { continue }
        compare(handle, page, try store.peek(handle, into: buffer.bytes))
        counts.pagesCompared += 1
      }
      for handle in ended where live[handle] == nil { check(stale: handle, store) }
    } catch { fail("after a resume: \(error)") }
  }

  private func check(stale handle: Handle, _ store: Store) {
    do {
      _ = try store.peek(handle, into: buffer.bytes)
      fail("handle \(handle), of no page at the cut, is good")
    } catch StoreError.staleHandle { } catch { fail("\(error)") }
  }

  func close() { store?.close() }
}

/// Whose checkpoint is being made; simulations run one at a time.
nonisolated(unsafe) private var current: SessionWorld?
private let interleaveNow: @convention(c) () -> Void = { current?.interleave() }

extension Store {
  var sessionSequence: UInt64 { sessionSummary?.sequence ?? 0 }
}
