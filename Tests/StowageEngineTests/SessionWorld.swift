// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import StowageEngine
import StowageTestSupport

/// A store with a session on a disk that loses power, and what its owner knows of it: everything from one seed.
///
/// `SessionWorldWork.swift` has what the owner does, `SessionWorldCheck.swift` what he compares.
final class SessionWorld: @unchecked Sendable {
  struct Page: Equatable {
    var contents: Contents
    var tag: UInt64
    var kind: PageKind
  }

  /// What the owner knows.
  struct Knowledge {
    var live: [Handle: Page] = [:]
    var order: [Handle] = []
    /// By checkpoint: the persistent pages at its cut.
    var cuts: [UInt64: [Handle: Page]] = [:]
    /// The last checkpoint that is known to hold.
    var completed: UInt64 = 0
    /// Every handle that was ever given out.
    var issued: Set<Handle> = []
    /// Handles that ended since the last resume, and some of earlier lives.
    var ended: [Handle] = []
    /// Pages of this life that were said to be unreadable.
    var lost: Set<Handle> = []
    /// Pages that are gone and of which no destructor has told yet.
    var vanished: Set<Handle> = []
  }

  let seed: UInt64
  let disk: SimulatedDisk
  let profile: SessionProfile
  var random: SeededRandom
  var counts = SessionCounts()
  private(set) var failures: [String] = []
  let buffer = PageBuffer(4096)
  private var clock: UInt64 = 1_000_000_000
  var store: Store?
  var known = Knowledge()
  var isInterleaving = false
  /// Damaged reads of the disk before the store was opened.
  var readsAtOpen = 0
  /// The number of the key that is used.
  var key = 0
  private var lives = 0

  init(_ seed: UInt64, _ profile: SessionProfile, disk number: Int = 0) throws {
    self.seed = seed
    self.profile = profile
    random = SeededRandom(seed, "session world")
    disk = try SimulatedDisk(number, slots: profile.slots, seed: seed &* 31)
  }

  deinit { buffer.deallocate() }

  func fail(_ text: String) {
    if failures.count < 4 { failures.append("\(text) (seed \(seed), life \(lives))") }
  }

  // MARK: The store

  private var environment: Environment {
    var environment = Environment(
      now: { [unowned self] in
        clock += 1000
        return clock
      },
      random: { [unowned self] in random.next() }, scheduling: .manual)
    environment.atCut = { [unowned self] number in
      known.cuts[number] = known.live.filter { $0.value.kind == .persistent }
    }
    return environment
  }

  /// A call took time.
  func pass(_ nanoseconds: UInt64) { clock += nanoseconds }

