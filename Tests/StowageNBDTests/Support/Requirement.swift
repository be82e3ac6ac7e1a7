// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// Programs that tests need, beside what building needs.
enum Requirement {
  /// The path of a program; without it the test is not run, and says what is missing.
  static func program(_ name: String, package: String) throws -> String {
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map { "\($0)/\(name)" }
    if let path = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) { return path }
    try Test.cancel("'\(name)' is missing; install the package \(package)")
  }
}
