// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// Runs of `stowage plugins validate` that do not go as planned, and what they leave behind.
@Suite(.serialized) struct ValidateRunTests {
  private static let plain: [String: String?] = ["STOWAGE_PLUGIN_PATH": nil, "HOME": "/nonexistent"]

  private func compile(_ source: String, into folder: TemporaryFolder, _ defines: [String] = []) throws -> String {
    try TierCompiler.compile(source, into: folder.url, defines: defines).path
  }

  private func children(of process: pid_t) -> [pid_t] {
    let list = try? String(contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .utf8)
    return (list ?? "").split(separator: " ").compactMap { pid_t($0) }
  }

  /// Whether a process has a handler for a signal.
  private func takesOver(_ process: pid_t, _ signal: Int32) throws -> Bool {
    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let caught = try #require(status.firstMatch(of: /SigCgt:\s+([0-9a-f]+)/)?.1)
    return try #require(UInt64(caught, radix: 16)) & 1 << UInt64(signal - 1) != 0
  }

  private func contents(_ folder: TemporaryFolder) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path)
  }

  @Test(
    "a signal ends the helpers, removes what is temporary, and is the status",
    arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT])
  func interrupted(_ signal: Int32) throws {
    let (folder, temporary) = (try TemporaryFolder(), try TemporaryFolder())
    let file = try compile("bad-tiers/hang-entry.c", into: folder)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // Whatever those who started the tests ignore.
    process.arguments = [
      "--default-signal", Command.stowage, "plugins", "validate", file, "--set", "path=\(folder.path)/none",
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": temporary.path]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    var helpers: [pid_t] = []
    for _ in 0..<1500 {
      usleep(20_000)
      helpers = children(of: process.processIdentifier)
      // Before the first check a process asks for the options, and signals are not taken over yet. (SIGQUIT has a handler
      // of the Swift runtime's from the start.)
      let hasBegun = try takesOver(process.processIdentifier, SIGTERM)
      let isUnderWay = try hasBegun && helpers.count == 1 && !contents(temporary).isEmpty
      if isUnderWay { break }
    }
    #expect(!helpers.isEmpty)
    #expect(try contents(temporary) != [])
    kill(process.processIdentifier, signal)
    try process.waitUntilExit(within: .seconds(60))
    #expect(process.terminationReason == .exit && process.terminationStatus == 128 + signal)
    #expect(try contents(temporary) == [])
    #expect(try contents(folder) == ["hang-entry.tier.so"])
    for helper in helpers { #expect(kill(helper, 0) != 0, "helper \(helper) is still there") }
    let said = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    #expect(said.contains("stopped by signal \(signal)"), "\(said)")
  }

  @Test("a signal that is ignored stays so")
  func ignored() throws {
    let folder = try TemporaryFolder()
    let file = try compile("bad-tiers/hang-entry.c", into: folder)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "--default-signal", "--ignore-signal=HUP", Command.stowage, "plugins", "validate", file, "--check",
      "loading-entry",
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    for _ in 0..<500 where try !takesOver(process.processIdentifier, SIGTERM) { usleep(20_000) }
    #expect(try !takesOver(process.processIdentifier, SIGHUP))
    kill(process.processIdentifier, SIGHUP)
    usleep(300_000)
    #expect(process.isRunning)
    kill(process.processIdentifier, SIGTERM)
    try process.waitUntilExit(within: .seconds(60))
    #expect(process.terminationStatus == 128 + SIGTERM)
  }

  /// A tier whose entry function does something first.
  private func tier(_ body: String, _ more: String = "", into folder: TemporaryFolder) throws -> String {
    let source = """
      #include "\(TierCompiler.fixtures.path)/known-bad/good-transform.h"
      #include <fcntl.h>
      #include <unistd.h>
      \(more)
      FIXTURE({ \(body) })
      """
    try folder.write(source, to: "own.c")
    let up = String(repeating: "../", count: TierCompiler.fixtures.pathComponents.count)
    return try TierCompiler.compile(up + folder.file("own.c").path, into: folder.url, name: "own").path
  }

  @Test("what hung is run once more, alone; a pass of that is one, with a note")
  func again() throws {
    let folder = try TemporaryFolder()
    let mark = folder.file("mark").path
    let file = try tier("if (open(\"\(mark)\", O_CREAT | O_EXCL, 0600) >= 0) for (;;) pause();", into: folder)
    let outcome = try Command.stowage("plugins", "validate", file, "--check", "loading-entry")
    #expect(outcome.status == 0, "\(outcome.output)")
    #expect(outcome.output.contains("passed  loading-entry"), "\(outcome.output)")
    #expect(outcome.output.contains("run once more, alone"), "\(outcome.output)")
    #expect(outcome.output.contains("hung: no end within"), "\(outcome.output)")
    #expect(FileManager.default.fileExists(atPath: mark))
  }

  @Test("a descriptor closed by an entry function that then gives nothing is named")
  func closedAndNull() throws {
    let folder = try TemporaryFolder()
    let file = try tier("if (close(1) == 0) return 0;", into: folder)
    var validator = Validator(seed: 1, helper: Command.stowage)
    validator.level = 1
    let bad = try validator.validate(file: file).results.filter(\.outcome.isBad)
    #expect(bad.map(\.id) == ["loading-entry", "loading-files"], "\(bad)")
    #expect(bad.last?.message.contains("1 is gone") == true)
  }

  @Test("what checks write is gone before the next ones run")
  func room() throws {
    let (folder, temporary) = (try TemporaryFolder(), try TemporaryFolder())
    let file = try compile("good-tiers/backing.c", into: folder)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Command.stowage)
    process.arguments = ["plugins", "validate", file, "--level", "1", "--jobs", "2"]
    process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": temporary.path]) { $1 }
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    var most = 0
    while process.isRunning {
      most = max(most, try contents(temporary).count)
      usleep(2000)
    }
    #expect(process.terminationStatus == 0)
    #expect((1...2).contains(most), "\(most) folders at one time")
  }

  @Test("where a check opens a store, the memory that is present is limited")
  func memory() throws {
    let folder = try TemporaryFolder()
    let more = """
      static int32_t greedy(ENCODE_PARAMETERS) {
        volatile uint8_t *block = malloc(700u << 20);
        for (size_t at = 0; block && at < 700u << 20; at += 4096) block[at] = 1;
        if (block) usleep(500000);
        free((void *)block);
        return good_encode(ENCODE_ARGUMENTS);
      }
      """
    let file = try tier("good_table.encode = greedy;", more, into: folder)
    var validator = Validator(seed: 1, helper: Command.stowage)
    validator.level = 1
    validator.memoryBytes = 400 << 20
    validator.checks = ["life-store"]
    let result = try #require(try validator.validate(file: file).results.first { $0.id == "life-store" })
    #expect(result.outcome == .crashed && result.message.contains("more than 400MiB of memory"), "\(result)")
  }

  @Test("JUnit's XML has no characters that XML has not")
  func characters() throws {
    let folder = try TemporaryFolder()
    let name = "a\u{FFFE}\u{FFFF}\u{1}<\u{1F600}"
    try folder.write("text", to: "\(name).tier.so")
    let results = folder.file("results.xml")
    let outcome = try Command.stowage("plugins", "validate", folder.path, "--level", "1", "--junit", results.path)
    #expect(outcome.status == 1, "\(outcome.errors)")
    let text = String(decoding: try Data(contentsOf: results), as: UTF8.self)
    #expect(!text.unicodeScalars.contains { [0xFFFE, 0xFFFF, 1].contains($0.value) })
    #expect(text.contains("a\u{FFFD}\u{FFFD} &lt;\u{1F600}"), "\(text.prefix(300))")
  }

  @Test("a helper that does not come up is a check that crashed, and the others run")
  func brokenHelper() throws {
    let folder = try TemporaryFolder()
    let file = try compile("known-bad/good-plain.c", into: folder)
    let helper = folder.file("helper")
    let script = "#!/bin/sh\ncase \"$*\" in *transform-health*) exit 1;; esac\nexec '\(Command.stowage)' \"$@\"\n"
    try Data(script.utf8).write(to: helper)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: helper.path)
    var validator = Validator(seed: 3, helper: helper.path)
    validator.level = 1
    let validation = try validator.validate(file: file)
    #expect(validation.status == 3)
    let bad = validation.results.filter(\.outcome.isBad)
    #expect(bad.map(\.id) == ["transform-health"], "\(bad)")
    #expect(bad.first?.outcome == .crashed)
    #expect(bad.first?.message.contains("the helper did not come up") == true, "\(bad)")
    #expect(validation.count(.passed) > 50)
  }

  @Test("where no helper works at all, JSON and JUnit are complete for every file")
  func noHelper() throws {
    let folder = try TemporaryFolder()
    for name in ["good-plain", "good-too"] {
      try TierCompiler.compile("known-bad/good-plain.c", into: folder.url, name: name)
    }
    let results = folder.file("results.xml")
    let outcome = try Command.stowage(
      "plugins", "validate", folder.path, "--level", "1", "--json", "--junit", results.path,
      environment: ["TMPDIR": "/nonexistent"])
    #expect(outcome.status == 3, "\(outcome.errors)")
    let report = try JSONDecoder().decode(ValidateCommandTests.Report.self, from: Data(outcome.output.utf8))
    #expect(report.status == 3)
    #expect(report.validations.map(\.name) == ["good-plain", "good-too"])
    for validation in report.validations {
      let crashed = validation.checks.filter { $0.outcome == "crashed" }
      #expect(!crashed.isEmpty && crashed.allSatisfy { $0.message.contains("no temporary folder can be made") })
      #expect(validation.checks.allSatisfy { $0.outcome == "crashed" || $0.blockedBy != nil })
    }
    let xml = try String(contentsOf: results, encoding: .utf8)
    #expect(xml.components(separatedBy: "<testsuite ").count == 3 && xml.hasSuffix("</testsuites>\n"))
  }

  @Test("checks side by side have files of their own, and the one that the user named stays as it is")
  func ownFiles() throws {
    let (folder, data) = (try TemporaryFolder(), try TemporaryFolder())
    let backing = try compile("good-tiers/backing.c", into: folder, ["PERSISTENT"])
    let slots = data.file("slots").path
    let made = try Command.stowage(
      "plugins", "validate", backing, "--level", "2", "--jobs", "4", "--set", "path=\(slots)", "--json")
    let report = try JSONDecoder().decode(ValidateCommandTests.Report.self, from: Data(made.output.utf8))
    let other = report.validations[0].checks.filter {
      $0.outcome != "passed" && $0.outcome != "not applicable" && !PowerCutChecks.all.map(\.id).contains($0.id)
    }
    #expect(made.status == 0 && other.isEmpty, "\(other.map { "\($0.id): \($0.outcome): \($0.message)" })")
    #expect(try contents(data) == [])

    let words = "bytes that are mine"
    try data.write(words, to: "slots")
    // It is not the file of such a tier, which is to see a copy of it and no empty file.
    let refused = try Command.stowage("plugins", "validate", backing, "--check", "life-again", "--set", "path=\(slots)")
    #expect(refused.status == 1 && refused.output.contains("another page size"), "\(refused.output)")
    #expect(try contents(data) == ["slots"])
    #expect(try String(contentsOfFile: slots, encoding: .utf8) == words)
  }
}
