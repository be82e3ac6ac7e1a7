// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowagePlugins
import StowageTestSupport
import Testing

/// The built `stowage` executable, as its users see it.
@Suite struct CommandTests {
  struct Listing: Decodable {
    var plugins: [Entry]
    var searched: [String]
  }

  struct Entry: Decodable {
    var file: String
    var name: String
    var version: String?
    var summary: String?
    var role: String?
    var lifetime: String?
    var access: String?
    var priority: Int?
    var status: String
    var reason: String?
  }

  private func list(_ folder: String) throws -> Command.Outcome {
    try Command.stowage(
      "plugins", "list", "--json", "--probe-timeout", "4", "--plugin-path", folder, "--plugin-path-only")
  }

  @Test("a folder full of bad files is listed, and is no failure")
  func badFolder() throws {
    let outcome = try list(try BadTiers.folder.get().path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let listing = try JSONDecoder().decode(Listing.self, from: Data(outcome.output.utf8))
    let found = Dictionary(uniqueKeysWithValues: listing.plugins.map { ($0.name, $0) })
    for expected in BadTiers.expectations {
      let entry = try #require(found[expected.name], "\(expected.name)")
      #expect(entry.status == expected.status.rawValue, "\(entry.name): \(entry.reason ?? "no reason")")
      #expect((entry.reason == nil) == (expected.status == .ok))
      #expect((entry.version == nil) == (expected.status == .refused || expected.status == .crashed))
    }
    #expect(found.count == BadTiers.expectations.count + 1)
    #expect(listing.searched == [try BadTiers.folder.get().path])
    #expect(outcome.errors.contains("note: "))
  }

  @Test("the JSON has exactly the fields promised, null where nothing is known")
  func fields() throws {
    let folder = try TemporaryFolder()
    try TierCompiler.compile("bad-tiers/good.c", into: folder.url)
    try folder.write("text", to: "text.tier.so")
    let outcome = try list(folder.path)
    let whole = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: [Any]])
    #expect(Set(whole.keys) == ["plugins", "searched"])
    let entries = try #require(whole["plugins"] as? [[String: Any]])
    let expected: Set = [
      "file", "name", "version", "summary", "role", "lifetime", "access", "priority", "status", "reason",
    ]
    for entry in entries { #expect(Set(entry.keys) == expected) }
    #expect(entries.map { $0["name"] as? String } == ["good", "text"])
    #expect(entries[0]["priority"] as? Int == 500)
    #expect(entries[0]["reason"] is NSNull)
    #expect(entries[1]["priority"] is NSNull)
    #expect(entries[1]["version"] is NSNull)
  }

  @Test("the table: aligned, without colour, one line for each")
  func table() throws {
    let folder = try TemporaryFolder()
    for name in ["a", "much-longer"] { try TierCompiler.compile("bad-tiers/good.c", into: folder.url, name: name) }
    try TierCompiler.compile("bad-tiers/abort-entry.c", into: folder.url)
    let outcome = try Command.stowage("plugins", "--plugin-path", folder.path, "--plugin-path-only")
    #expect(outcome.status == 0)
    #expect(!outcome.output.contains("\u{1B}"))
    let lines = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count >= 6)
    let column = lines[0].range(of: "VERSION").map { lines[0].distance(from: lines[0].startIndex, to: $0.lowerBound) }
    for line in lines[1...2] { #expect(line.dropFirst(column ?? 0).hasPrefix("1.2.3    transform  transient")) }
    #expect(lines[3].contains("crashed"))
    #expect(lines[3].contains("\(folder.path)/abort-entry.tier.so: it was ended by SIGABRT"))
    #expect(outcome.output.contains("Note:  'a', 'much-longer' have the same priority 500"))
    #expect(outcome.output.contains("Searched: \(folder.path)"))
  }

  @Test("the plug-in path comes from option, environment and folders")
  func path() throws {
    let folder = try TemporaryFolder()
    let outcome = try Command.stowage(
      "plugins", "list", "--json", "--plugin-path", "here:/nonexistent/a", "--plugin-path", "/nonexistent/b",
      environment: ["STOWAGE_PLUGIN_PATH": "/nonexistent/c", "HOME": folder.path], in: folder.url)
    let listing = try JSONDecoder().decode(Listing.self, from: Data(outcome.output.utf8))
    let real = folder.url.resolvingSymlinksInPath().path
    #expect(listing.searched.starts(with: ["\(real)/here", "/nonexistent/a", "/nonexistent/b", "/nonexistent/c"]))
    #expect(listing.searched[4].hasSuffix("/plugins"))
    #expect(listing.searched.last == "\(folder.path)/.local/lib/stowage/plugins")
    #expect(listing.searched.count == 9)
  }

  @Test("info tells everything, by name and by file")
  func info() throws {
    let folder = try BadTiers.folder.get()
    for plugin in ["needs-option", "\(folder.path)/needs-option.tier.so"] {
      let outcome = try Command.stowage("plugins", "info", plugin, "--plugin-path", folder.path)
      #expect(outcome.status == 0, "\(outcome.errors)")
      for part in [
        "needs-option 1.2.3", "needs option path", "transient", "https://example.org/tier", "Apache-2.0", "xxh3-128:",
        "a whole number from 1 to 9; default 3", "a size from 4KiB to 1TiB; default 1MiB",
        "one of fast, small; default fast",
        "a file name; required", "text; no default; secret",
      ] {
        #expect(outcome.output.contains(part), "'\(part)' is not in: \(outcome.output)")
      }
      #expect(!outcome.output.contains("hunter2"))
    }
    let json = try Command.stowage("plugins", "info", "needs-option", "--json", "--plugin-path", folder.path)
    #expect(!json.output.contains("hunter2"))
    let whole = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
    #expect((whole?["options"] as? [[String: Any]])?.count == 7)
  }

  @Test(
    "info on what is bad fails and says why",
    arguments: [
      ("crash-entry", "SIGSEGV"), ("abi-major", "abi_major is 1"), ("goood", "did you mean 'good'?"),
      ("zzz", "searched /"),
    ])
  func badInfo(_ plugin: String, _ expected: String) throws {
    let folder = try BadTiers.folder.get().path
    let outcome = try Command.stowage("plugins", "info", plugin, "--plugin-path", folder)
    #expect(outcome.status == 1)
    #expect(outcome.output == "")
    #expect(outcome.errors.contains(expected), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1)
  }

  @Test("a file's name cannot move the cursor")
  func oddName() throws {
    let folder = try TemporaryFolder()
    try folder.write("text", to: "a\u{1B}[2J.tier.so")
    let outcome = try Command.stowage("plugins", "--plugin-path", folder.path, "--plugin-path-only")
    #expect(outcome.status == 0)
    #expect(!outcome.output.contains("\u{1B}"))
    #expect(outcome.output.contains("a\\u{1b}[2J"))
  }

  @Test("usage errors")
  func usage() throws {
    #expect(try Command.stowage("plugins", "list", "--plugin-path-only").status == 2)
    #expect(try Command.stowage("plugins", "list", "--probe-timeout", "0").status == 2)
    #expect(try Command.stowage("__probe").status == 98)
    let version = try Command.stowage("--version")
    #expect(version.status == 0)
    #expect(version.output.hasPrefix("stowage "))
  }
}
