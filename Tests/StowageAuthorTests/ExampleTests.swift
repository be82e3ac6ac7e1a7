// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTemplates
import StowageTestSupport
import Testing

/// The smallest useful tiers stay small, build as they stand, and work.
@Suite(.serialized) struct ExampleTests {
  private static let examples = TierCompiler.checkout.appendingPathComponent("plugin-sdk/Examples")

  struct Example: Sendable, CustomTestStringConvertible {
    var name: String
    var role: TierTemplateRole
    var linesMax: Int
    var swift: String
    var testDescription: String { name }
  }

  static let all = [
    Example(name: "pass", role: .transform, linesMax: 10, swift: "Pass/PassTier.swift"),
    Example(name: "xor", role: .transform, linesMax: 25, swift: "Xor/XorTier.swift"),
    Example(name: "memory", role: .backing, linesMax: 35, swift: "Memory/MemoryTier.swift"),
  ]

  @Test("lines without blanks and comments, none too long", arguments: all)
  func lines(_ example: Example) throws {
    for path in ["C/\(example.name).c", example.swift] {
      let text = try String(contentsOf: Self.examples.appendingPathComponent(path), encoding: .utf8)
      let lines = text.split(separator: "\n").filter { line in
        let bare = line.drop { $0 == " " }
        return !bare.isEmpty && !bare.hasPrefix("//")
      }
      #expect(lines.count <= example.linesMax, "\(path) has \(lines.count) lines")
      #expect(lines.allSatisfy { $0.count <= 130 }, "\(path)")
      #expect(!text.contains("/*"), "\(path): comments that are not counted begin with //")
    }
  }

  @Test("in C, as C and as C++", arguments: all)
  func c(_ example: Example) throws {
    let folder = try TemporaryFolder()
    let source = Self.examples.appendingPathComponent("C/\(example.name).c").path
    let include = TierCompiler.checkout.appendingPathComponent("plugin-sdk/include").path
    for compiler in ["cc -std=c11", "c++ -std=c++17 -x c++"] {
      let target = folder.file("\(example.name).tier.so").path
      let built = try Workshop.run(
        "\(compiler) -Wall -Wextra -Wpedantic -Werror -O2 -fPIC -fvisibility=hidden -shared -I\(include) \(source) -o \(target)",
        in: folder.url)
      try #require(built.status == 0, "\(built.errors)")
      try TierChecks.all(target)
      try expectValid(target)
    }
  }

  @Test("in Swift, in the folder of a new tier", arguments: all)
  func swift(_ example: Example) throws {
    let folder = try TemporaryFolder()
    let made = try Workshop.make(example.name, .swift, example.role, in: folder)
    let place = made.appendingPathComponent("Sources/Tier.swift")
    try FileManager.default.removeItem(at: place)
    try FileManager.default.copyItem(at: Self.examples.appendingPathComponent(example.swift), to: place)
    let file = try Workshop.build(example.name, in: made)
    try TierChecks.all(file)
    try expectValid(file)
  }

  /// As the validator sees it.
  private func expectValid(_ file: String) throws {
    let outcome = try Command.stowage("plugins", "validate", file)
    #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
  }
}
