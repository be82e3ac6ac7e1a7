// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

/// `stowage.tier.describe/1`, as `plugins info` shows it; and that nothing a tier does not offer is asked of another.
@Suite struct ExtensionTests {
  private func info(_ defines: [String]) throws -> (text: Command.Outcome, json: Command.Outcome) {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("extensions/describe.c", into: folder.url, defines: defines).path
    return (
      try Command.stowage("plugins", "info", file), try Command.stowage("plugins", "info", file, "--json")
    )
  }

  @Test("what a tier runs on is shown")
  func shown() throws {
    let (text, json) = try info([])
    #expect(text.status == 0, "\(text.errors)")
    #expect(text.output.contains("libshelf 1.2, 4 lanes"))
    #expect(text.output.firstMatch(of: /runs on +libshelf/) != nil)
    #expect(json.output.contains(#""runs_on": "libshelf 1.2, 4 lanes""#))
  }

  @Test("a tier that does not say, cannot say or says nonsense is none the worse",
    arguments: ["NOTHING", "FAILS", "TOO_LONG", "SHORT", "ABSENT"])
  func silent(_ define: String) throws {
    let (text, json) = try info([define])
    #expect(text.status == 0, "\(text.errors)")
    #expect(!text.output.contains("runs on"))
    #expect(json.output.contains(#""runs_on": null"#))
  }

  @Test("control characters do not get to the terminal")
  func odd() throws {
    let text = try info(["ODD"]).text
    #expect(text.status == 0)
    #expect(!text.output.contains("\u{1B}"))
    #expect(text.output.contains("\\u{1b}[2J"))
  }

  @Test("a crash in it is said as one, with its stage")
  func crash() throws {
    let text = try info(["CRASHES"]).text
    #expect(text.status == 1)
    #expect(text.errors.contains("SIGSEGV"), "\(text.errors)")
    #expect(text.errors.contains("while it was asked for its extensions"))
  }

  @Test(
    "the shipped compressors say which library they run on", arguments: [("lz4", "liblz4 1."), ("zstd", "libzstd 1.")])
  func shipped(_ name: String, _ says: String) throws {
    let folder = try TemporaryFolder()
    let built = URL(fileURLWithPath: Command.stowage).deletingLastPathComponent().appendingPathComponent(
      "lib\(name)-tier.so")
    let file = folder.file("\(name).tier.so")
    try FileManager.default.copyItem(at: built, to: file)
    let line = try Command.stowage("plugins", "info", file.path).output.split(separator: "\n").first {
      $0.contains("runs on ")
    }
    #expect(line?.contains(" \(says)") == true, "\(line ?? "no such line")")
  }

  @Test("an id that a tier does not know, also of another revision, gives nothing")
  func unknown() throws {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("extensions/describe.c", into: folder.url)
    let table = try TierLibrary.load(file)
    #expect(table.extensionTable(STOWAGE_EXTENSION_DESCRIBE) != nil)
    #expect(table.extensionTable("stowage.tier.describe/2") == nil)
    let plain = try TierLibrary.load(try TierCompiler.compile("bad-tiers/good.c", into: folder.url))
    #expect(plain.extensionTable(STOWAGE_EXTENSION_DESCRIBE) == nil)
    #expect(HostTable.shared.pointee.get_extension?("stowage.host.unknown/1") == nil)
  }
}
