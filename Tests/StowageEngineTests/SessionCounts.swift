// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport

/// What was counted over simulated lives of stores.
struct SessionCounts {
  /// When the power failed, in which kind of call; "rest" when in none.
  struct Crash: Hashable, Comparable {
    var moment: String
    var call: String
    static func < (left: Crash, right: Crash) -> Bool { (left.moment, left.call) < (right.moment, right.call) }
  }

  var crashes: [Crash: Int] = [:]
  var resumes = 0
  /// Resumes that a fault ended, which worked later.
  var failedResumes = 0
  /// Sessions refused as damaged when slots of their index were.
  var refusals = 0
  var suspends = 0
  var checkpoints = 0
  var failedCheckpoints = 0
  /// Checkpoints that merged deltas.
  var merges = 0
  var automatic = 0
  /// Operations in the middle of a checkpoint.
  var interleaved = 0
  /// Operations on a resumed store whose index had not been read.
  var operationsWhileLoading = 0
  /// Puts refused for want of room.
  var full = 0
  var pagesCompared = 0
  /// Slots made stale, slots with a flipped bit, and pages that were named unreadable for it.
  var staleSlots = 0
  var flippedSlots = 0
  var pagesNamed = 0
  var faults: [SimulatedDisk.Fault: Int] = [:]
  /// What must be 0.
  var wrongPages = 0
  var notResumed = 0

  var allCrashes: Int { crashes.values.reduce(0, +) }

  mutating func add(_ other: SessionCounts) {
    crashes.merge(other.crashes, uniquingKeysWith: +)
    faults.merge(other.faults, uniquingKeysWith: +)
    for path in Self.numbers.values { self[keyPath: path] += other[keyPath: path] }
  }

  /// By name.
  private static var numbers: KeyValuePairs<String, WritableKeyPath<SessionCounts, Int>> {
    [
      "resumes": \.resumes, "resumes that a fault ended, repeated": \.failedResumes,
      "sessions refused as damaged, and they were": \.refusals, "suspends": \.suspends, "checkpoints": \.checkpoints,
      "checkpoints that merged deltas": \.merges,
      "checkpoints that a fault ended": \.failedCheckpoints, "checkpoints for want of room": \.automatic,
      "operations during checkpoints": \.interleaved,
      "operations while an index was read": \.operationsWhileLoading, "puts refused for want of room": \.full,
      "slots made stale": \.staleSlots, "slots with a flipped bit": \.flippedSlots,
      "pages named unreadable, and they were": \.pagesNamed, "pages compared": \.pagesCompared,
      "wrong pages": \.wrongPages, "sessions that should resume and did not": \.notResumed,
    ]
  }

  /// Lines of a name, a tab and a number.
  var table: String {
    var lines = ["crashes\t\(allCrashes)"]
    lines += crashes.sorted { $0.key < $1.key }.map { "  \($0.key.moment), \($0.key.call)\t\($0.value)" }
    lines += SimulatedDisk.Fault.allCases.map { "faults: \($0)\t\(faults[$0] ?? 0)" }
    lines += Self.numbers.map { "\($0.key)\t\(self[keyPath: $0.value])" }
    return lines.joined(separator: "\n")
  }
}

private extension KeyValuePairs {
  var values: [Value] { map(\.value) }
}
