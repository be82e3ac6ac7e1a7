// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTemplates
import StowageTestSupport
import Testing

/// What `stowage plugins new` writes, and when it does not.
@Suite struct TemplateTests {
  @Test("the files in the executable are those of the checkout, and none is left out")
  func embedded() throws {
    let sdk = TierCompiler.checkout.appendingPathComponent("plugin-sdk")
    for path in KitFiles.paths {
      let text = try String(contentsOf: sdk.appendingPathComponent(path), encoding: .utf8)
      let isSame = KitFiles.text(path) == text
      #expect(isSame, "\(path) has changed: build again")
    }
    let embedded = Set(KitFiles.paths)
    for folder in ["templates", "Sources", "include"] {
      let files = try FileManager.default.subpathsOfDirectory(atPath: sdk.appendingPathComponent(folder).path)
      for file in files where file.contains(".") || file.hasSuffix("Makefile") || file.hasSuffix("gitignore") {
        let isThere = embedded.contains("\(folder)/\(file)")
        #expect(isThere, "add \(folder)/\(file) to CStowageTemplates/templates.c")
      }
    }
    #expect(KitFiles.text("no/such") == nil)
  }

  @Test(
    "nothing is left to fill in but the licence", arguments: TierTemplateLanguage.allCases, TierTemplateRole.allCases)
  func filledIn(_ language: TierTemplateLanguage, _ role: TierTemplateRole) throws {
    let files = try TierTemplate(name: "my-tier-2", language: language, role: role).files()
    for file in files {
      #expect(file.text.firstMatch(of: /@[A-Z]+@/) == nil, "\(file.path)")
      #expect(file.path == ".gitignore" || file.path == "README.md" || file.text.contains("SPDX-License-Identifier")
        || file.path.hasSuffix("module.modulemap"), "\(file.path)")
    }
    #expect(files.contains { $0.path.hasSuffix("include/stowage/tier.h") })
    #expect(files.contains { $0.text.contains("\"LicenseRef-fill-in") })
    #expect(files.first { $0.path == "README.md" }?.text.contains("A \(role.rawValue) tier") == true)
    #expect(Set(files.map(\.path)).count == files.count)
  }

  @Test(
    "names are those that the interface allows",
    arguments: ["a", "lz4", "0", "a-b-", String(repeating: "x", count: 32)])
  func names(_ name: String) throws {
    _ = try TierTemplate(name: name, language: .c, role: .backing).files()
  }

  @Test(
    "what cannot be is refused with 2 and one line, and nothing is made",
    arguments: [
      (["Upper"], "'Upper' is no name for a tier"), (["a_b"], "is no name"), ([""], "is no name"),
      ([String(repeating: "x", count: 33)], "at most 32"), (["a/b"], "is no name"), ([".."], "is no name"),
      (["ok", "--language", "go"], "--language go: expected one of c, swift, rust"),
      (["ok", "--role", "cache"], "--role cache: expected one of transform, backing"),
      (["ok", "--into", "missing"], "cannot make /"), (["there"], "exists already"), (["file"], "exists already"),
    ])
  func refused(_ arguments: [String], _ expected: String) throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(at: folder.file("there"), withIntermediateDirectories: false)
    try folder.write("kept", to: "there/note")
    try folder.write("kept", to: "file")
    let outcome = try Command.run(Command.stowage, ["plugins", "new"] + arguments, in: folder.url)
    #expect(outcome.status == 2)
    #expect(outcome.output == "")
    #expect(outcome.errors.contains(expected), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1)
    let left = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    #expect(Set(left) == ["there", "there/note", "file"])
  }

  @Test("JSON names the folder and every file")
  func json() throws {
    struct Made: Decodable {
      var name: String
      var language: String
      var role: String
      var folder: String
      var plugin: String
      var files: [String]
    }
    let folder = try TemporaryFolder()
    let outcome = try Command.stowage(
      "plugins", "new", "fresh", "--language", "rust", "--role", "backing", "--json", "--into", folder.path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let made = try JSONDecoder().decode(Made.self, from: Data(outcome.output.utf8))
    #expect(made.name == "fresh" && made.language == "rust" && made.role == "backing")
    #expect(made.folder == folder.file("fresh").path)
    #expect(made.plugin == "\(made.folder)/fresh.tier.so")
    let there = try FileManager.default.subpathsOfDirectory(atPath: made.folder)
    #expect(Set(made.files) == Set(there).subtracting(["src", "include", "include/stowage"]))
  }
}
