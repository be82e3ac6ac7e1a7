// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageControl
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

/// Chains made from real files. Each test has its own names, as a file is loaded once per process.
@Suite struct ChainTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func resolver(
    defaults: [String: [String: OptionInput]] = [:], overrides: [OptionOverride] = []
  ) -> ChainResolver {
    ChainResolver(
      finder: PluginFinder(path: PluginPath(folders: [folder.path]), prober: prober()), defaults: defaults,
      overrides: overrides)
  }

  private func settings(_ text: String) throws -> ChainSettings {
    try ConfigurationFile.parse(text, file: "test.toml", folder: folder.path)
  }

  private func add(_ source: String, _ name: String) throws {
    try TierCompiler.compile("bad-tiers/\(source).c", into: folder.url, name: name)
  }

  @Test("no configuration: every plug-in that can be used, by priority; the others are said")
  func automatic() throws {
    try add("good", "auto-b")
    try add("good", "auto-a")
    try add("needs-option", "auto-disk")
    try add("abort-entry", "auto-bad")
    let chain = try resolver().resolve(ChainSettings(), defaultMemory: 1 << 20)
    #expect(chain.chain.map(\.name) == ["auto-a", "auto-b"])
    #expect(chain.configuration.memoryLimit == 1 << 20)
    let notes = chain.notes.joined(separator: "\n")
    #expect(notes.contains("auto-disk.tier.so is left out of the chain: needs option path"))
    #expect(notes.contains("--set auto-disk.path=VALUE"))
    #expect(notes.contains("auto-bad.tier.so is left out of the chain: crashed: it was ended by SIGABRT"))
    #expect(notes.contains("'auto-a', 'auto-b' have the same priority 500"))

    let whole = try resolver(defaults: ["auto-disk": ["path": .word("/swap")]])
      .resolve(ChainSettings(), defaultMemory: 1 << 20)
    #expect(whole.chain.map(\.name) == ["auto-a", "auto-b", "auto-disk"])
    #expect(whole.chain[2].options == ["path": .text("/swap")])
  }

  @Test("nothing usable is an error that says why")
  func nothing() throws {
    try folder.write("text", to: "nothing.tier.so")
    let error = #expect(throws: ChainError.self) { try resolver().resolve(ChainSettings(), defaultMemory: 1) }
    #expect(error?.description.contains(folder.path) == true)
    #expect(error?.description.contains("nothing.tier.so is left out of the chain: refused: ") == true)
  }

  @Test("a configured chain")
  func configured() throws {
    try add("good", "conf-copy")
    try add("needs-option", "conf-disk")
    let chain = try resolver(overrides: [OptionOverride(tier: "disk", key: "level", value: .word("7"))]).resolve(
      settings(
        """
        memory = "8MiB"
        page-size = 8192
        [store]
        memory = "1MiB"
        [[tier]]
        plugin = "conf-copy"
        limit = 0
        [[tier]]
        plugin = "conf-copy"
        [[tier]]
        plugin = "conf-disk"
        name = "disk"
        discard-point = true
        options = { path = "swap", level = 2, size = "1GiB" }
        """), defaultMemory: 1)
    #expect(chain.chain.map(\.name) == ["conf-copy", "conf-copy-2", "disk"])
    #expect(chain.chain.map(\.limit) == [0, nil, nil])
    #expect(chain.chain[2].isDiscardPoint == true)
    #expect(
      chain.chain[2].options == ["path": .text(folder.path + "/swap"), "level": .number(7), "size": .number(1 << 30)])
    #expect(chain.configuration.memoryLimit == 8 << 20)
    #expect(chain.configuration.pageSize == 8192)
    #expect(chain.configuration.storeLimit == 1 << 20)
    #expect(chain.notes == [])
  }

  @Test(
    "errors of resolving have their place too",
    arguments: [
      ("[[tier]]\nplugin = \"err-cpoy\"", "2:1: tier[1].plugin: no plug-in named 'err-cpoy'; did you mean 'err-copy'?"),
      ("[[tier]]\nplugin = \"err-bad\"", "2:1: tier[1].plugin: plug-in 'err-bad' crashed: "),
      ("[[tier]]\nplugin = \"err-disk\"", "1:1: tier[1].options.path: tier 'err-disk', option 'path': is required"),
      (
        "[[tier]]\nplugin = \"err-disk\"\n[tier.options]\npath = \"x\"\nlevel = 12",
        "5:1: tier[1].options.level: tier 'err-disk', option 'level': the number 12 will not do"
      ),
      (
        "[[tier]]\nplugin = \"err-copy\"\n\n[[tier]]\nplugin = \"err-disk\"\noptions.path = \"x\"\noptions.sync = 1",
        "7:9: tier[2].options.sync: tier 'err-disk', option 'sync': the number 1 will not do; expected true or false"
      ),
      (
        "[[tier]]\nplugin = \"err-copy\"\noptions = { lvl = 1 }",
        "3:13: tier[1].options.lvl: tier 'err-copy', option 'lvl': there is no such option; it has no options"
      ),
      (
        "[[tier]]\nplugin = \"err-copy\"\nname = \"a\"\n[[tier]]\nplugin = \"err-copy\"\nname = \"a\"",
        "6:1: tier[2].name: two tiers are named 'a'"
      ),
      ("[[tier]]\nplugin = \"err-copy\"\ndeadline = \"1s\"", "3:1: tier[1].deadline: tier 'err-copy' is a transform"),
    ])
  func errors(_ text: String, _ expected: String) throws {
    try add("good", "err-copy")
    try add("needs-option", "err-disk")
    try add("crash-entry", "err-bad")
    let settings = try settings(text)
    let error = #expect(throws: ConfigurationError.self) { try resolver().resolve(settings, defaultMemory: 1) }
    #expect(error?.description.hasPrefix("test.toml:\(expected)") == true, "\(error?.description ?? "none")")
  }

  @Test("an option for a tier that is not there")
  func stray() throws {
    try add("good", "stray")
    let error = #expect(throws: ChainError.self) {
      try resolver(overrides: [OptionOverride(tier: "strai", key: "x", value: .word("1"))])
        .resolve(ChainSettings(), defaultMemory: 1)
    }
    #expect(error?.description == "option 'strai.x': there is no tier 'strai' in the chain; did you mean 'stray'?")
  }

  @Test("a transparent compressor above another one acts as terminal")
  func transparent() throws {
    func tier(_ name: String, _ access: TierAccess, flags: TierFlags = []) throws -> (
      name: String, tier: TierDescription
    ) {
      var tier = try #require(try prober().probe([try BadTiers.file("good")])[0].description)
      tier.access = access
      tier.flags = flags
      return (name, tier)
    }
    let cipher = try tier("seal", .transparent, flags: [.mandatory, .lengthPreserving])
    let notes = ChainNotes.of([try tier("a", .transparent), cipher, try tier("b", .transparent), cipher])
    #expect(notes.count == 1)
    #expect(notes.first?.hasPrefix("'a' is transparent, but acts as terminal here") == true)
    #expect(ChainNotes.of([try tier("a", .terminal), try tier("b", .transparent), cipher]) == [])
  }
}
