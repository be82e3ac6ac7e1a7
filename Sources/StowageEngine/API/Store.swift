// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A store of pages: raw pages in RAM at the head of a chain of tiers, the oldest demoted to the tiers below
/// as room is needed.
///
/// All functions may be called from any thread. `put`, `replace`, `take`, `peek`, `touch` and `discard` do their work on
/// the caller's thread; demotion runs on threads of the store's own. Buffers are the caller's and are
/// used only during the call. Every page is exactly `pageSize` bytes.
///
/// A store whose last reference goes without `close` is closed then.
public final class Store: Sendable {
  private let engine: Engine

  /// Bytes in a page.
  public let pageSize: Int

  /// Opens a store over a chain, nearest to RAM first, and every tier of it.
  /// - Parameters:
  ///   - destructor: told of pages that are dropped, and of those left at close; on an engine thread, no lock held.
  /// - Throws: `configuration` when the chain or a setting is impossible or a tier does not open; nothing stays open
  ///   then.
  public init(
    configuration: StoreConfiguration, chain: [ChainTier], environment: Environment = .system,
    destructor: Destructor? = nil
  ) throws(StoreError) {
    engine = try Engine.open(configuration, chain, environment, destructor)
    pageSize = configuration.pageSize
  }

  deinit { engine.close() }

  /// What is questionable about the chain and its memory, for people; each a sentence.
  public var warnings: [String] { engine.warnings }

  /// The levels' names, "store" first, then the tiers in order.
  public var levelNames: [String] { engine.levelNames }

  /// Stores a page; it is the youngest then.
  ///
  /// Waits while demotion makes room, at most `putPatience`.
  /// - Parameters:
  ///   - tag: the owner's own 64 bits, given back by `take` and to the destructor.
  /// - Throws: `full`, `wrongSize`, `closed`.
  public func put(_ page: UnsafeRawBufferPointer, tag: UInt64, kind: PageKind = .persistent) throws(StoreError)
    -> Handle
  {
    try engine.put(page, tag: tag, kind: kind)
  }

  /// Gives a page new contents, atomically, and makes it the youngest; handle, tag and kind stay.
  /// - Throws: `staleHandle`, `full` (the old contents stay), `wrongSize`, `closed`.
  public func replace(_ handle: Handle, with page: UnsafeRawBufferPointer) throws(StoreError) {
    try engine.replace(handle, with: page)
  }

  /// Gives the page back and ends its handle. Of several takes of one handle exactly one succeeds.
  /// - Returns: the tag.
  /// - Throws: `staleHandle`; `unavailable` (the page stays); `unreadable` (the page has been dropped); `wrongSize`;
  ///   `closed`. After an error the buffer holds anything.
  @discardableResult
  public func take(_ handle: Handle, into page: UnsafeMutableRawBufferPointer) throws(StoreError) -> UInt64 {
    try engine.take(handle, into: try buffer(page))
  }

  /// Copies the page; it stays where it is in every respect.
  /// - Returns: the tag.
  /// - Throws: as `take`.
  @discardableResult
  public func peek(_ handle: Handle, into page: UnsafeMutableRawBufferPointer) throws(StoreError) -> UInt64 {
    try engine.peek(handle, into: try buffer(page))
  }

  /// Makes a page the youngest.
  /// - Throws: as `take`, and `full`.
  public func touch(_ handle: Handle) throws(StoreError) { try engine.touch(handle) }

  /// Ends a page unread.
  /// - Throws: `staleHandle`, `closed`.
  public func discard(_ handle: Handle) throws(StoreError) { try engine.discard(handle) }

  /// Sends every persistent page that is stored now down to the persistent tier and makes it durable there; goes on
  /// serving. Chunks are written as their levels encoded them. Same-filled pages stay in the page table, as they cost
  /// no chunk; discardable pages stay where they are.
  /// - Throws: `unsupported` without a persistent tier, `unavailable` when it fails, `timedOut`, `full`, `closed`.
  public func flush(timeout: Duration = .seconds(600)) throws(StoreError) { try engine.flush(timeout: timeout) }

  /// Changes what the store may make the process use in all, in bytes; demotion does the rest.
  /// - Throws: `configuration`, `closed`.
  public func setMemoryLimit(_ bytes: Int) throws(StoreError) { try engine.setMemoryLimit(bytes) }

  /// Changes the limit of one level, in bytes (nil: a share chosen by the store; 0: passed through without stopping).
  /// - Parameter level: its place in `levelNames`.
  /// - Throws: `configuration`, `closed`.
  public func setLimit(_ bytes: Int?, level: Int) throws(StoreError) { try engine.setLimit(bytes, level: level) }

  /// Takes a tier into the chain of an open store: by its priority, behind others of the same. Needs
  /// `StoreConfiguration.isChainChangeable`. Pages go on being served, but for moments of some milliseconds in
  /// which calls under way are waited for and the chain is rewritten.
  /// - Throws: `configuration` when it has no place in this chain (what it says goes for opening a store too), would
  ///   change what another tier does, or does not open; `unavailable` when calls under way did not end in time, or a
  ///   flush is under way; `closed`.
  public func addTier(_ tier: ChainTier) throws(StoreError) { try engine.addTier(tier, replacing: nil) }

  /// Puts a tier in the place of another, a newer version of a plug-in say: the new one takes in what comes from now on,
  /// the old one is drained, and decodes what it encoded until nothing of that is left. Call `removeTier` to end it. One
  /// change: after an error the chain is as it was. There are places for four replacements between two tiers.
  /// - Throws: as `addTier` and `drainTier`.
  public func replaceTier(named old: String, with tier: ChainTier) throws(StoreError) {
    try engine.addTier(tier, replacing: old)
  }

