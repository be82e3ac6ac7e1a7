// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import StowageEngine

/// What suspending a trial did. Encoded as JSON, its keys are these names in snake case.
public struct SuspendReport: Codable, Sendable, Equatable {
  /// Persistent pages in the session, those that list the others left out, and these.
  public var pages: Int
  public var listPages: Int
  /// Discardable pages that were put; a suspend drops those that are still there.
  public var discardablePages: Int
  public var destructorCalls: Int
  public var destructorFaults: Int
  public var absentPages: Int
  public var pageSize: Int
  public var seed: UInt64
  /// The session's checkpoint.
  public var sequence: UInt64
  /// Pages that were in RAM when the suspend began, and so were written by it.
  public var pagesWritten: Int
  public var bytesWritten: Int
  public var indexBytes: Int
  /// In the chain's backings when the suspend began.
  public var bytesBefore: Int
  public var suspendSeconds: Double
  public var bytesPerS: Double
  /// Of the whole trial.
  public var seconds: Double
  public var failures: [String]
  public var notes: [String]

  /// Whether every page is in the session, and every drop was told once.
  public var isSuccess: Bool { failures.isEmpty && destructorFaults == 0 }

  /// The report as JSON text.
  public func json() throws -> String { try encodedJSON(self) }

  init(
    plan: TrialPlan, feeder: PageFeeder, listPages: Int, fullest: StoreStatistics, checkpoint: CheckpointReport,
    seconds: Double, total: Double, warnings: [String]
  ) {
    let table = plan.table
    pages = feeder.persistentPut
    self.listPages = listPages
    discardablePages = feeder.discardablePut
    destructorCalls = table.drops.calls
    destructorFaults = (0..<table.count).count {
      let isDropped = table.state($0) == .stored && !table.isPersistent($0)
      return table.drops.calls(of: $0) != (isDropped ? 1 : 0)
    } + table.drops.strays
    absentPages = feeder.absent
    pageSize = plan.input.pageSize
    seed = plan.input.seed
    sequence = checkpoint.sequence
    pagesWritten = checkpoint.pagesWritten
    bytesWritten = checkpoint.bytesWritten
    indexBytes = checkpoint.indexBytes
    bytesBefore = fullest.levels.reduce(0) { $0 + $1.diskBytes }
    suspendSeconds = seconds
    bytesPerS = seconds > 0 ? Double(checkpoint.bytesWritten) / seconds : 0
    self.seconds = total
    failures = []
    if checkpoint.pages != feeder.persistentPut + listPages {
      failures.append(
        "the checkpoint has \(grouped(checkpoint.pages)) pages, but "
          + "\(grouped(feeder.persistentPut + listPages)) were put")
    }
    if destructorFaults > 0 {
      failures.append("destructors of \(grouped(destructorFaults)) pages were not called as often as they should")
    }
    notes = plan.notes + warnings
    if let full = feeder.full { notes.append("the store took no more pages: \(full)") }
  }

  /// The report for people.
  public func text(file: String) -> String {
    var lines = [
      "\(grouped(pages)) pages are suspended in \(file)" + (isSuccess ? "." : ", but NOT all is well:")
    ]
    lines += failures.map { "  " + $0 }
    lines += [
      "",
      "written    \(SizeLabel(bytesWritten)) by the suspend, \(SizeLabel(indexBytes)) of them index: "
        + "\(grouped(pagesWritten)) pages had no copy in the file yet; \(SizeLabel(bytesBefore)) were there before",
      "time       \(decimal(suspendSeconds, 2)) s for the suspend, \(SizeLabel(Int(bytesPerS)))/s; "
        + "\(decimal(seconds, 1)) s in all",
      "pages      \(grouped(pages)) persistent ones, and \(grouped(listPages)) that list them with their hashes",
      "dropped    \(grouped(destructorCalls)) of \(grouped(discardablePages)) discardable pages, each told once",
    ]
    if destructorFaults > 0 { lines.removeLast() }
    return lines.joined(separator: "\n")
  }
}

/// What resuming a trial found. Encoded as JSON, its keys are these names in snake case.
public struct ResumeReport: Codable, Sendable, Equatable {
  /// Pages that the first process put, as their list says, and those that came back the same.
  public var pages = 0
  public var same = 0
  public var mismatches = 0
  public var lost = 0
  /// Pages that are in the store and not in the list.
  public var strays = 0
  public var listPages = 0
  public var pageSize = 0
  /// From the beginning to the open store, and to the first page; a passphrase takes a good part of it.
  public var openMs = 0.0
  public var firstPageMs = 0.0
  /// What was brought up into RAM ahead of the check, and what was read for that.
  public var loadedPages = 0
  public var loadedBytes = 0
  public var loadSeconds = 0.0
  public var checkSeconds = 0.0
  public var p50Us = 0.0
  public var p99Us = 0.0
  /// Of all.
  public var seconds = 0.0
  public var failures: [String] = []
  public var warnings: [String] = []

  private static let namedFailures = 20

  /// Whether every page came back as it was put.
  public var isSuccess: Bool {
    mismatches == 0 && lost == 0 && strays == 0 && failures.isEmpty && same == pages && listPages > 0
  }

  /// The report as JSON text.
  public func json() throws -> String { try encodedJSON(self) }

  mutating func fail(_ what: String, isLost: Bool) {
    if isLost { lost += 1 } else { mismatches += 1 }
    if failures.count < Self.namedFailures { failures.append(what) }
  }

  private var pagesPerS: Double { checkSeconds > 0 ? Double(pages) / checkSeconds : 0 }

  /// The report for people.
  public func text(file: String) -> String {
    let rate = SizeLabel(Int(pagesPerS * Double(pageSize)))
    var lines = [
      "resumed    \(grouped(pages)) pages from \(file), and \(grouped(listPages)) that list them",
      "first page \(decimal(firstPageMs, 1)) ms after the beginning, \(decimal(openMs, 1)) ms of them to open the "
        + "store",
      "loaded     \(grouped(loadedPages)) pages ahead, \(SizeLabel(loadedBytes)) in \(decimal(loadSeconds, 2)) s",
      "checked    in \(decimal(checkSeconds, 2)) s, in random order: \(grouped(Int(pagesPerS))) pages/s, \(rate)/s, "
        + "p50 \(decimal(p50Us, 1)) us, p99 \(decimal(p99Us, 1)) us", "",
    ]
    if isSuccess {
      lines.append("All \(grouped(pages)) pages came back as the first process put them.")
    } else {
      lines += ["FAILED"] + failures.map { "  " + $0 }
      lines += [
        "", "NOT all is well: \(grouped(mismatches)) pages came back with other bytes, \(grouped(lost)) were lost, "
          + "\(grouped(strays)) are not in the list; \(grouped(same)) of \(grouped(pages)) came back as they were put.",
      ]
    }
    return lines.joined(separator: "\n")
  }
}

private func encodedJSON(_ report: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(report), as: UTF8.self)
}