  private func configuration(_ start: SessionConfiguration.Start) -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: 3 << 20)
    configuration.workers = 1
    configuration.storeLimit = profile.storeLimit
    configuration.session = SessionConfiguration(name: "world", attributes: ["seed": "\(seed)"], start: start)
    configuration.session?.deltasMax = profile.deltasMax
    return configuration
  }

  private var chain: [ChainTier] {
    var chain = profile.tiers
    for index in chain.indices where !profile.keys.isEmpty && chain[index].options["key-file"] != nil {
      chain[index].options["key-file"] = .text(profile.keys[key])
    }
    return chain + [disk.tier()]
  }

  func open(_ start: SessionConfiguration.Start) throws(StoreError) -> Store {
    let destructor: Destructor = { [unowned self] page in
      if page.reason == .unreadable { noteUnreadable(page.handle, since: readsAtOpen) }
      known.vanished.remove(page.handle)
      forget(page.handle)
    }
    return try Store(
      configuration: configuration(start), chain: chain, environment: environment, destructor: destructor)
  }

  /// Uses the disk as the one whose calls are simulated now.
  func begin() throws {
    current = self
    try disk.setClock(passTime)
    if store == nil { store = try open(.create(replacing: false)) }
  }

  func close() {
    store?.close()
    store = nil
    current = nil
  }

  // MARK: Lives

  /// One life: some work, with checkpoints, until the power fails or the store is suspended; then it is resumed.
  func life(operations: Int) throws {
    try begin()
    guard let store else { return }
    lives += 1
    let isCrash = !random.one(in: 6)
    if isCrash { try disk.dies(in: 1 + random.below(random.one(in: 2) ? 60 : 600)) }
    try setFaults()
    if profile.isDamaged, random.one(in: 3) { try damage() }
    for _ in 0..<operations where failures.isEmpty {
      if try disk.isDead { break }
      step(store)
    }
    try endFaults()
    if isCrash || !suspend(store) { try crash(store) } else { leave(store) }
    guard failures.isEmpty else { return }
    try resumeThroughFaults()
  }

  private func setFaults() throws {
    try disk.setFault(.sync, random.one(in: 4) ? 60 : 0)
    try disk.setFault(.full, random.one(in: 4) ? 20 : 0)
    try disk.setFault(.root, random.one(in: 4) ? 200 : 0)
    try disk.setFault(.capacity, random.one(in: 6) ? 10 : 0)
    try disk.setFault(.hang, profile.hangs ? 30 : 0)
    try disk.setFault(.flip, profile.isDamaged ? 10 : 0)
  }

  func endFaults() throws {
    for fault in SimulatedDisk.Fault.allCases { try disk.setFault(fault, 0) }
  }

  /// The disk returns other bytes than what was written to some slots, from now on.
  private func damage() throws {
    for _ in 0..<1 + random.below(5) {
      let isStale = random.one(in: 2)
      try disk.damage(slot: random.below(profile.slots), isStale: isStale, bit: random.below(1 << 15))
      if isStale { counts.staleSlots += 1 } else { counts.flippedSlots += 1 }
    }
  }

  func suspend(_ store: Store) -> Bool {
    do {
      let merges = store.sessionSummary?.mergesBegun ?? 0
      let report = try store.suspend()
      counts.merges += (store.sessionSummary?.mergesBegun ?? 0) - merges
      known.completed = report.sequence
      counts.suspends += 1
      return true
    } catch {
      counts.failedCheckpoints += 1
      return false
    }
  }

  /// The power fails, if it has not; and comes back.
  func crash(_ store: Store, during moment: String = "work") throws {
    try die(store, during: moment)
    try disk.crash()
    if profile.isDamaged, random.one(in: 4) { try damage() }
  }

  /// The power fails, if it has not.
  /// - Parameter outcomes: how often it comes back, each time otherwise.
  func die(_ store: Store?, during moment: String, outcomes: Int = 1) throws {
    let isAtRest = try !disk.isDead
    try disk.dies(in: 1)
    if let store { leave(store) }
    let call = isAtRest ? "between calls" : "in a \(try disk.diedIn)"
    counts.crashes[.init(moment: moment, call: call), default: 0] += outcomes
  }

  /// The store ends. What that ends was not ended by the owner; but of pages that were gone he has to be told.
  func leave(_ store: Store) {
    var before = known
    store.close()
    if !known.vanished.isEmpty { fail("of pages \(known.vanished.map(\.description).sorted()) no destructor has told") }
    before.lost = known.lost
    before.vanished = []
    known = before
    self.store = nil
  }

  // MARK: Resuming

  /// Resumes; the power may fail once more meanwhile, and other things may go wrong.
  private func resumeThroughFaults() throws {
    if random.one(in: 5) {
      try disk.dies(in: 1 + random.below(4))
    } else if random.one(in: 4) {
      try setFaults()
    }
    var attempts = 0
    while store == nil, failures.isEmpty {
      attempts += 1
      try resume(mayFail: attempts == 1)
    }
  }

  /// - Parameter mayFail: it need not work, and is tried again; else it must.
  func resume(mayFail: Bool = false) throws {
    readsAtOpen = readsSoFar
    let opened = Result { () throws(StoreError) -> Store in try open(.resume(force: false)) }
    let isDead = try disk.isDead
    let isHit = hasReadDamage(since: readsAtOpen)
    if case .success(let store) = opened { self.store = store }
    switch opened {
    case _ where isDead:
      try die(store, during: "resume")
      try disk.crash()
      counts.failedResumes += 1
    case .success(let store):
      try disk.dies(in: 0)
      try endFaults()
      try begin(resumed: store)
    case .failure(.session(.none, _)) where known.completed == 0:
      // A new one begins, which knows nothing of the old one's handles.
      known = Knowledge()
      try begin()
    case .failure(.session(.damaged, _)) where isHit:
      counts.refusals += 1
      try disk.repair()
      try endFaults()
    case .failure(.unavailable) where mayFail:
      counts.failedResumes += 1
      try endFaults()
    case .failure(let error):
      counts.notResumed += 1
      fail("checkpoint \(known.completed) holds, but: \(error)")
    }
  }

  /// A store that was resumed is used before its index has been read, and then compared.
  private func begin(resumed store: Store) throws {
    guard adoptCut(store) else { return }
    if !profile.isDamaged, random.one(in: 2) {
      for _ in 0..<random.below(80) where failures.isEmpty {
        counts.operationsWhileLoading += store.isResuming ? 1 : 0
        step(store)
      }
      while store.step() {}
    }
    switch Result(catching: { () throws(StoreError) in try store.finishResuming() }) {
    case .success:
      counts.resumes += 1
      compareAll(store)
    case .failure(.session(.damaged, _)) where hasReadDamage(since: readsAtOpen):
      counts.refusals += 1
      leave(store)
      try disk.repair()
    case .failure(let error):
      counts.notResumed += 1
      fail("checkpoint \(known.completed) was resumed, but: \(error)")
    }
  }

  /// What happened on the disk.
  func countFaults() throws {
    for fault in SimulatedDisk.Fault.allCases { counts.faults[fault, default: 0] += try disk.count(fault) }
  }
}

/// Whose store is used; simulations run one at a time.
nonisolated(unsafe) private var current: SessionWorld?
private let passTime: @convention(c) (UInt64) -> Void = { current?.pass($0) }
let interleaveNow: @convention(c) () -> Void = { current?.interleave() }

extension Store {
  var sessionSequence: UInt64 { sessionSummary?.sequence ?? 0 }
}
