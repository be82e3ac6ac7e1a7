// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
import StowageEngine

/// Goes on with what another process has suspended: takes every page and compares it with what that one put.
public struct ResumedTrial {
  /// What the session of a trial is named.
  public static let sessionName = "stowage trial"
  /// Attributes of such a session.
  public static let versionKey = "stowage"
  public static let runKey = "run"
  public static let seedKey = "seed"
  public static let memoryKey = "memory"

  private let settings: TrialSettings
  private let run: UInt64
  private let seed: UInt64

  /// - Parameters:
  ///   - run: the number that tells the trial's pages from another's, as the session has it.
  ///   - seed: chooses the order of taking.
  public init(settings: TrialSettings, run: UInt64, seed: UInt64) {
    self.settings = settings
    self.run = run
    self.seed = seed
  }

  /// Resumes, takes everything back and compares. The session stays as it was suspended: no checkpoint is made.
  /// - Parameter checking: called when the store is open and the pages known, with what tells how far the check is.
  /// - Throws: `StoreError` for what the store refuses, `TrialError` when it was interrupted. A page that comes back
  ///   wrong is not an error here: it is in the report.
  public func run(checking: (@escaping @Sendable () -> WorkSample) -> Void) throws -> ResumeReport {
    let start = monotonicNanoseconds()
    let drops = UnreadableLog()
    let store = try Store(configuration: settings.configuration, chain: settings.chain) { drops.note($0) }
    defer { store.close() }
    let opened = monotonicNanoseconds()
    var report = ResumeReport()
    report.openMs = Double(opened - start) / 1e6
    let found = try FoundPages(store)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: store.pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    if let first = found.list.first ?? found.own.first {
      _ = try? store.peek(first.handle, into: buffer)
      report.firstPageMs = Double(monotonicNanoseconds() - start) / 1e6
    }
    let loaded = try store.preload()
    (report.loadedPages, report.loadedBytes) = (loaded.pages, loaded.bytesRead)
    report.loadSeconds = Double(loaded.duration_ns) / 1e9
    let entries = try readList(found, store, buffer, &report)
    let table = PageTable(
      persistent: Array(repeating: 0, count: (entries.map(\.page).max() ?? -1) + 1), discardable: [])
    for entry in entries { table.restore(entry.page, handle: entry.handle, hash: entry.hash) }
    checkStrays(found, entries, &report)

    let progress = TrialProgress()
    progress.begin(store: store, total: entries.count)
    defer { progress.end() }
    let total = entries.count * store.pageSize
    let pageSize = store.pageSize
    checking {
      WorkSample(done: progress.snapshot(withStatistics: false).done * pageSize, total: total)
    }
    let record = PhaseRecord(.giveBack)
    let taking = ReturnPhase(
      table: table, pageSize: store.pageSize, seed: seed, describe: { "page \($0)" }, readAgain: { _ in .absent },
      destructorPatience: .milliseconds(50))
    record.begin(store.statistics())
    try taking.run(store, record, progress)
    record.end(store.statistics())
    finish(&report, store, taking, record, entries: entries.count)
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    return report
  }

  private func finish(
    _ report: inout ResumeReport, _ store: Store, _ taking: ReturnPhase, _ record: PhaseRecord, entries: Int
  ) {
    report.pages = entries
    report.same = record.pages - taking.mismatches
    report.mismatches += taking.mismatches
    report.lost += taking.lost
    report.failures += taking.failures
    report.pageSize = store.pageSize
    report.checkSeconds = Double(record.nanoseconds) / 1e9
    report.p50Us = record.latencies.percentile(0.5) / 1000
    report.p99Us = record.latencies.percentile(0.99) / 1000
    report.warnings = store.warnings
    let left = store.statistics().pages
    if left != 0, report.failures.isEmpty {
      report.failures.append("the store still has \(grouped(left)) pages when all were taken")
    }
  }

  /// The pages of the list, taken; those that are wrong are noted.
  private func readList(
    _ found: FoundPages, _ store: Store, _ buffer: UnsafeMutableRawBufferPointer, _ report: inout ResumeReport
  ) throws -> [PageList.Entry] {
    let list = PageList(pageSize: store.pageSize, run: run)
    var entries: [PageList.Entry] = []
    var seen: Set<UInt64> = []
    var parts: Int?
    for page in found.list {
      try Interruption.check()
      do {
        let tag = try store.take(page.handle, into: buffer)
        let part = try list.read(buffer, tag: tag)
        entries += part.entries
        seen.insert(tag)
        parts = part.parts
      } catch let fault as ListFault {
        report.fail("page \(page.handle) of the list \(fault.reason)", isLost: false)
      } catch {
        report.fail("page \(page.handle) of the list: \(error)", isLost: true)
      }
    }
    let missing = (parts ?? 1) - seen.count
    if missing > 0 {
      report.fail(
        "\(grouped(missing)) of \(grouped(parts ?? 1)) pages of the list of pages are missing: "
          + "not every page can be compared",
        isLost: true)
    }
    report.listPages = seen.count
    return entries
  }

  /// Pages that the store has and the list has not.
  private func checkStrays(_ found: FoundPages, _ entries: [PageList.Entry], _ report: inout ResumeReport) {
    let known = Set(entries.map(\.handle))
    let strays = found.own.filter { !known.contains($0.handle.rawValue) }
    guard let first = strays.first else { return }
    report.strays = strays.count
    report.failures.append(
      "\(grouped(strays.count)) pages are in the store, but not in the list, such as \(first.handle)")
  }
}

/// What a resumed store says that it has.
private struct FoundPages {
  /// Of the trial's list, and the trial's own.
  var list: [PageSummary] = []
  var own: [PageSummary] = []

  init(_ store: Store) throws(StoreError) {
    var (list, own) = ([PageSummary](), [PageSummary]())
    try store.forEachPage { page in
      if PageList.isPart(tag: page.tag) { list.append(page) } else { own.append(page) }
    }
    (self.list, self.own) = (list, own)
  }
}
