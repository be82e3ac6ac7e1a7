// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// Programs that tests need, beside what building needs.
enum Requirement {
  /// The path of a program; without it the test is not run, and says what is missing.
  static func program(_ name: String, package: String) throws -> String {
    for folder in ["/usr/bin", "/usr/sbin", "/bin", "/sbin"] where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
      return "\(folder)/\(name)"
    }
    try Test.cancel("'\(name)' is missing; install the package \(package)")
  }
}
