// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

/// All suites here run one after the other, as many of them measure time or memory.
@Suite(.serialized) struct FaultTests {}

/// Time that stands still until a test moves it.
final class ManualClock: Sendable {
  private let nanoseconds = Atomic<UInt64>(1_000_000_000)
  var now: UInt64 { nanoseconds.load(ordering: .relaxed) }
  func advance(_ milliseconds: Int) { nanoseconds.add(UInt64(milliseconds) * 1_000_000, ordering: .relaxed) }

  var environment: Environment {
    Environment(now: { [self] in now }, random: { 4 }, scheduling: .manual)
  }
}

/// What destructors were told.
final class DropLog: Sendable {
  private let entries = Locked<[DroppedPage]>([])
  func add(_ page: DroppedPage) { entries.withLock { $0.append(page) } }
  var all: [DroppedPage] { entries.withLock { $0 } }
  func of(_ reason: DropReason) -> [DroppedPage] { all.filter { $0.reason == reason } }
}

/// How a take or peek ended.
enum Outcome: Equatable {
  case right
  case wrong
  case failed(StoreError)

  var isUnavailable: Bool { if case .failed(.unavailable) = self { true } else { false } }
  var isUnreadable: Bool { if case .failed(.unreadable) = self { true } else { false } }
  var text: String { if case .failed(let error) = self { error.description } else { "\(self)" } }
}

/// A store and what was put into it; pages are made from numbers, so that none is kept.
final class Rig {
  let store: Store
  let drops: DropLog
  let clock: ManualClock?
  let pageSize: Int
  /// Manual: all engine work is done after each put, so that no put ever waits and nothing counts as rapid growth.
  var isPaced: Bool
  /// The handles of the pages in the order in which they were put.
  private(set) var handles: [Handle] = []
  private var seeds: [Handle: UInt64] = [:]
  private var payloads: [UInt64: Int] = [:]
  private var nextSeed: UInt64 = 1
  private let buffer: UnsafeMutableRawBufferPointer

  /// - Parameters:
  ///   - isManual: no threads and a clock that stands still.
  init(
    _ chain: [ChainTier], memory: Int = 4 << 20, store storeLimit: Int? = 256 << 10, isManual: Bool = true,
    drops: DropLog = DropLog(), _ change: (inout StoreConfiguration) -> Void = { _ in }, destructor: Destructor? = nil
  ) throws {
    var configuration = StoreConfiguration(memoryLimit: memory)
    configuration.storeLimit = storeLimit
    configuration.workers = isManual ? 1 : 2
    configuration.deadline = .milliseconds(200)
    configuration.putPatience = .seconds(5)
    change(&configuration)
    pageSize = configuration.pageSize
    let clock = isManual ? ManualClock() : nil
    self.clock = clock
    isPaced = isManual
    self.drops = drops
    store = try Store(
      configuration: configuration, chain: chain, environment: clock?.environment ?? .system,
      destructor: { page in
        drops.add(page)
        destructor?(page)
      })
    buffer = .allocate(byteCount: configuration.pageSize, alignment: 4096)
  }

  deinit {
    store.close()
    buffer.deallocate()
  }

  // MARK: Pages

  /// A page that names its number, is noise up to `payload` bytes and zeros from there.
  private func fill(_ seed: UInt64, _ payload: Int) {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    var word = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    for offset in stride(from: 0, to: payload & ~7, by: 8) {
      word ^= word << 13
      word ^= word >> 7
      word ^= word << 17
      buffer.storeBytes(of: word | 0x0101_0101_0101_0101, toByteOffset: offset, as: UInt64.self)
    }
    buffer.storeBytes(of: seed | 0x5EED << 48, toByteOffset: 0, as: UInt64.self)
  }

  private func isRight(_ seed: UInt64) -> Bool {
    let found = [UInt64](buffer.bindMemory(to: UInt64.self))
    fill(seed, payloads[seed] ?? 0)
    return found == [UInt64](buffer.bindMemory(to: UInt64.self))
  }

  /// Puts one page; its tag is its number.
  @discardableResult func put(payload: Int = 1000, kind: PageKind = .persistent) throws(StoreError) -> Handle {
    let seed = nextSeed
    fill(seed, payload)
    let handle = try store.put(UnsafeRawBufferPointer(buffer), tag: seed, kind: kind)
    nextSeed += 1
    payloads[seed] = payload
    seeds[handle] = seed
    handles.append(handle)
    if isPaced { settle() }
    return handle
  }

  func put(_ count: Int, payload: Int = 1000, kind: PageKind = .persistent) throws(StoreError) {
    for _ in 0..<count { try put(payload: payload, kind: kind) }
  }

