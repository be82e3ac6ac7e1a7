// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport

extension TestSeed {
  /// Model operations over all chains: STOWAGE_TEST_OPERATIONS, by default a few more than a million.
  static let operations: Int = {
    ProcessInfo.processInfo.environment["STOWAGE_TEST_OPERATIONS"].flatMap { Int($0) } ?? 1_080_000
  }()
}
