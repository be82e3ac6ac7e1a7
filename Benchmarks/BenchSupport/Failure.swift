// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Why a benchmark ends without figures.
package struct Failure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }

  /// What the last system call on a file said.
  package init(file: String) { self.init("\(file): \(String(cString: strerror(errno)))") }
}

/// Runs a benchmark. When it fails, that is said on standard error, and the status is 1.
package func runBenchmark(_ name: String, _ body: () throws -> Void) {
  do {
    try body()
  } catch {
    FileHandle.standardError.write(Data("\(name): \(error)\n".utf8))
    exit(1)
  }
}
