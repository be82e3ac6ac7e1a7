// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// A known-bad tier for every check: Tests/Fixtures/known-bad/ID.c. Exactly that check fails on it.
@Suite(.serialized) struct KnownBadTests {
  static let seed: UInt64 = ProcessInfo.processInfo.environment["STOWAGE_TEST_SEED"].flatMap(UInt64.init) ?? 20_261_123

  @Test("exactly its check fails", arguments: CheckList.all.map(\.id))
  func failsExactly(_ id: String) throws {
    let check = try #require(CheckList.check(id))
    let folder = try TemporaryFolder()
    let file = try KnownBad.compile(id, into: folder.url)
    var validator = Validator(seed: Self.seed, helper: Command.stowage)
    validator.level = max(2, check.level)
    let validation = try validator.validate(file: file.path)
    let bad = validation.results.filter { $0.outcome.isBad || (check.isWarning && $0.outcome == .warning) }
    #expect(bad.map(\.id) == [id], "\(bad.map { "\($0.id): \($0.outcome.rawValue): \($0.message)" })")
    for result in validation.results where result.outcome == .notRun { #expect(!result.message.isEmpty) }
  }
}

enum KnownBad {
  /// Compiles ID.c; `FIXTURE_NAME` is the name that the tier is to give itself. What a fixture needs beside it (a second
  /// library, rights of the file) its first lines say, see `extras`.
  static func compile(_ id: String, into folder: URL) throws -> URL {
    try TierCompiler.compile("known-bad/\(id).c", into: folder)
  }
}
