// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport

/// Counts of simulated crashes, as `scripts/crash-matrix` gathers them.
enum CrashMatrix {
  static func number(_ variable: String) -> Int? {
    ProcessInfo.processInfo.environment[variable].flatMap { Int($0) }
  }

  /// Prints a table of counts, and appends it to the file that STOWAGE_TEST_MATRIX names, a part for each kind of run.
  static func report(_ part: String, _ counts: SessionCounts, since began: ContinuousClock.Instant) throws {
    let seconds = (ContinuousClock.now - began).formatted(.units(allowed: [.seconds], width: .narrow))
    let table = "\(part): seed \(TestSeed.value), \(seconds)\n\(counts.table)\n"
    print(table)
    try SharedReport.append(table)
  }
}
