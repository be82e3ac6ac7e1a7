// SPDX-License-Identifier: Apache-2.0
import Glibc
internal import StowageBasics
import StowageEngine

/// Takes everything back in a random order and compares it with what was put.
final class ReturnPhase {
  private static let attempts = 10
  private static let pauseBetweenAttempts: useconds_t = 200_000
  private static let namedFailures = 20

  /// What a dropped page's file gives now.
  enum Reread {
    case absent
    case bytes(UnsafeRawBufferPointer, isUnchanged: Bool)
  }

  private let seed: UInt64
  private let describe: (Int) -> String
  private let readAgain: (Int) -> Reread
  private let destructorPatience: Duration
  private let table: PageTable
  private let order: UnsafeMutableBufferPointer<UInt32>
  private let buffer: UnsafeMutableRawBufferPointer

  private(set) var mismatches = 0
  private(set) var lost = 0
  private(set) var discarded = 0
  /// Dropped pages whose file has other contents now.
  private(set) var filesChanged = 0
  /// Pages whose destructor was not called as often as it should.
  private(set) var destructorFaults = 0
  /// The first failures, each naming its page.
  private(set) var failures: [String] = []

  /// Takes its memory; made before the store is opened.
  /// - Parameters:
  ///   - describe: names a page for people.
  ///   - readAgain: reads a page that was dropped from where it came.
  ///   - destructorPatience: a drop's destructor is called by an engine thread, after the handle has died; it is waited
  ///     for so long.
  init(
    table: PageTable, pageSize: Int, seed: UInt64, describe: @escaping (Int) -> String,
    readAgain: @escaping (Int) -> Reread, destructorPatience: Duration
  ) {
    self.table = table
    self.seed = seed
    self.describe = describe
    self.readAgain = readAgain
    self.destructorPatience = destructorPatience
    order = .allocate(capacity: table.count)
    order.initialize(repeating: 0)
    buffer = .allocate(byteCount: pageSize, alignment: 4096)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Of the pages of a plan.
  convenience init(plan: TrialPlan, reader: PageReader, destructorPatience: Duration = .seconds(5)) {
    self.init(
      table: plan.table, pageSize: plan.input.pageSize, seed: plan.input.seed, describe: plan.describe,
      readAgain: { page in
        guard let bytes = reader.read(one: page) else { return .absent }
        let source = plan.sources[plan.table.reference(page).source] as? FilePages
        return .bytes(bytes, isUnchanged: source?.isUnchanged ?? true)
      }, destructorPatience: destructorPatience)
  }

  deinit {
    order.deallocate()
    buffer.deallocate()
  }

  func run(_ store: Store, _ record: PhaseRecord, _ progress: TrialProgress) throws {
    var count = 0
    for page in 0..<table.count where table.state(page) == .stored {
      order[count] = UInt32(page)
      count += 1
    }
    var generator = SeededRandom(seed: seed)
    var chosen = UnsafeMutableBufferPointer(rebasing: order[..<count])
    chosen.shuffle(using: &generator)
    for i in 0..<count {
      if i % 64 == 0 { try Interruption.check() }
      try giveBack(Int(order[i]), store, record)
      progress.advance(1)
    }
  }

  /// Compares the number of destructor calls of each page with what became of it. Call it when the
  /// store is closed.
  func checkDestructors() {
    for page in 0..<table.count {
      let state = table.state(page)
      guard state != .failed else { continue }
      let calls = table.drops.calls(of: page)
      let expected = state == .dropped ? 1 : 0
      if calls != expected {
        destructorFaults += 1
        fail(page, "its destructor was called \(calls) times, not \(expected)")
      }
    }
    if table.drops.strays > 0 {
      destructorFaults += table.drops.strays
      failures.append("\(table.drops.strays) destructor calls named pages that never were")
    }
  }

  private func giveBack(_ page: Int, _ store: Store, _ record: PhaseRecord) throws {
    for attempt in 1... {
      do {
        let start = monotonicNanoseconds()
        let tag = try store.take(Handle(rawValue: table.handle(page)), into: buffer)
        record.latencies.record(monotonicNanoseconds() &- start)
        compare(page, tag: tag)
        return
      } catch StoreError.staleHandle {
        drop(page)
        return
      } catch StoreError.unavailable(_, _) where attempt < Self.attempts {
        try Interruption.check()
        usleep(Self.pauseBetweenAttempts)
      } catch {
        lose(page, "\(error)")
        return
      }
    }
  }

  private func compare(_ page: Int, tag: UInt64) {
    if tag != UInt64(page) {
      mismatch(page, "came back with the tag \(tag)")
    } else if !table.isSame(UnsafeRawBufferPointer(buffer), as: page) {
      mismatch(page, "came back with other bytes")
    } else {
      table.set(.returned, of: page)
    }
  }

  /// The handle was stale: fine for a discardable page whose destructor was called, which is then read
  /// again from its file.
  private func drop(_ page: Int) {
    guard let reason = waitForDestructor(page) else {
      return lose(page, "is gone, and its destructor was not called")
    }
    guard !table.isPersistent(page), reason != .unreadable, reason != .closed else {
      return lose(page, "was dropped: \(reason.rawValue)")
    }
    discarded += 1
    table.set(.dropped, of: page)
    guard case .bytes(let bytes, let isUnchanged) = readAgain(page) else {
      filesChanged += 1
      return
    }
    if table.isSame(bytes, as: page) { return }
    if isUnchanged {
      mismatches += 1
      fail(page, "was dropped, and its file gives other bytes now")
    } else {
      filesChanged += 1
    }
  }

  private func waitForDestructor(_ page: Int) -> DropReason? {
    let start = ContinuousClock.now
    repeat {
      if let reason = table.drops.reason(of: page) { return DropReason.allCases[Int(reason)] }
      usleep(1_000)
    } while start.duration(to: .now) < destructorPatience
    return nil
  }

  private func mismatch(_ page: Int, _ what: String) {
    mismatches += 1
    table.set(.failed, of: page)
    fail(page, what)
  }

  private func lose(_ page: Int, _ what: String) {
    lost += 1
    table.set(.failed, of: page)
    fail(page, what)
  }

  private func fail(_ page: Int, _ what: String) {
    if failures.count < Self.namedFailures { failures.append("\(describe(page)): \(what)") }
  }
}
