// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Glibc
import Synchronization

/// What one thread at a time needs to work on pages: a codec context for each tier, scratch pages, open
/// segments, and a reader's mark.
///
/// Lives in memory of its own, by pointer, so that its use counts no references. Fields without a comment on
/// sharing belong to the thread that holds the context.
struct WorkContext: ~Copyable {
  // First, as ThreadSanitizer takes a change of any field for one of the first byte: no field that is shared stands here.
  let number: Int
  let isWorker: Bool
  /// 0: free, 1: held.
  let held = Atomic<UInt32>(0)
  /// The readers' epoch while a load is under way, else 0. Written by the holder, read under the engine's lock.
  let reading = Atomic<UInt64>(0)
  /// Whether the tiers' contexts are open. Written by the holder, read by anyone.
  private let prepared = Atomic<Bool>(false)
  var isPrepared: Bool { prepared.load(ordering: .relaxed) }
  /// A caller's context encodes only in a store without room for raw pages.
  var canEncode = false
  /// By level: the tier's context.
  let tiers: UnsafeMutablePointer<OpaquePointer?>
  /// By level: the segment that it appends to, and how far.
  let open: UnsafeMutablePointer<SegmentIndex>
  let cursor: UnsafeMutablePointer<Int>
  /// Segments that were sealed with chunks in them that are not published yet; they are pinned until then.
  let unpublished: UnsafeMutablePointer<SegmentIndex>
  var unpublishedCount = 0
  /// As many as one batch can begin.
  static let unpublishedMax = 64
  /// By level: object ids set aside for it.
  let ids: UnsafeMutablePointer<Range<UInt64>>
  /// Scratch pages, aligned to 4096.
  let pageA: UnsafeMutableRawPointer
  let pageB: UnsafeMutableRawPointer
  let pageC: UnsafeMutableRawPointer
  let levelCount: Int
  let pageSize: Int
  private let scratch: Region

  init(number: Int, isWorker: Bool, levelCount: Int, pageSize: Int) throws(StoreError) {
    self.number = number
    self.isWorker = isWorker
    self.levelCount = levelCount
    self.pageSize = pageSize
    scratch = try Region(byteCount: pageSize * 3)
    pageA = scratch.base
    pageB = scratch.base + pageSize
    pageC = scratch.base + pageSize * 2
    tiers = .allocate(capacity: levelCount)
    tiers.initialize(repeating: nil, count: levelCount)
    open = .allocate(capacity: levelCount)
    open.initialize(repeating: noSegment, count: levelCount)
    cursor = .allocate(capacity: levelCount)
    cursor.initialize(repeating: 0, count: levelCount)
    unpublished = .allocate(capacity: Self.unpublishedMax)
    unpublished.initialize(repeating: noSegment, count: Self.unpublishedMax)
    ids = .allocate(capacity: levelCount)
    ids.initialize(repeating: 0..<0, count: levelCount)
  }

  /// RAM of one context beside what its tiers ask for.
  var byteCount: Int { isPrepared ? pageSize * 3 : 0 }

  /// Opens the tiers' contexts; not on the data path except the first time.
  mutating func prepare(_ calls: UnsafeMutablePointer<TierCalls?>, use: UInt32) throws(ContextFailure) {
    for level in 1..<max(levelCount, 1) {
      if let tier = calls[level], tiers[level] == nil { try prepare(level, tier, use: use) }
    }
    prepared.store(true, ordering: .relaxed)
  }

  /// Opens one tier's context.
  mutating func prepare(_ level: Int, _ tier: TierCalls, use: UInt32) throws(ContextFailure) {
    guard let threadOpen = tier.threadOpen else { return }
    HostTable.clearError()
    let result = threadOpen(tier.instance, use, &tiers[level])
    guard result == STOWAGE_OK, tiers[level] != nil else {
      tiers[level] = nil
      throw ContextFailure(
        level: level, reason: "no working context: \(HostTable.lastError()) (\(TierResult.name(result)))")
    }
  }

  /// Ends one tier's context.
  mutating func close(_ level: Int, _ tier: TierCalls?) {
    if let context = tiers[level], let tier, let threadClose = tier.threadClose {
      threadClose(tier.instance, context)
    }
    tiers[level] = nil
  }

  mutating func close(_ calls: UnsafeMutablePointer<TierCalls?>) {
    for level in 0..<levelCount { close(level, calls[level]) }
    prepared.store(false, ordering: .relaxed)
    canEncode = false
  }

  deinit {
    scratch.unmap()
    tiers.deallocate()
    open.deallocate()
    cursor.deallocate()
    ids.deallocate()
    unpublished.deallocate()
  }
}

/// A tier that gave no context.
struct ContextFailure: Error {
  var level: Int
  var reason: String
}

/// A pointer to a context, as it is passed around.
typealias Context = UnsafeMutablePointer<WorkContext>

/// The contexts of calling threads: a thread takes one that is free, the one it had last by preference.
struct ContextPool: @unchecked Sendable {
  private let contexts: UnsafeMutablePointer<Context>
  let count: Int
  private let freed = Event()

  init(_ all: [Context]) {
    count = all.count
    contexts = .allocate(capacity: count)
    contexts.initialize(from: all, count: count)
  }

  func deallocate() {
    contexts.deallocate()
    freed.deallocate()
  }

  subscript(_ index: Int) -> Context { contexts[index] }

  @inline(__always) func acquire() -> Context {
    let first = contexts[Int(stowage_thread_number()) % count]
    if first.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
      return first
    }
    return acquireSlowly()
  }

  @inline(never) private func acquireSlowly() -> Context {
    while true {
      let ticket = freed.ticket
      for index in 0..<count {
        let context = contexts[index]
        if context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged {
          return context
        }
      }
      freed.wait(ticket, timeout: 100_000_000)
    }
  }

  /// One whose tiers' contexts are open; nil when there was none within a moment.
  func acquirePrepared() -> Context? {
    for isLast in [false, true] {
      let ticket = freed.ticket
      for index in 0..<count where contexts[index].pointee.isPrepared {
        let context = contexts[index]
        guard context.pointee.held.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged else {
          continue
        }
        if context.pointee.isPrepared { return context }
        release(context)
      }
      if !isLast { freed.wait(ticket, timeout: 100_000_000) }
    }
    return nil
  }

  /// Waits a moment for a context to be released.
  func waitForRelease() { freed.wait(freed.ticket, timeout: 1_000_000) }

  @inline(__always) func release(_ context: Context) {
    context.pointee.held.store(0, ordering: .releasing)
    freed.notify()
  }
}
