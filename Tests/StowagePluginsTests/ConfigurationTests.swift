// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
@testable import StowageControl
import StowagePlugins
import StowageTestSupport
import Testing

@Suite struct ConfigurationTests {
  private func parse(_ text: String) throws(ConfigurationError) -> ChainSettings {
    try ConfigurationFile.parse(text, file: "test.toml", folder: "/etc/stowage")
  }

  @Test("everything")
  func everything() throws {
    let settings = try parse(
      """
      memory = "64MiB"
      page-size = 16384
      workers = 3
      lock-memory = true
      end-to-end-checksums = true
      deadline = "5s"
      patience = "2min"
      [store]
      memory = 16_777_216
      [[tier]]
      plugin = "lz4"
      limit = "16MiB"
      [tier.options]
      acceleration = 1
      [[tier]]
      plugin = "swapfile"
      name = "disk"
      discard-point = true
      deadline = "500ms"
      options = { path = "swap", direct = false, since = 2020-01-01 }
      """)
    #expect(settings.memory == 64 << 20)
    #expect(settings.pageSize == 16384)
    #expect(settings.workers == 3)
    #expect(settings.lockMemory == true)
    #expect(settings.endToEndChecksums == true)
    #expect(settings.deadline == .seconds(5))
    #expect(settings.patience == .seconds(120))
    #expect(settings.storeMemory == 16 << 20)
    let tiers = try #require(settings.tiers)
    #expect(tiers.map(\.plugin) == ["lz4", "swapfile"])
    #expect(tiers.map(\.name) == [nil, "disk"])
    #expect(tiers.map(\.limit) == [16 << 20, nil])
    #expect(tiers.map(\.discardPoint) == [nil, true])
    #expect(tiers[1].deadline == .milliseconds(500))
    #expect(tiers[0].options == ["acceleration": .number(1)])
    #expect(tiers[1].options == ["path": .text("swap"), "direct": .flag(false), "since": .other("a date")])
  }

  @Test("nothing said is nothing set")
  func empty() throws {
    for text in ["", "# nothing\n", "\u{FEFF}\n"] {
      let settings = try parse(text)
      #expect(settings.memory == nil)
      #expect(settings.tiers == nil)
    }
    #expect(try parse("tier = []").tiers == [])
  }

  /// What is wrong, and where.
  struct Bad: Sendable, CustomTestStringConvertible {
    var text: String
    var place: String
    var says: [String]
    var testDescription: String { place + " " + says.joined(separator: ", ") }
    init(_ text: String, at place: String, _ says: String...) {
      self.text = text
      self.place = place
      self.says = says
    }
  }

  static let bad: [Bad] = [
    Bad("memory = 1\nmemry = 2\n", at: "2:1", "memry: there is no such key", "did you mean 'memory'?"),
    Bad("colour = 2", at: "1:1", "colour: there is no such key", "known here: memory, page-size"),
    Bad("memory = true", at: "1:1", "memory: expected a size", "this is true"),
    Bad("\n  memory = \"many\"", at: "2:3", "memory: expected a size", "this is the text \"many\""),
    Bad("memory = 0", at: "1:1", "memory: expected a size", "at least 1"),
    Bad("memory = 1.5", at: "1:1", "memory", "a number with a fraction"),
    Bad("page-size = 5000", at: "1:1", "page-size: is 5000", "a power of two from 4096 to 65536"),
    Bad("page-size = 2048", at: "1:1", "power of two from 4096"),
    Bad("page-size = 131072", at: "1:1", "power of two from 4096 to 65536"),
    Bad("page-size = \"4K\"\nworkers = 0", at: "2:1", "workers: expected a whole number from 1 to 1024"),
    Bad("lock-memory = \"yes\"", at: "1:1", "lock-memory: expected true or false", "the text \"yes\""),
    Bad("deadline = 5", at: "1:1", "deadline: expected a time with its unit", "the number 5"),
    Bad("deadline = \"0s\"", at: "1:1", "deadline: expected a time"),
    Bad("store = 5", at: "1:1", "store: expected a table, [store]"),
    Bad("[store]\nlimit = 5", at: "2:1", "store.limit: there is no such key"),
    Bad(
      "memory = 4096\n[store]\nmemory = 8192", at: "3:1", "store.memory: is 8KiB, more than the whole memory of 4KiB"),
    Bad("tier = 5", at: "1:1", "tier: expected a list of tables, [[tier]]"),
    Bad("[tier]\nplugin = \"lz4\"", at: "1:1", "tier: expected a list of tables"),
    Bad("tier = [{ plugin = \"lz4\" }, 7]", at: "1:29", "tier[2]: expected a table"),
    Bad("[[tier]]\nname = \"a\"", at: "1:1", "tier[1].plugin: is missing"),
    Bad("[[tier]]\nplugin = 5", at: "2:1", "tier[1].plugin: expected a text in quotes"),
    Bad("[[tier]]\nplugin = \"a\"\n[[tier]]\nplugin = \"b\"\nname = \"B b\"", at: "5:1", "tier[2].name", "'B b'"),
    Bad("[[tier]]\nplugin = \"a\"\nname = \"store\"", at: "3:1", "tier[1].name", "level above all tiers"),
    Bad("[[tier]]\nplugin = \"a\"\nlimit = -1", at: "3:1", "tier[1].limit: expected a size"),
    Bad("[[tier]]\nplugin = \"a\"\noptions = 5", at: "3:1", "tier[1].options: expected a table"),
    Bad("[[tier]]\nplugin = \"a\"\nlevel = 5", at: "3:1", "tier[1].level: there is no such key"),
    Bad("memory = \n", at: "1:", "no valid TOML"),
    Bad("memory = 1\nmemory = 2\n", at: "2:", "no valid TOML"),
    Bad("a = [1,\n2", at: "2:", "no valid TOML"),
    Bad("[=x]", at: "1:1", "no valid TOML", "the name of a table"),
    Bad("memory = 1\n [[ é ]]", at: "2:2", "no valid TOML", "the name of a table"),
    Bad("memory = = 1\n[=x]", at: "1:", "no valid TOML"),
    Bad("[", at: "1:", "no valid TOML"),
    Bad("x = " + String(repeating: "[", count: 200_000), at: "1:", "no valid TOML"),
    Bad("x = " + String(repeating: "{a=", count: 100_000), at: "1:", "no valid TOML"),
    Bad("[]", at: "1:", "no valid TOML"),
    Bad("x = \"a\\u0000b\"", at: "1:7", "NUL"),
    Bad("x = 1\n\0memory = 1", at: "2:1", "NUL"),
    // What looks like keys in other places must not be taken for them.
    Bad(
      "deadline = \"\"\"1s\nworkers = 9\n\"\"\"\n# workers = 8\nworkers = \"x\"", at: "5:1",
      "workers: expected a whole number"),
    Bad(
      "# workers = 8\npatience = '1s' # workers = 1\n\nworkers = \"x\"", at: "4:1", "workers: expected a whole number"),
    Bad("\"work\\\"ers\" = 1\n", at: "1:1", "there is no such key"),
    Bad("store . \"memory\" = \"x\"", at: "1:9", "store.memory: expected a size"),
    Bad("store = { memory = 5, size = [1, { a = 2 }] }", at: "1:23", "store.size: there is no such key"),
  ]

