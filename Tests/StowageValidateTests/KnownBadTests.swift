// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// A known-bad tier for every check: Tests/Fixtures/known-bad/ID.c. Exactly that check fails on it.
@Suite(.serialized) struct KnownBadTests {
  static let seed: UInt64 = ProcessInfo.processInfo.environment["STOWAGE_TEST_SEED"].flatMap(UInt64.init) ?? 20_261_123

  @Test("exactly its check fails", arguments: CheckList.all.map(\.id))
  func failsExactly(_ id: String) throws { try expectExactly(id, on: id) }

  @Test("exactly its check fails on a second fixture of one, such as a backing", arguments: try KnownBad.variants())
  func failsExactly(_ variant: KnownBad.Variant) throws {
    if variant.needsRoot, geteuid() != 0 {
      try Test.cancel("giving a file to another user needs root (CAP_CHOWN); the tests run as user \(geteuid())")
    }
    try expectExactly(variant.check, on: variant.name)
  }

  /// Fixtures that end the process by abort, of which the file warns as well.
  private static let aborting: Set = ["backing-kill", "backing-open-twice", "backing-root-kill", "transform-fuzz"]

  private func expectExactly(_ id: String, on fixture: String) throws {
    let check = try #require(CheckList.check(id))
    let folder = try TemporaryFolder()
    let file = try KnownBad.compile(fixture, into: folder.url)
    var validator = Validator(seed: Self.seed, helper: Command.stowage)
    validator.level = max(2, check.level)
    let validation = try validator.validate(file: file.path)
    let bad = validation.results.filter { result in
      let isMeant = result.id == "file-process-calls" && Self.aborting.contains(fixture)
      return result.outcome.isBad || (result.outcome == .warning && !isMeant)
    }
    #expect(bad.map(\.id) == [id], "\(bad.map { "\($0.id): \($0.outcome.rawValue): \($0.message)" })")
    for result in validation.results where result.outcome == .notRun { #expect(!result.message.isEmpty) }
  }
}

/// What every check must pass on, and what the fixtures stand for.
@Suite(.serialized) struct KnownGoodTests {
  @Test("every check passes on what the fixtures start from, or is for other tiers")
  func goodPlain() throws {
    let folder = try TemporaryFolder()
    let file = try KnownBad.compile("good-plain", into: folder.url)
    var validator = Validator(seed: KnownBadTests.seed, helper: Command.stowage)
    for level in [1, 5] {
      validator.level = level
      let validation = try validator.validate(file: file.path)
      let other = validation.results.filter { $0.outcome != .passed && $0.outcome != .notApplicable }
      #expect(other.isEmpty, "\(other.map { "\($0.id): \($0.outcome.rawValue): \($0.message)" })")
      #expect(validation.status == 0)
    }
  }

  private func shippedFile(_ name: String, into folder: TemporaryFolder) throws -> URL {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let file = folder.file("\(name).tier.so")
    try FileManager.default.copyItem(at: own.appendingPathComponent("lib\(name)-tier.so"), to: file)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    return file
  }

  /// The time of the processor and not that of the clock: what else the machine does must not decide.
  @Test("the default validation of an ordinary transform takes less than 15 s of the processor's time")
  func quick() throws {
    let folder = try TemporaryFolder()
    let file = try shippedFile("lz4", into: folder)
    let line = "\"$0\" plugins validate \"$1\" >&2 && times"
    let outcome = try Command.run("/bin/sh", ["-c", line, Command.stowage, file.path])
    #expect(outcome.status == 0, "\(outcome.errors)")
    // The second line is of the shell's children, theirs included: "0m1.405000s 0m1.327000s".
    let times = try #require(outcome.output.split(separator: "\n").last)
    let seconds = times.matches(of: /([0-9]+)m([0-9.]+)s/).reduce(0.0) { $0 + Double($1.1)! * 60 + Double($1.2)! }
    #expect(seconds > 0 && seconds < 15, "\(times)")
  }

  @Test("the shipped tiers pass", arguments: ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"], [5, 10])
  func shipped(_ name: String, _ level: Int) throws {
    let folder = try TemporaryFolder()
    let file = try shippedFile(name, into: folder)
    var validator = Validator(seed: KnownBadTests.seed, helper: Command.stowage)
    validator.level = level
    let began = ContinuousClock.now
    let validation = try validator.validate(file: file.path)
    // swapfile uses its file by io_uring, where no storage can be put in its place.
    let unknown = name == "swapfile" ? PowerCutChecks.all.map(\.id) : []
    let other = validation.results.filter {
      $0.outcome != .passed && $0.outcome != .notApplicable && !unknown.contains($0.id)
    }
    #expect(other.isEmpty, "\(other.map { "\($0.id): \($0.outcome.rawValue): \($0.message)" })")
    print(
      "\(name), level \(level): \(validation.results.count) checks in \((ContinuousClock.now - began) / .seconds(1)) s")
  }

  @Test("every fixture is one of a check, and each check says what it is about")
  func fixtures() throws {
    let ids = Set(CheckList.all.map(\.id))
    #expect(ids.count == CheckList.all.count)
    let variants = Set(try KnownBad.variants().map(\.name))
    for name in try KnownBad.names() where !name.hasPrefix("good-") && !variants.contains(name) {
      #expect(ids.contains(name), "\(name)")
    }
    for check in CheckList.all {
      #expect(check.id.utf8.count <= 32 && check.id.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)+/) != nil, "\(check.id)")
      #expect(ids.isSuperset(of: check.needs), "\(check.id) needs what is not there: \(check.needs)")
      #expect(check.proves.hasSuffix(".") && check.advice.hasSuffix("."), "\(check.id)")
    }
    // No check waits for itself: one after the other, all can be run.
    var done: Set<String> = []
    var left = CheckList.all
    while let index = left.firstIndex(where: { done.isSuperset(of: $0.needs) }) {
      done.insert(left.remove(at: index).id)
    }
    #expect(left.isEmpty, "\(left.map(\.id)) need each other")
  }
}

enum KnownBad {
  /// A second fixture of a check.
  struct Variant: Sendable, CustomTestStringConvertible {
    var name: String
    var check: String
    var needsRoot: Bool
    var testDescription: String { name }
  }

  private static let folder = TierCompiler.fixtures.appendingPathComponent("known-bad")

  static func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".c") }.sorted()
      .map { String($0.dropLast(2)) }
  }

  static func variants() throws -> [Variant] {
    try names().compactMap { name in
      let build = try FixtureBuild(folder.appendingPathComponent("\(name).c"))
      return build.check.map { Variant(name: name, check: $0, needsRoot: build.owner != nil) }
    }
  }

  /// Compiles ID.c; `FIXTURE_NAME` is the name that the tier is to give itself. What a fixture needs beside it (a
  /// second library, rights of the file) its first lines say, see `FixtureBuild`.
  static func compile(_ id: String, into folder: URL) throws -> URL {
    try FixtureBuild(Self.folder.appendingPathComponent("\(id).c")).compile(id, into: folder)
  }
}
