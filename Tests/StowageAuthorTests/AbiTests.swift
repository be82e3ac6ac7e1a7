// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// That `scripts/check-abi` passes, and that it can fail: no change of the headers gets by it.
@Suite struct AbiTests {
  private func check(_ changes: [(file: String, from: String, to: String)]) throws -> Command.Outcome {
    let folder = try TemporaryFolder()
    let include = folder.file("include")
    let checkout = TierCompiler.checkout
    try FileManager.default.copyItem(at: checkout.appendingPathComponent("plugin-sdk/include"), to: include)
    for change in changes {
      let file = include.appendingPathComponent("stowage/\(change.file)")
      var text = try String(contentsOf: file, encoding: .utf8)
      let range = try #require(text.range(of: change.from), "'\(change.from)' is not in \(change.file) any more")
      text.replaceSubrange(range, with: change.to)
      try Data(text.utf8).write(to: file)
    }
    return try Command.run(
      checkout.appendingPathComponent("scripts/check-abi").path, [],
      environment: ["STOWAGE_CHECK_INCLUDE": include.path])
  }

  @Test("the headers are what the description says")
  func same() throws {
    let outcome = try check([])
    #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
  }

  struct Change: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var file = "tier.h"
    var from: String
    var to: String
    /// Part of what is said.
    var says: String
  }

  static let changes = [
    Change(
      testDescription: "a new field at the end",
      from: "get_extension)(const char *STOWAGE_NONNULL id);\n} stowage_tier;",
      to: "get_extension)(const char *STOWAGE_NONNULL id);\n  uint64_t more;\n} stowage_tier;",
      says: "+   200    8  more: uint64_t"),
    Change(
      testDescription: "a new function field", from: "} stowage_backing;",
      to: "  int32_t (*STOWAGE_NULLABLE grow)(stowage_instance *STOWAGE_NONNULL i);\n} stowage_backing;",
      says: "+    80    8  grow: int32_t(*?)(stowage_instance *i)"),
    Change(
      testDescription: "two fields change places",
      from: "  uint32_t role;         /* STOWAGE_ROLE_* */\n  uint32_t lifetime;     /* STOWAGE_LIFETIME_* */",
      to: "  uint32_t lifetime;\n  uint32_t role;", says: "+    20    4  lifetime"),
    Change(
      testDescription: "a field of another type", from: "int64_t number_min; ", to: "uint64_t number_min; ",
      says: "number_min: uint64_t"),
    Change(
      testDescription: "padding that is not explicit",
      from: "uint32_t option_count; /* as many as the tier's table has */",
      to: "", says: "belong to no field"),
    Change(
      testDescription: "another value", from: "#define STOWAGE_FULL (-2)", to: "#define STOWAGE_FULL (-20)",
      says: "STOWAGE_FULL = -20"),
    Change(
      testDescription: "a new constant", from: "#define STOWAGE_FULL (-2)",
      to: "#define STOWAGE_FULL (-2)\n#define STOWAGE_X 5u",
      says: "+constant STOWAGE_X = 5, 4 bytes"),
    Change(
      testDescription: "an argument more", from: "uint64_t (*STOWAGE_NONNULL now_ns)(void);",
      to: "uint64_t (*STOWAGE_NONNULL now_ns)(uint32_t clock);",
      says: "+    72    8  now_ns: uint64_t(*)(uint32_t clock)"),
    Change(
      testDescription: "a pointer that may be null now", from: "(*STOWAGE_NONNULL wipe)",
      to: "(*STOWAGE_NULLABLE wipe)",
      says: "+    80    8  wipe: void(*?)"),
    Change(
      testDescription: "a new structure", from: "typedef struct stowage_capacity {",
      to: "typedef struct stowage_new {\n  uint32_t a;\n} stowage_new;\ntypedef struct stowage_capacity {",
      says: "+struct stowage_new: 4 bytes"),
    Change(
      testDescription: "an enum, which nobody described", from: "typedef struct stowage_capacity {",
      to: "enum stowage_kind { STOWAGE_A };\ntypedef struct stowage_capacity {", says: "not understood"),
    Change(
      testDescription: "in the extensions", file: "extensions.h", from: "  uint32_t reserved;", to: "  uint32_t kind;",
      says: "+     4    4  kind: uint32_t"),
  ]

  @Test("a change is found", arguments: changes)
  func changed(_ change: Change) throws {
    let outcome = try check([(change.file, change.from, change.to)])
    #expect(outcome.status != 0)
    #expect((outcome.output + outcome.errors).contains(change.says), "\(outcome.output) \(outcome.errors)")
  }

  // MARK: The same in Rust

  private func text(_ path: String) throws -> String {
    try String(contentsOf: TierCompiler.checkout.appendingPathComponent(path), encoding: .utf8)
  }

  @Test("the Rust template's constants have the header's values")
  func rustConstants() throws {
    let description = try text("plugin-sdk/abi/tier-0.9.txt")
    let known = Dictionary(
      uniqueKeysWithValues: description.matches(of: /constant STOWAGE_(\w+) = (-?\d+), (\d) bytes/).map {
        (String($0.1), Int($0.2))
      })
    let constants = try text("plugin-sdk/templates/rust/stowage.rs").matches(of: /pub const (\w+): \w+ = ([^;]+);/)
    #expect(constants.count > 35)
    for constant in constants {
      let parts = constant.2.split(separator: " << ").map { $0.split(separator: "_").joined() }
      let numbers = parts.compactMap { $0.hasPrefix("0x") ? Int($0.dropFirst(2), radix: 16) : Int($0) }
      let value = numbers.count == 2 ? numbers[0] << numbers[1] : numbers.first
      #expect(known[String(constant.1)] == value, "\(constant.1)")
    }
  }

  @Test("the Rust template's structures have the header's fields, in its order")
  func rustFields() throws {
    let description = try text("plugin-sdk/abi/tier-0.9.txt")
    let rust = try text("plugin-sdk/templates/rust/stowage.rs")
    let names = [
      "Host": "host", "OptionEntry": "option", "OptionValue": "option_value", "Open": "open", "Object": "object",
      "Transform": "transform", "Capacity": "capacity", "Backing": "backing", "Tier": "tier",
    ]
    let structures = rust.matches(of: /pub struct (\w+)(?:<[^>]*>)? \{\n((?:    .*\n)+)\}/)
    #expect(Set(structures.map { String($0.1) }) == Set(names.keys))
    for structure in structures {
      let own = structure.2.matches(of: /(?m)^    pub (\w+):/).map { $0.1 == "kind" ? "type" : String($0.1) }
      let head = "struct stowage_\(names[String(structure.1)] ?? ""): "
      let lines = description.split(separator: "\n").drop { !$0.hasPrefix(head) }.dropFirst().prefix {
        $0.hasPrefix(" ")
      }
      let fields = lines.compactMap { $0.firstMatch(of: /^ +\d+ +\d+  (\w+):/).map { String($0.1) } }
      #expect(own == fields, "\(structure.1)")
    }
  }
}
