// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
public import StowageEngine
import Synchronization

/// Reads every page of a session, without changing it.
public struct PageCheck {
  /// A page that cannot be read.
  public struct Finding: Sendable, Equatable {
    public var handle: Handle
    /// The owner's own.
    public var tag: UInt64
    public var tier: String
    public var reason: String
    /// Damaged for good; else it could not be read now, and perhaps later.
    public var isDamaged: Bool
  }

  /// What was found.
  public struct Result: Sendable {
    public var pages = 0
    /// Pages that were read; fewer than `pages` when the check was stopped.
    public var checked = 0
    public var pageSize = 0
    public var seconds = 0.0
    /// By handle.
    public var findings: [Finding] = []
  }

  private static let mostThreads = 8

  private let configuration: StoreConfiguration
  private let chain: [ChainTier]

  /// - Parameter configuration: with a session that is only looked at.
  public init(configuration: StoreConfiguration, chain: [ChainTier]) {
    self.configuration = configuration
    self.chain = chain
  }

  /// Opens the session and reads every page.
  /// - Parameter checking: called when the index was read, with what tells how far the check is, in bytes.
  /// - Throws: `StoreError` when the session cannot be opened, `TrialError` when the process was asked to stop.
  public func run(checking: (@escaping @Sendable () -> WorkSample) -> Void) throws -> Result {
    let log = UnreadableLog()
    let store = try Store(configuration: configuration, chain: chain) { log.note($0) }
    defer { store.close() }
    var pages: [PageSummary] = []
    try store.forEachPage { pages.append($0) }
    let sweep = PageSweep(pages, pageSize: store.pageSize)
    let pageCheck = SinglePageCheck(store: store, log: log)
    checking { sweep.sample }
    let start = monotonicNanoseconds()
    sweep.run(threads: min(Self.mostThreads, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) * 2), pageCheck.note)
    try Interruption.check()
    var result = Result()
    result.pages = pages.count
    result.checked = sweep.done
    result.pageSize = store.pageSize
    result.seconds = Double(monotonicNanoseconds() - start) / 1e9
    result.findings = pageCheck.findings.sorted { $0.handle.rawValue < $1.handle.rawValue }
    return result
  }

  /// Checks pages, on any thread, and collects what is wrong with them.
  private final class SinglePageCheck: Sendable {
    private let store: Store
    private let log: UnreadableLog
    private let found = Mutex<[Finding]>([])

    init(store: Store, log: UnreadableLog) {
      self.store = store
      self.log = log
    }

    var findings: [Finding] { found.withLock { $0 } }

    func note(_ page: PageSummary, _ buffer: UnsafeMutableRawBufferPointer) {
      if let finding = check(page, buffer) { found.withLock { $0.append(finding) } }
    }

    private func check(_ page: PageSummary, _ buffer: UnsafeMutableRawBufferPointer) -> Finding? {
      var finding = Finding(handle: page.handle, tag: page.tag, tier: "", reason: "", isDamaged: true)
      do throws(StoreError) {
        let tag = try PageSweep.peek(store, page.handle, into: buffer)
        guard tag != page.tag else { return nil }
        finding.reason = "it has the tag \(tag), but stands in the index with \(page.tag)"
      } catch {
        switch error {
        case .unavailable(let tier, let reason):
          (finding.tier, finding.reason, finding.isDamaged) = (tier, reason, false)
        case .unreadable(_, let tier, let reason): (finding.tier, finding.reason) = (tier, reason)
        case .staleHandle:
          finding.tier = log.level(of: page.handle).map { store.levelNames[$0] } ?? ""
          finding.reason = "it was dropped as unreadable, together with another page"
        default: finding.reason = "\(error)"
        }
      }
      return finding
    }
  }
}
