// SPDX-License-Identifier: Apache-2.0
import StowageEngine

extension Store {
  /// Sends what is raw on, and waits until nothing is left to do.
  func drainRawPages() throws {
    try setLimit(0, level: 0)
    try settle()
  }

  func settle() throws {
    guard waitUntilSettled(timeout: .seconds(300)) else { throw Failure("the store did not settle in 300 s") }
  }
}