  @Test("bad input: file, line, column, key, and what is expected", arguments: bad)
  func badInput(_ bad: Bad) throws {
    let error = #expect(throws: ConfigurationError.self) { try parse(bad.text) }
    let text = error?.description ?? ""
    #expect(text.hasPrefix("test.toml:\(bad.place)"), "\(text)")
    for part in bad.says { #expect(text.contains(part), "\(text)") }
  }

  @Test("files that are none", arguments: ["missing", "folder", "latin1", "long"])
  func files(_ kind: String) throws {
    let folder = try TemporaryFolder()
    let file = folder.file("stowage.toml")
    let expected: String
    switch kind {
    case "folder": expected = "Is a directory"
    case "latin1":
      expected = "not UTF-8"
      try Data([0x23, 0xE9]).write(to: file)
    case "long":
      expected = "longer than"
      try Data(repeating: 0x23, count: 2 << 20).write(to: file)
    default: expected = "No such file"
    }
    let error = #expect(throws: ConfigurationError.self) {
      try ConfigurationFile.read(kind == "folder" ? folder.path : file.path)
    }
    #expect(error?.description.contains(expected) == true, "\(String(describing: error))")
    #expect(error?.description.contains(folder.path) == true)
  }

  @Test("the examples of the documentation are configurations")
  func documentation() throws {
    let page = try String(
      contentsOf: TierCompiler.checkout.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
    let examples = page.components(separatedBy: "```toml\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    try #require(examples.count == 2)
    let settings = try parse(examples[0])
    #expect(settings.tiers?.map(\.plugin) == ["zstd", "swapfile"])
    #expect(settings.tiers?[1].options == ["path": .text("swap"), "size": .text("4GiB")])
    for key in [
      "memory", "page-size", "workers", "lock-memory", "end-to-end-checksums", "deadline", "patience", "store",
    ] {
      #expect(settings.source?.locations[[key]] != nil, "\(key) is not in the example")
    }
    let serving = try parse(examples[1]).serve
    #expect(serving.listen.count == 2 && serving.session == "vm" && serving.tls.isRequired == true)
    #expect(serving.exports.map(\.name) == ["swap"] && serving.exports[0].quota == 4 << 30)
  }

  @Test("damaged text is an error with a place, never a crash", arguments: [1, 2, 3, 4] as [UInt64])
  func damaged(_ seed: UInt64) throws {
    let page = try String(
      contentsOf: TierCompiler.checkout.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
    let example = Array((page.components(separatedBy: "```toml\n").last ?? "").unicodeScalars.prefix(1500))
    let pieces = Array("[]{}=\"'#.,\n\\ 0-T:_aé\u{0}").map { Array($0.unicodeScalars) }
    var random = SeededRandom(seed: seed)
    var refused = 0
    for _ in 0..<300 {
      var text = example
      for _ in 0..<(1 + random.below(4)) {
        let at = random.below(text.count)
        let length = min(random.below(4), text.count - at)
        text.replaceSubrange(at..<(at + length), with: pieces[random.below(pieces.count)])
      }
      var scalars = String.UnicodeScalarView()
      scalars.append(contentsOf: text)
      do throws(ConfigurationError) {
        _ = try parse(String(scalars))
      } catch {
        refused += 1
        #expect(error.location != nil, "seed \(seed): \(error)")
      }
    }
    #expect(refused > 150, "seed \(seed)")
  }

  @Test("names of tiers")
  func names() {
    func tier(_ plugin: String, _ name: String? = nil) -> TierSettings {
      var tier = TierSettings(plugin: plugin)
      tier.name = name
      return tier
    }
    #expect(TierNames.assign([tier("a"), tier("a"), tier("b", "a-2"), tier("a")]) == ["a", "a-3", "a-2", "a-4"])
    #expect(TierNames.assign([tier("store"), tier("x", "x"), tier("x")]) == ["store-2", "x", "x-2"])
  }
}
