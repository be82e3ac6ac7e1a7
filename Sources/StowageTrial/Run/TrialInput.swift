// SPDX-License-Identifier: Apache-2.0

/// What pages a trial shall take.
public struct TrialInput: Sendable, Equatable {
  public static let defaultPages = 65_536

  /// Processes whose memory is taken, and files; with neither, whatever the caller may read.
  public var pids: [Int32] = []
  public var files: [String] = []
  /// Persistent pages to take, at most.
  public var pages = defaultPages
  /// Discardable pages, of files under `/usr`; nil: a fifth as many as the persistent ones.
  public var cachePages: Int?
  public var pageSize = 4096
  /// Chooses files and orders.
  public var seed: UInt64 = 0

  public init() {}
}

/// A plan made: every page known by where it comes from, none read yet.
public final class TrialPlan {
  public let input: TrialInput
  /// What the user should know of the input.
  public let notes: [String]
  /// Persistent pages that the trial will put; the table has some to spare, for those that are gone
  /// when their turn comes.
  public let persistentTarget: Int
  public var discardableCount: Int { table.count - table.persistentCount }
  /// Bytes of the persistent pages.
  public var inputBytes: Int { persistentTarget * input.pageSize }
  /// The process that gave the first pages; nil when they come from files or the helper.
  public let largestProcess: Int32?
  let sources: [any PageSource]
  let table: PageTable
  private var helper: DataHolderProcess?

  /// Looks at processes and files, starting the helper if they are not enough.
  public init(_ input: TrialInput) throws(TrialError) {
    var draft = PlanDraft(input)
    try draft.collect()
    self.input = input
    notes = draft.notes
    persistentTarget = min(input.pages, draft.persistent.count)
    sources = draft.sources
    table = PageTable(persistent: draft.persistent, discardable: draft.discardable)
    helper = draft.helper
    let first = sources.first as? ProcessPages
    largestProcess = first?.pid == helper?.pid ? nil : first?.pid
  }

  /// Ends the helper: its pages are not needed any more.
  func releaseInput() { helper = nil }

  func describe(_ page: Int) -> String {
    let reference = table.reference(page)
    let kind = table.isPersistent(page) ? "persistent" : "discardable"
    return "\(kind) page \(page) (\(sources[reference.source].describe(reference.position)))"
  }
}

/// Collects references from all sources.
private struct PlanDraft {
  /// Processes that hold less than this are left out of the default input: they would cost more open
  /// files than they bring pages.
  private static let smallestProcess = 256 << 10
  private static let mostProcesses = 64
  private static let mostCacheFiles = 300

  private let input: TrialInput
  private(set) var sources: [any PageSource] = []
  private(set) var persistent: [UInt64] = []
  private(set) var discardable: [UInt64] = []
  private(set) var notes: [String] = []
  private(set) var helper: DataHolderProcess?

  /// Pages to plan: some more than wanted, as processes live.
  private var wanted: Int { input.pages + input.pages / 64 }

  init(_ input: TrialInput) { self.input = input }

  mutating func collect() throws(TrialError) {
    if input.pids.isEmpty, input.files.isEmpty {
      try collectWhateverIsThere()
    } else {
      try collectGiven()
    }
    guard !persistent.isEmpty else {
      throw .input("no page was found to take: name a process with --pid, or a file with --file")
    }
    collectCache()
  }

  private mutating func add(_ source: any PageSource, _ pages: PageRuns, atMost count: Int) {
    let number = sources.count
    sources.append(source)
    pages.forEachEvenly(count) {
      persistent.append(PageReference(source: number, position: $0).rawValue)
    }
  }

  private mutating func collectGiven() throws(TrialError) {
    var found: [(source: any PageSource, pages: PageRuns)] = []
    for pid in input.pids { found.append(try ProcessPages.plan(pid: pid, pageSize: input.pageSize)) }
    for path in input.files {
      let file = try FilePages(path: path, pageSize: input.pageSize)
      var pages = PageRuns()
      pages.append(0..<UInt64(file.pageCount))
      found.append((file, pages))
    }
    let total = found.reduce(0) { $0 + $1.pages.count }
    var before = 0
    for (source, pages) in found {
      // Each gives its share, so that together they give what is wanted, or all there is.
      let after = before + pages.count
      let share = min(wanted, total) * after / max(1, total) - min(wanted, total) * before / max(1, total)
      add(source, pages, atMost: share)
      before = after
    }
    if total > input.pages {
      notes.append("\(grouped(input.pages)) of \(grouped(total)) pages are taken, evenly; --pages takes more")
    }
  }

  private mutating func collectWhateverIsThere() throws(TrialError) {
    let processes = ProcessList.largestFirst().filter { $0.anonymousBytes >= Self.smallestProcess }
    var denied = 0
    for entry in processes where persistent.count < input.pages && sources.count < Self.mostProcesses {
      // A process may have ended, or not be ours to read.
      guard let (source, pages) = try? ProcessPages.plan(pid: entry.pid, pageSize: input.pageSize)
      else {
        denied += 1
        continue
      }
      if pages.count > 0 { add(source, pages, atMost: input.pages - persistent.count) }
    }
    if denied > 0 {
      notes.append("\(denied) \(denied == 1 ? "process" : "processes") could not be read: left out")
    }
    let own = persistent.count
    // The helper gives what is missing, and stands in for processes that end meanwhile, were it all of them.
    try topUp()
    let count = sources.count - (helper == nil ? 0 : 1)
    let ofProcesses = "\(grouped(min(own, input.pages))) pages of \(count) \(count == 1 ? "process" : "processes")"
    let ofHelper = max(0, min(input.pages, persistent.count) - own)
    notes.append(
      "input: \(ofProcesses)"
        + (ofHelper == 0 ? "" : ", \(grouped(ofHelper)) of a helper that holds data of files under /usr"))
  }

  private mutating func topUp() throws(TrialError) {
    let missing = input.pages
    // The helper's own first pages come on top.
    let helper = try DataHolderProcess(bytes: missing * input.pageSize + 1 << 20, seed: input.seed)
    guard try helper.waitUntilReady() else {
      notes.append("the helper found no files under /usr to hold")
      return
    }
    let (source, pages) = try ProcessPages.plan(pid: helper.pid, pageSize: input.pageSize)
    add(source, pages, atMost: missing)
    self.helper = helper
  }

  private mutating func collectCache() {
    let wanted = input.cachePages ?? min(input.pages, persistent.count) / 5
    guard wanted > 0 else { return }
    let files = SystemFiles.list(seed: input.seed)
    // Larger files first come first, so that few open files give all pages.
    let pagesEach = (wanted + Self.mostCacheFiles - 1) / Self.mostCacheFiles
    let perFile = max(256, pagesEach)
    let enough = files.filter { $0.bytes >= pagesEach * input.pageSize }
    let small = files.filter { $0.bytes < pagesEach * input.pageSize }
    var opened = 0
    for file in enough + small where discardable.count < wanted && opened < Self.mostCacheFiles {
      guard let source = try? FilePages(path: file.path, pageSize: input.pageSize) else { continue }
      opened += 1
      let number = sources.count
      sources.append(source)
      for page in 0..<min(source.pageCount, perFile, wanted - discardable.count) {
        discardable.append(PageReference(source: number, position: UInt64(page)).rawValue)
      }
    }
    if discardable.count < wanted {
      notes.append("only \(grouped(discardable.count)) pages of files under /usr could be found for the disk cache")
    }
  }
}
