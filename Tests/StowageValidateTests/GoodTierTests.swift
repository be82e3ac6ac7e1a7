// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// Tiers that keep every rule: nothing may be held against them.
@Suite(.serialized) struct GoodTierTests {
  /// One way to build one of Tests/Fixtures/good-tiers, and checks that must have had something to see.
  struct Kind: Sendable, CustomTestStringConvertible {
    var source: String
    var defines: [String]
    var passes: [String]
    var testDescription: String { ([source] + defines).joined(separator: " ") }
  }

  static let kinds = [
    Kind(source: "transform", defines: [], passes: ["transform-context-use", "threads-transform", "leak-calls"]),
    Kind(source: "transform", defines: ["NO_CONTEXTS", "NO_INTEGRITY"], passes: ["transform-damage-answer"]),
    Kind(source: "transform", defines: ["LOSSY"], passes: ["transform-round-trip", "transform-damage-bounds"]),
    Kind(source: "transform", defines: ["SIDECAR"], passes: ["transform-sidecar-bounds", "transform-sidecar-filled"]),
    Kind(source: "transform", defines: ["STATE"], passes: ["transform-state-room", "transform-state-process"]),
    Kind(source: "transform", defines: ["CIPHER"], passes: ["transform-cipher-ids", "transform-length-preserving"]),
    Kind(source: "transform", defines: ["THREADS=1"], passes: ["threads-serialised", "threads-context-moves"]),
    Kind(source: "transform", defines: ["CIPHER", "THREADS=2"], passes: ["threads-serialised", "leak-failures"]),
    Kind(source: "backing", defines: ["THREADS=1"], passes: ["threads-serialised"]),
    Kind(source: "backing", defines: ["PERSISTENT", "ASYNC", "THREADS=2"], passes: ["threads-serialised"]),
    Kind(source: "backing", defines: [], passes: ["backing-past-end", "backing-health", "threads-backing"]),
    Kind(source: "backing", defines: ["MAPPED"], passes: ["backing-map"]),
    Kind(
      source: "backing", defines: ["PERSISTENT"], passes: ["backing-kill", "backing-root-kill", "backing-root-race"]),
    Kind(
      source: "backing", defines: ["PERSISTENT", "STORAGE"],
      passes: ["backing-kill", "backing-power-cut", "backing-root-power-cut"]),
    Kind(source: "backing", defines: ["PERSISTENT", "ASYNC"], passes: ["backing-async-many", "backing-async-inside"]),
  ]

  @Test("nothing is held against a tier that keeps the rules", arguments: kinds)
  func passes(_ kind: Kind) throws {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("good-tiers/\(kind.source).c", into: folder.url, defines: kind.defines)
    let validation = try validate(file, level: 2, withStorage: kind.defines.contains("STORAGE"))
    for id in kind.passes { #expect(validation.results.contains { $0.id == id && $0.outcome == .passed }, "\(id)") }
  }

  private func validate(_ file: URL, level: Int, withStorage: Bool) throws -> FileValidation {
    var validator = Validator(seed: KnownBadTests.seed, helper: Command.stowage)
    validator.level = level
    let validation = try validator.validate(file: file.path)
    // Without storage that can be replaced, no power can be cut.
    let unknown = withStorage ? [] : PowerCutChecks.all.map(\.id)
    let wrong = validation.results.filter {
      $0.outcome.isBad || $0.outcome == .warning || ($0.outcome == .notRun && !unknown.contains($0.id))
    }
    #expect(wrong.isEmpty, "\(wrong.map { "\($0.id): \($0.outcome.rawValue): \($0.message)" })")
    return validation
  }
}
