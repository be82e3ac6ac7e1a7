// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowagePlugins
import StowageTemplates
import StowageTestSupport
import Testing

/// Every template builds with its own line and does what it says. One after the other, as compilers take all there is.
@Suite(.serialized) struct TemplateBuildTests {
  @Test(
    "builds, is a sound tier, and passes its own test", arguments: TierTemplateLanguage.allCases,
    TierTemplateRole.allCases)
  func build(_ language: TierTemplateLanguage, _ role: TierTemplateRole) throws {
    let folder = try TemporaryFolder()
    let name = "new-\(language.rawValue)-\(role.rawValue)"
    let made = try Workshop.make(name, language, role, in: folder)
    let file = try Workshop.build(name, in: made)
    try expectOneSymbol(file)
    try TierChecks.all(file)
    let info = try Command.stowage("plugins", "info", file)
    #expect(info.status == 0, "\(info.errors)")
    #expect(info.output.contains("\(name) 0.1.0"))
    let tested = try Workshop.run("make test", in: made)
    #expect(tested.status == 0, "\(tested.output) \(tested.errors)")
  }

  @Test("in C it passes under the sanitizers too", arguments: TierTemplateRole.allCases)
  func sanitize(_ role: TierTemplateRole) throws {
    let folder = try TemporaryFolder()
    let made = try Workshop.make("new-\(role.rawValue)", .c, role, in: folder)
    // Every call is many times slower under them.
    let checked = try Workshop.run("make sanitize", in: made, seconds: 900)
    #expect(checked.status == 0, "\(checked.output.suffix(3000)) \(checked.errors)")
  }

  @Test("the line without make that the README gives builds too", arguments: TierTemplateLanguage.allCases)
  func oneLine(_ language: TierTemplateLanguage) throws {
    let folder = try TemporaryFolder()
    let made = try Workshop.make("plain", language, .transform, in: folder)
    let readme = try String(contentsOf: made.appendingPathComponent("README.md"), encoding: .utf8)
    let line = try #require(readme.firstMatch(of: /Without make: `([^`]+)`/)).output.1
    let built = try Workshop.run(String(line), in: made)
    #expect(built.status == 0, "\(built.errors)")
    #expect(try Command.stowage("plugins", "info", made.appendingPathComponent("plain.tier.so").path).status == 0)
  }

  @Test("make install puts it where stowage finds it")
  func install() throws {
    let folder = try TemporaryFolder()
    let made = try Workshop.make("mine", .c, .backing, in: folder)
    let installed = try Workshop.run("make install && stowage plugins info mine", in: made, home: folder.path)
    #expect(installed.status == 0, "\(installed.errors)")
    #expect(installed.output.contains("\(folder.path)/.local/lib/stowage/plugins/mine.tier.so"))
  }

  private func expectOneSymbol(_ file: String) throws {
    let symbols = try Command.run("/usr/bin/nm", ["-D", "--defined-only", file])
    // The linker may leave local symbols in the table, with a small letter: those are not exported.
    let exported = symbols.output.split(separator: "\n").filter { line in
      line.split(separator: " ").dropLast().last?.allSatisfy(\.isUppercase) == true
    }
    #expect(exported.map { $0.split(separator: " ").last } == ["stowage_tier_entry"])
  }
}
