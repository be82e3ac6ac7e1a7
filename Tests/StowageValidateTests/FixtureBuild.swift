// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport

/// How a fixture is built, as lines "// build: ..." of its first comment say:
///
///     // build: library NAME.c        depends on a second library, made from known-bad/libraries/NAME.c
///     // build: missing NAME.c        the same, but the second library is gone afterwards
///     // build: mode 777              the rights of the file
///     // build: owner 65534           whose it is, by number; only root can give a file away
///     // build: cut 5000              only so many of its bytes
///     // build: check ID              the check that fails on it, for a second fixture of one; else its name says so
struct FixtureBuild {
  private var libraries: [String] = []
  private var missing: [String] = []
  private var mode: Int?
  private var cut: Int?
  private(set) var owner: Int?
  private(set) var check: String?

  init(_ source: URL) throws {
    for line in try String(contentsOf: source, encoding: .utf8).split(separator: "\n") {
      guard line.hasPrefix("//") else { break }
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 4, words[1] == "build:" else { continue }
      switch words[2] {
      case "library": libraries.append(words[3])
      case "missing": missing.append(words[3])
      case "mode": mode = Int(words[3], radix: 8)
      case "owner": owner = Int(words[3])
      case "cut": cut = Int(words[3])
      case "check": check = words[3]
      default: throw TestFailure("\(source.lastPathComponent): 'build: \(words[2])' is not known")
      }
    }
  }

  /// Compiles known-bad/ID.c.
  func compile(_ id: String, into folder: URL) throws -> URL {
    let beside = folder.appendingPathComponent("libraries")
    try FileManager.default.createDirectory(
      at: beside, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    let built = try (libraries + missing).map { try TierCompiler.compile("known-bad/libraries/\($0)", into: beside) }
    let file = try TierCompiler.compile("known-bad/\(id).c", into: folder, libraries: built)
    for library in built.suffix(missing.count) { try FileManager.default.removeItem(at: library) }
    if let cut { try Data(contentsOf: file).prefix(cut).write(to: file) }
    try FileManager.default.setAttributes([.posixPermissions: mode ?? 0o755], ofItemAtPath: file.path)
    if let owner {
      try FileManager.default.setAttributes([.ownerAccountID: owner], ofItemAtPath: file.path)
    }
    return file
  }
}
