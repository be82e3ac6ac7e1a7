// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import StowageEngine

/// What a trial found. Encoded as JSON, its keys are these names in snake case.
public struct TrialReport: Codable, Sendable, Equatable {
  /// One level of the chain.
  public struct Level: Codable, Sendable, Equatable {
    public var name: String
    /// What is particular about its place in the chain; empty when nothing is.
    public var note: String
    /// Pages there at the fullest, which is the end of the burst.
    public var pages: Int
    /// Pages that had come to stop there by then, from the beginning.
    public var pagesEntered: Int
    /// RAM and disk in use there at the fullest.
    public var ramBytes: Int
    public var diskBytes: Int
    /// What a page of the cohort cost while the cohort stood there; nil (null) where it never stood.
    public var ramBytesPerPage: Double?
    /// Of it, the chunks or frames themselves, without metadata and unused room.
    public var chunkBytesPerPage: Double?
    public var diskBytesPerPage: Double?
    /// Pages of the cohort that stood there then.
    public var cohortPages: Int
    /// Pages that left it for a lower level, went by it, or were dropped in it, to the fullest.
    public var pagesDemoted: Int
    public var pagesSkipped: Int
    public var pagesDropped: Int
    /// Mean time of one encode, in microseconds.
    public var encodeUs: Double
  }

  /// Calls of one kind.
  public struct Calls: Codable, Sendable, Equatable {
    public var calls: Int
    /// Calls by the time spent in them.
    public var pagesPerS: Double
    public var p50Us: Double
    public var p99Us: Double
    public var maxUs: Double
  }

  /// One phase.
  public struct Phase: Codable, Sendable, Equatable {
    public var name: String
    /// Pages put, in the last phase taken.
    public var pages: Int
    public var seconds: Double
    /// Pages by the time that the phase lasted, reading and comparing included.
    public var pagesPerS: Double
    public var p50Us: Double
    public var p99Us: Double
    public var skips: Int
    public var demotions: Int
    public var drops: Int
    /// Puts that had to wait for room.
    public var stalls: Int
    public var ramPeakBytes: Int
    /// Pages that entered each level, in the order of `levels`.
    public var pagesEntered: [Int]
  }

  public var pages: Int
  public var persistentPages: Int
  public var discardablePages: Int
  /// Of them, pages of one repeated word, which stand in no level.
  public var sameFilledPages: Int
  /// Planned pages that were gone from their process when their turn came.
  public var absentPages: Int
  public var mismatches: Int
  public var lost: Int
  /// Discardable pages that the store had dropped; each was read again from its file.
  public var discarded: Int
  /// Destructor calls of the whole trial.
  public var destructorCalls: Int
  /// Pages whose destructor was called too often or too rarely.
  public var destructorFaults: Int
  /// Dropped pages whose files changed during the trial, so that they could not be compared.
  public var filesChanged: Int
  public var levels: [Level]
  /// Pages that were weighed at every level.
  public var cohortPages: Int
  public var put: Calls
  public var take: Calls
  public var demotions: Int
  public var skips: Int
  public var ramLimitBytes: Int
  /// The highest sample of what the process used above its use before the store was opened.
  public var ramPeakBytes: Int
  /// What the store itself says that it used at most.
  public var ramPeakAccountedBytes: Int
  public var pageSize: Int
  public var seed: UInt64
  public var seconds: Double
  public var phases: [Phase]
  /// Why the store took no more pages; nil when it took all.
  public var full: String?
  /// The first failures, each naming its page.
  public var failures: [String]
  /// What is worth knowing of input, chain and run.
  public var notes: [String]

  /// Whether every page came back as it was put, and every drop was told exactly once.
  public var isSuccess: Bool {
    mismatches == 0 && lost == 0 && destructorFaults == 0 && destructorCalls == discarded
      && failures.isEmpty
  }

  /// The report as JSON text.
  public func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}

extension TrialReport.Level {
  private enum CodingKeys: String, CodingKey {
    case name, note, pages, pagesEntered, ramBytes, diskBytes, ramBytesPerPage, chunkBytesPerPage
    case diskBytesPerPage, cohortPages, pagesDemoted, pagesSkipped, pagesDropped, encodeUs
  }

  /// As the compiler would, but with null for what is not known, so that no key is ever missing.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(note, forKey: .note)
    try container.encode(pages, forKey: .pages)
    try container.encode(pagesEntered, forKey: .pagesEntered)
    try container.encode(ramBytes, forKey: .ramBytes)
    try container.encode(diskBytes, forKey: .diskBytes)
    try container.encode(ramBytesPerPage, forKey: .ramBytesPerPage)
    try container.encode(chunkBytesPerPage, forKey: .chunkBytesPerPage)
    try container.encode(diskBytesPerPage, forKey: .diskBytesPerPage)
    try container.encode(cohortPages, forKey: .cohortPages)
    try container.encode(pagesDemoted, forKey: .pagesDemoted)
    try container.encode(pagesSkipped, forKey: .pagesSkipped)
    try container.encode(pagesDropped, forKey: .pagesDropped)
    try container.encode(encodeUs, forKey: .encodeUs)
  }
}