  /// Puts until the store refuses; what it says then.
  func putUntilFull(most: Int = 20000, payload: Int = 1000, kind: PageKind = .persistent) -> StoreError? {
    for _ in 0..<most {
      do throws(StoreError) { try put(payload: payload, kind: kind) } catch { return error }
    }
    return nil
  }

  func putWord(_ word: UInt64) throws(StoreError) -> Handle {
    buffer.withMemoryRebound(to: UInt64.self) { $0.update(repeating: word) }
    return try store.put(UnsafeRawBufferPointer(buffer), tag: word)
  }

  func replace(_ handle: Handle, payload: Int = 1000) throws(StoreError) {
    let seed = nextSeed
    fill(seed, payload)
    try store.replace(handle, with: UnsafeRawBufferPointer(buffer))
    nextSeed += 1
    payloads[seed] = payload
    seeds[handle] = seed
  }

  func take(_ handle: Handle) -> Outcome {
    let outcome = attempt(handle) { buffer throws(StoreError) in try self.store.take(handle, into: buffer) }
    if outcome == .right { handles.removeAll { $0 == handle } }
    return outcome
  }

  func peek(_ handle: Handle) -> Outcome {
    attempt(handle) { buffer throws(StoreError) in try self.store.peek(handle, into: buffer) }
  }

  private func attempt(
    _ handle: Handle, _ call: (UnsafeMutableRawBufferPointer) throws(StoreError) -> UInt64
  ) -> Outcome {
    do throws(StoreError) {
      _ = try call(buffer)
      return isRight(seeds[handle] ?? 0) ? .right : .wrong
    } catch { return .failed(error) }
  }

  func forget(_ gone: some Sequence<Handle>) {
    let gone = Set(gone)
    handles.removeAll { gone.contains($0) }
  }

  // MARK: Engine work

  /// Does all engine work that there is.
  func settle() {
    guard clock != nil else {
      _ = store.waitUntilSettled(timeout: .seconds(5))
      return
    }
    var steps = 0
    while store.step(), steps < 100_000 { steps += 1 }
    if steps >= 100_000 { Issue.record("engine work never ends") }
  }

  /// Waits, at most so long, until something is so.
  func wait(seconds: Double = 5, until isSo: () -> Bool) -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    while !isSo() {
      guard clock.now < end else { return false }
      sleepBriefly()
    }
    return true
  }

  var statistics: StoreStatistics { store.statistics() }
  func level(_ index: Int) -> LevelStatistics { statistics.levels[index] }

  // MARK: Expectations

  /// Peeks at every page but some, and expects each to be right.
  func expectAllRight(except: Set<Handle> = [], sourceLocation: SourceLocation = #_sourceLocation) {
    var bad: [String] = []
    for handle in handles where !except.contains(handle) {
      let outcome = peek(handle)
      if outcome != .right { bad.append("page \(seeds[handle] ?? 0) (\(handle)): \(outcome)") }
    }
    #expect(bad.isEmpty, "\(bad.count) of \(handles.count): \(bad.prefix(5))", sourceLocation: sourceLocation)
  }

  /// Takes every page, and expects each to be right and the store to be empty then.
  func expectTakesAll(sourceLocation: SourceLocation = #_sourceLocation) {
    var bad: [String] = []
    for handle in handles {
      let outcome = attempt(handle) { buffer throws(StoreError) in try self.store.take(handle, into: buffer) }
      if outcome != .right { bad.append("page \(seeds[handle] ?? 0) (\(handle)): \(outcome)") }
    }
    #expect(bad.isEmpty, "\(bad.count) of \(handles.count): \(bad.prefix(5))", sourceLocation: sourceLocation)
    handles = []
    #expect(store.statistics().pages == 0, sourceLocation: sourceLocation)
  }

  /// Where the slots of a backing of raw pages hold which pages.
  func slots(_ knobs: Knobs, of count: Int) -> [Handle: Int] {
    var bySeed: [UInt64: Handle] = [:]
    for handle in handles { bySeed[(seeds[handle] ?? 0) | 0x5EED << 48] = handle }
    var found: [Handle: Int] = [:]
    for slot in 0..<count {
      let word = knobs.slot(slot, pageSize: pageSize).load(as: UInt64.self)
      if let handle = bySeed[word] { found[handle] = slot }
    }
    return found
  }

  /// Where the pages are, for messages.
  var whereabouts: String {
    let now = statistics
    return now.levels.map {
      "\($0.name): \($0.pages) pages, \($0.ramBytes) RAM, \($0.diskBytes) of \($0.limitBytes) disk"
    }
    .joined(separator: "; ") + "; \(now.pages) pages, \(now.ramBytes) of \(now.memoryLimit)"
  }

  func seed(_ handle: Handle) -> UInt64 { seeds[handle] ?? 0 }
}
