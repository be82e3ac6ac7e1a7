// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationXML
import StowageTestSupport
import Testing

/// `stowage plugins validate`, as its users see it, on tiers that do their worst.
@Suite(.serialized) struct ValidateCommandTests {
  /// Tiers in one folder, and what the one line of each must say; the good one has none.
  private static let tiers: [(name: String, outcome: String, check: String, says: String)] = [
    ("close-all", "crashed", "loading-entry", "closed descriptors that are not its own"),
    ("close-output", "failed", "loading-files", "1 is gone"),
    ("crash-constructor", "crashed", "loading-link", "SIGSEGV"),
    ("crash-decode", "crashed", "transform-round-trip", "SIGSEGV"),
    ("exit-zero", "crashed", "loading-entry", "exit(0)"),
    ("hang-entry", "hung", "loading-entry", "no end within"),
  ]

  struct Report: Decodable {
    struct File: Decodable {
      var name: String
      var level: Int
      var seed: String
      var checks: [Check]
    }
    struct Check: Decodable {
      var id: String
      var outcome: String
      var message: String
      var evidence: Int
      var lastCall: String?
      var blockedBy: String?
      enum CodingKeys: String, CodingKey {
        case id, outcome, message, evidence
        case lastCall = "last_call"
        case blockedBy = "blocked_by"
      }
    }
    var validations: [File]
    var status: Int
  }

  private static func build(_ names: [String]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in names { try TierCompiler.compile("bad-tiers/\(name).c", into: folder.url) }
    try TierCompiler.compile("known-bad/good-plain.c", into: folder.url)
    return folder
  }

  @Test("a folder of tiers that crash, hang, exit and close: one line for each, and the good one passes")
  func folder() throws {
    let folder = try Self.build(Self.tiers.map(\.name))
    let outcome = try Command.stowage("plugins", "validate", folder.path, "--level", "1", "--seed", "42")
    #expect(outcome.status == 3, "\(outcome.errors)")
    #expect(outcome.errors == "")
    let blocks = Self.blocks(outcome.output)
    #expect(blocks.count == Self.tiers.count + 1)
    for tier in Self.tiers {
      let lines = try #require(blocks[tier.name], "\(outcome.output)")
      let bad = lines.filter { line in ["crashed", "failed", "hung"].contains { line.hasPrefix("  \($0)  ") } }
      #expect(bad == ["  \(tier.outcome)  \(tier.check)"], "\(lines)")
      #expect(lines.contains { $0.contains(tier.says) }, "\(lines)")
      #expect(lines.contains { $0.contains("What to do:") })
      #expect(lines.count { $0.hasPrefix("  not run  ") } == 1, "\(lines)")
      #expect(lines.contains { $0.contains("checks need \(tier.check), which \(tier.outcome)") }, "\(lines)")
      #expect(lines.contains { $0.contains("--check \(tier.check) --level 1 --seed 42") }, "\(lines)")
      // A call to exit is also seen in the file, before it is made.
      #expect(lines.contains("  warning  file-process-calls") == (tier.name == "exit-zero"), "\(lines)")
      #expect(lines.count <= 13, "\(lines)")
    }
    let good = try #require(blocks["good-plain"])
    #expect(good.count == 1 && good[0].hasSuffix(" passed"), "\(good)")
  }

  /// The lines under each file's, by the tier's name.
  private static func blocks(_ output: String) -> [String: [String]] {
    var blocks: [String: [String]] = [:]
    var name = ""
    for line in output.split(separator: "\n").map(String.init) {
      if line.hasPrefix("/"), let end = line.range(of: ".tier.so, level ") {
        name = String(line[..<end.lowerBound].split(separator: "/").last ?? "")
        blocks[name] = []
      } else {
        blocks[name, default: []].append(line)
      }
    }
    return blocks
  }