  /// Lets a tier take nothing in any more; what it holds moves down. Not for mandatory tiers.
  /// - Throws: `configuration` when there is no such tier, or it may not leave; as `addTier`.
  public func drainTier(named name: String) throws(StoreError) { try engine.drainTier(named: name) }

  /// Drains a tier and, once nothing of what it holds or has encoded is left, closes it and takes it out of the chain.
  /// - Returns: `.removed`; or `.needed` when, after `timeout`, frames below still need it to be decoded: it stays, takes
  ///   nothing in, and may be removed later.
  /// - Throws: as `drainTier`; `full` when what it holds has nowhere to go.
  public func removeTier(named name: String, timeout: Duration = .seconds(60)) throws(StoreError) -> TierRemoval {
    try engine.removeTier(named: name, timeout: timeout)
  }

  /// Makes a checkpoint of a store with a session: every persistent page as it is at one instant, in the session's tier and
  /// durable, while the store goes on being used. A second one writes what has changed since.
  ///
  /// Killing the process or the power at any moment leaves the last checkpoint that completed. Not from a destructor.
  /// - Throws: `unsupported` when there is no session, or a tier cannot outlive the store (it says why); `full` when the
  ///   session's tier has no room for it; `unavailable`. The last checkpoint holds then, and the store goes on.
  @discardableResult
  public func checkpoint() throws(StoreError) -> CheckpointReport { try engine.checkpoint() }

  /// Makes a last checkpoint and closes the store: persistent pages are kept in the session, discardable ones are dropped
  /// (each one's destructor is called with the reason `suspended`). Calls that are waiting then are refused as `closed`.
  /// - Throws: as `checkpoint`; the store is open then, as before, and what the tier holds is the last checkpoint that was made:
  ///   who ends all the same goes back to that.
  @discardableResult
  public func suspend() throws(StoreError) -> CheckpointReport { try engine.suspend() }

  /// Brings pages of a resumed session up into RAM, as many as their levels have room for, with large reads in the order of
  /// their slots: for an owner that will want all of them soon. Pages can be had before, and meanwhile, one by one.
  /// - Throws: as `checkpoint`; `unavailable` when the session's tier cannot be read.
  @discardableResult
  public func preload() throws(StoreError) -> PreloadReport { try engine.preload() }

  /// Whether part of a resumed session's index has not been read yet.
  public var isResuming: Bool { engine.isLoading.load(ordering: .acquiring) }

  /// Waits until the whole index of a resumed session has been read; calls read what they need of it before.
  /// - Throws: `session` when it is damaged: pages whose records can be read can be had all the same, but nothing can be
  ///   written to the session's tier; `unavailable`; `closed`.
  public func finishResuming() throws(StoreError) { try engine.finishLoading() }

  /// What the session in a persistent backing says of itself, without its chain and its keys. Nothing is written.
  /// - Throws: `session` when there is none, or it is damaged; `configuration` when the tier cannot be opened.
  public static func describeSession(in tier: ChainTier, pageSize: Int) throws(StoreError) -> SessionDescription {
    try Engine.describeSession(in: tier, pageSize: pageSize)
  }

  /// Gives the session's tiers of that name another key, by the tier's own options: what they encoded before is kept, and
  /// from the next checkpoint on the new key is needed.
  /// - Parameter options: the tier's, as they would be given when it is opened.
  /// - Throws: `unsupported` when the tier has no keys to change; `configuration` when there is no such tier.
  public func rekey(tier name: String, options: [String: TierOptionValue]) throws(StoreError) {
    try engine.rekey(tier: name, options: options)
  }

  /// Makes this store, whose session was just begun, one with the pages of another session: under the same handles, with the
  /// same tags, each of zeros until it is replaced; whatever handles the other one gave besides are stale here too. For
  /// taking a session over to another file, other keys or another chain. Nothing else may use this store meanwhile.
  /// - Parameter other: resumed, or looked at, and not changed from then on.
  /// - Returns: the pages.
  /// - Throws: `configuration` when either store is not such a one; `full` when the tables do not fit the memory limit;
  ///   what reading the other one's index fails with. Then this store is to be closed.
  public func adoptPages(of other: Store) throws(StoreError) -> [PageSummary] { try engine.adopt(other.engine) }

  /// Tells every page that there is, with its tag: what an owner rebuilds its map from after a resume. Pages that come or
  /// go meanwhile may or may not be among them.
  /// - Parameter body: called on this thread, with no lock held.
  public func forEachPage(_ body: (PageSummary) -> Void) throws(StoreError) { try engine.forEachPage(body) }

  /// Where a page is now.
  /// - Returns: nil when the handle is stale.
  public func location(of handle: Handle) -> PageLocation? { engine.location(of: handle) }

  /// What the session says of itself; nil without one.
  public var sessionSummary: SessionSummary? { engine.sessionSummary }

  /// Waits until no level is above its watermark and nothing is under way.
  /// - Returns: false when that did not come about in time.
  public func waitUntilSettled(timeout: Duration) -> Bool { engine.waitUntilSettled(timeout: timeout) }

  /// Figures of this moment.
  public func statistics() -> StoreStatistics { engine.statistics() }

  /// Ends every page (each one's destructor is called with the reason `closed`), stops the engine's threads and closes
  /// the tiers. Later calls are refused as `closed`. May be called again; not from a destructor.
  public func close() { engine.close() }

  /// Does one piece of engine work on this thread, in a manually scheduled environment.
  /// - Returns: false when there was none.
  @discardableResult public func step() -> Bool { engine.step() }

  private func buffer(_ page: UnsafeMutableRawBufferPointer) throws(StoreError) -> UnsafeMutableRawPointer {
    guard page.count == pageSize, let base = page.baseAddress else {
      throw .wrongSize(given: page.count, pageSize: pageSize)
    }
    return base
  }
}
