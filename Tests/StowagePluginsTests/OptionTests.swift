// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowagePlugins

@Suite struct OptionTests {
  private static let known = Result { try prober().probe([try BadTiers.file("needs-option")])[0].description }

  private func check() throws -> OptionCheck {
    OptionCheck(tier: "disk", options: try #require(try Self.known.get()).options, baseFolder: "/etc/stowage")
  }

  @Test(
    "good values",
    arguments: [
      ("level", OptionInput.number(9), TierOptionValue.number(9)), ("level", .word("1"), .number(1)),
      ("size", .text("64MiB"), .number(64 << 20)), ("size", .text("512 KiB"), .number(512 << 10)),
      ("size", .word("1G"), .number(1 << 30)), ("size", .number(4096), .number(4096)),
      ("sync", .flag(true), .number(1)), ("sync", .word("false"), .number(0)),
      ("mode", .text("small"), .text("small")), ("path", .text("swap"), .text("/etc/stowage/swap")),
      ("path", .text("/var/../swap"), .text("/swap")), ("passphrase", .text(""), .text("")),
    ])
  func good(_ key: String, _ input: OptionInput, _ value: TierOptionValue) throws {
    #expect(try check().value(of: key, input) == value)
  }

  @Test("a path from the command line refers to the working folder")
  func workingFolder() throws {
    #expect(try check().value(of: "path", .word("swap")) == .text(FilePaths.workingFolder() + "/swap"))
  }

  @Test(
    "bad values name tier, key, value, and what is expected",
    arguments: [
      ("level", OptionInput.number(0), "the number 0", "a whole number from 1 to 9"),
      ("level", .number(10), "the number 10", "from 1 to 9"), ("level", .text("5"), "the text \"5\"", "whole number"),
      ("level", .word("5x"), "'5x'", "whole number"), ("level", .word("5K"), "'5K'", "whole number"),
      ("level", .other("a date"), "a date", "whole number"), ("level", .flag(true), "the flag true", "whole number"),
      ("size", .text("much"), "\"much\"", "a size from 4KiB to 1TiB"), ("size", .text("1KiB"), "\"1KiB\"", "from 4KiB"),
      ("size", .number(-1), "-1", "a size"), ("sync", .text("true"), "the text \"true\"", "true or false"),
      ("sync", .number(1), "the number 1", "true or false"), ("sync", .word("yes"), "'yes'", "true or false"),
      ("mode", .text("fats"), "\"fats\"", "did you mean 'fast'"), ("mode", .number(1), "the number 1", "fast, small"),
      ("path", .text(""), "\"\"", "a file name"), ("passphrase", .text("a\0b"), "NUL", "NUL"),
    ])
  func bad(_ key: String, _ input: OptionInput, _ value: String, _ expected: String) throws {
    let check = try check()
    let error = #expect(throws: OptionError.self) { try check.value(of: key, input) }
    let text = error?.description ?? ""
    #expect(text.hasPrefix("tier 'disk', option '\(key)': "))
    #expect(text.contains(value), "\(text)")
    #expect(text.contains(expected), "\(text)")
  }

  @Test("secrets are never printed", arguments: [("pin", OptionInput.number(4711)), ("pin", .word("4711"))])
  func secrets(_ key: String, _ input: OptionInput) throws {
    let check = try check()
    let error = #expect(throws: OptionError.self) { try check.value(of: key, input) }
    #expect(error?.description.contains("4711") == false)
    let passphrase = try #require(check.options.first { $0.key == "passphrase" })
    #expect(OptionText.fallback(passphrase) == nil)
  }

  @Test("unknown keys get a suggestion, missing ones are named")
  func keys() throws {
    let check = try check()
    var error = #expect(throws: OptionError.self) { try check.check(["levle": .number(1), "path": .text("x")]) }
    #expect(error?.description == "tier 'disk', option 'levle': there is no such option; did you mean 'level'?")
    error = #expect(throws: OptionError.self) { try check.check(["level": .number(1)]) }
    #expect(error?.key == "path")
    #expect(error?.description.contains("is required and not given: file to keep pages in") == true)
    #expect(try check.check(["path": .text("/x"), "level": .number(2)]) == ["path": .text("/x"), "level": .number(2)])
  }

  @Test(
    "sizes",
    arguments: [
      ("0", 0), ("4096", 4096), ("1k", 1024), ("64M", 64 << 20), ("64MiB", 64 << 20), ("64 mib", 64 << 20),
      ("64MB", 64_000_000), ("1.5G", 3 << 29), ("0.5K", 512), ("2T", 2 << 40), ("9223372036854775807", Int64.max),
      ("0.0001K", 0), ("12B", 12),
    ] as [(String, Int64)])
  func sizes(_ text: String, _ bytes: Int64) { #expect(SizeText.parse(text) == bytes) }

  @Test(
    "no sizes",
    arguments: [
      "", "M", "-1", "1 2", "1,5G", "1.G", ".5G", "1e3", "0x10", "64 Mi", "9223372036854775808", "8388608T", "64MiBB",
      "1.0000000001K", "٣", "1  G",
    ])
  func noSizes(_ text: String) { #expect(SizeText.parse(text) == nil) }

  @Test("sizes are written as they are read", arguments: [1, 4095, 4096, 1 << 20, 3 << 29, 1 << 40, 5000] as [Int64])
  func written(_ bytes: Int64) {
    let text = SizeText.format(bytes)
    #expect(SizeText.parse(text.replacingOccurrences(of: " bytes", with: "")) == bytes)
  }

  @Test("times")
  func times() {
    #expect(DurationText.parse("5s") == .seconds(5))
    #expect(DurationText.parse("500 ms") == .milliseconds(500))
    #expect(DurationText.parse("1.5min") == .seconds(90))
    for text in ["5", "s", "5 S", "-5s", "5m", ""] { #expect(DurationText.parse(text) == nil) }
  }
}