  @Test("JSON and JUnit hold every check of every file")
  func machineReadable() throws {
    let folder = try Self.build(["crash-constructor"])
    let file = folder.file("results.xml")
    let outcome = try Command.stowage(
      "plugins", "validate", folder.path, "--level", "1", "--seed", "7", "--json", "--junit", file.path)
    #expect(outcome.status == 3)
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    #expect(report.status == 3)
    #expect(report.validations.map(\.name) == ["crash-constructor", "good-plain"])
    let crashed = report.validations[0]
    #expect(crashed.seed == "7" && crashed.level == 1)
    #expect(crashed.checks.map(\.id) == report.validations[1].checks.map(\.id))
    #expect(crashed.checks.filter { $0.outcome == "crashed" }.map(\.id) == ["loading-link"])
    #expect(crashed.checks.first { $0.id == "loading-link" }?.lastCall?.hasPrefix("dlopen(") == true)
    let blocked = crashed.checks.filter { $0.outcome == "not run" }
    #expect(blocked.count > 40)
    #expect(
      blocked.allSatisfy { $0.blockedBy == "loading-link" && $0.message == "it needs loading-link, which crashed" })
    for check in report.validations[1].checks {
      #expect(check.outcome == "passed" || check.outcome == "not applicable", "\(check.id): \(check.message)")
      #expect(check.outcome != "passed" || check.evidence > 0)
    }
    let counter = ElementCounter()
    let parser = XMLParser(data: try Data(contentsOf: file))
    parser.delegate = counter
    #expect(parser.parse())
    #expect(counter.counts["testsuite"] == 2)
    #expect(counter.counts["error"] == 1)
    #expect(counter.counts["skipped"] == blocked.count)
    let shown = report.validations.flatMap(\.checks).count { $0.outcome != "not applicable" }
    #expect(counter.counts["testcase"] == shown)
  }

  @Test("a crash in decode shows the call, the seed and how to repeat it")
  func lastCall() throws {
    let folder = try Self.build(["crash-decode"])
    let file = folder.file("crash-decode.tier.so").path
    let outcome = try Command.stowage(
      "plugins", "validate", file, "--check", "transform-round-trip", "--seed", "5", "--level", "1")
    #expect(outcome.status == 3)
    #expect(outcome.output.contains(/Last call: +decode\(object [0-9]+, 4096 bytes from 4096\)/), "\(outcome.output)")
    #expect(outcome.output.contains("--level 1 --seed 5"))
  }

  @Test("what is wrong with the call itself ends with 2")
  func usage() throws {
    let folder = try Self.build([])
    let good = folder.file("good-plain.tier.so").path
    let unknown = try Command.stowage("plugins", "validate", good, "--check", "life-opne")
    #expect(unknown.status == 2)
    #expect(unknown.errors.contains("did you mean 'life-open'"), "\(unknown.errors)")
    let empty = try TemporaryFolder()
    let short = try empty.write("less than a page", to: "short")
    for arguments in [
      [empty.path], ["/nonexistent/x.tier.so"], ["nobody-has-this"], [good, "--level", "11"], [good, "--set", "level"],
      [good, "--in-process"], [good, "--pages", "/nonexistent"], [good, "--pages", short], [good, "--pages", "/usr"],
      [good, "--set", "nokey=1"], [good, "--junit", "/nonexistent/results.xml"],
      [good, "--check", "life-open", "--in-process", "--json"],
      [good, "--check", "life-open", "--in-process", "--junit", folder.file("results.xml").path],
    ] {
      let outcome = try Command.run(Command.stowage, ["plugins", "validate"] + arguments)
      #expect(outcome.status == 2, "\(arguments): \(outcome.output)")
      #expect(outcome.errors != "")
    }
  }

  @Test("options are held against the tables before anything is checked")
  func options() throws {
    let folder = try TemporaryFolder()
    for name in ["good", "needs-option", "hang-entry"] {
      try TierCompiler.compile("bad-tiers/\(name).c", into: folder.url)
    }
    let path = "path=\(folder.path)/none"
    let cases: [(set: [String], says: String)] = [
      (["levle=3"], "did you mean 'level'?"), (["level=abc"], "'abc' will not do; expected a whole number"),
      (["level=100"], "'100' will not do"), (["mode=fastt"], "did you mean 'fast'?"),
      (["zzzzzz=1"], "those that there are: level, mode, passphrase, path, pin, size, sync"),
    ]
    for (set, says) in cases {
      let outcome = try Command.run(
        Command.stowage, ["plugins", "validate", folder.path, "--level", "1"] + set.flatMap { ["--set", $0] })
      #expect(outcome.status == 2 && outcome.output == "", "\(set): \(outcome.output)")
      #expect(outcome.errors.contains(says), "\(set): \(outcome.errors)")
    }
    // It is one of a file's, and nothing to the other.
    let files = ["good", "needs-option"].map { folder.file("\($0).tier.so").path }
    let outcome = try Command.stowage(
      "plugins", "validate", files[0], files[1], "--check", "life-open", "--set", "level=3", "--set", path)
    #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
  }

  @Test("a check for other tiers says so, and is no failure and no pass")
  func otherTiers() throws {
    let folder = try Self.build([])
    let good = folder.file("good-plain.tier.so").path
    let alone = try Command.stowage("plugins", "validate", good, "--check", "backing-model")
    #expect(alone.status == 2, "\(alone.output)")
    #expect(alone.output.contains("not applicable  backing-model"), "\(alone.output)")
    #expect(alone.output.contains("it is for backing tiers, this is a transform"), "\(alone.output)")
    #expect(alone.output.contains("1 not applicable"), "\(alone.output)")
    // Beside another one, and another file, for which it is, it does not matter.
    try TierCompiler.compile("good-tiers/backing.c", into: folder.url)
    let both = try Command.stowage("plugins", "validate", folder.path, "--check", "backing-model", "--level", "1")
    #expect(both.status == 0 && both.output.contains("not applicable  backing-model"), "\(both.output)")
  }

  @Test("what is no file is called what it is")
  func noFile() throws {
    let folder = try TemporaryFolder()
    #expect(mkfifo(folder.file("pipe.tier.so").path, 0o600) == 0)
    let files = FileManager.default
    try files.createDirectory(at: folder.file("folder.tier.so"), withIntermediateDirectories: false)
    let link = folder.file("link.tier.so").path
    try files.createSymbolicLink(atPath: link, withDestinationPath: "/nonexistent")
    let outcome = try Command.stowage("plugins", "validate", folder.path, "--level", "1")
    #expect(outcome.status == 1)
    for part in ["but a folder", "but a named pipe", "a symbolic link to a file that is not there"] {
      #expect(outcome.output.contains(part), "\(outcome.output)")
    }
    let named = try Command.stowage("plugins", "validate", link)
    #expect(named.status == 2 && named.errors.contains("a symbolic link to a file that is not there"))
  }

  @Test("one check runs alone, and in the process of the command for a debugger")
  func alone() throws {
    let folder = try Self.build(["crash-decode", "close-output"])
    let good = folder.file("good-plain.tier.so").path
    let alone = try Command.stowage("plugins", "validate", good, "--check", "life-open", "--verbose")
    #expect(alone.status == 0)
    #expect(alone.output.contains("1 passed") && alone.output.contains("life-open"), "\(alone.output)")
    for check in ["life-open", "loading-time", "descriptor-repeats", "life-store", "options-fuzz"] {
      let here = try Command.stowage("plugins", "validate", good, "--check", check, "--in-process", "--level", "1")
      #expect(here.status == 0, "\(here.output)\(here.errors)")
      #expect(here.output.hasPrefix("\(check): passed"), "\(here.output)")
    }
    let failed = try Command.stowage(
      "plugins", "validate", folder.file("close-output.tier.so").path, "--check", "life-open")
    #expect(failed.status == 1)
    #expect(failed.output.contains("loading-files"))
    let crashed = try Command.stowage(
      "plugins", "validate", folder.file("crash-decode.tier.so").path, "--check", "transform-round-trip", "--in-process"
    )
    #expect(crashed.status > 128)
  }
}

/// Counts elements by name.
private final class ElementCounter: NSObject, XMLParserDelegate {
  var counts: [String: Int] = [:]

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) { counts[name, default: 0] += 1 }
}
