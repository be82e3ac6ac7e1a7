// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A file to which the tests of one long run append what they counted: STOWAGE_TEST_MATRIX.
public enum SharedReport {
  public static func append(_ text: String) throws {
    guard let path = ProcessInfo.processInfo.environment["STOWAGE_TEST_MATRIX"] else { return }
    if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    defer { try? file.close() }
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
  }
}
