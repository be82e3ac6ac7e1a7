// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowagePlugins
import StowageTestSupport
import Testing

/// The fixtures of Tests/Fixtures/bad-tiers, compiled once, all in one folder.
enum BadTiers {
  static let folder: Result<TemporaryFolder, any Error> = Result { try build() }

  static func file(_ name: String) throws -> String { try folder.get().file("\(name).tier.so").path }

  /// What must come out of probing each.
  struct Expectation: Sendable, CustomTestStringConvertible {
    var name: String
    var status: PluginStatus
    /// Parts of the reason.
    var says: [String]
    var testDescription: String { name }

    init(_ name: String, _ status: PluginStatus, _ says: String...) {
      self.name = name
      self.status = status
      self.says = says
    }
  }

  static let expectations: [Expectation] = [
    .init("good", .ok),
    .init("talkative", .ok),
    .init("exit-handler", .ok),
    .init("leave-child", .ok),
    .init("crash-decode", .ok),
    .init("needs-option", .unavailable, "needs option path", "file to keep pages in"),

    .init("crash-constructor", .crashed, "SIGSEGV", "the dynamic linker loaded it"),
    .init("crash-entry", .crashed, "SIGSEGV", "stowage_tier_entry ran"),
    .init("wild-descriptor", .crashed, "SIGSEGV", "its descriptor was read"),
    .init("abort-entry", .crashed, "SIGABRT", "stowage_tier_entry ran", "it said: \\u{1b}[31mout of luck"),
    .init("hang-constructor", .crashed, "hung", "the dynamic linker loaded it", "killed"),
    .init("hang-entry", .crashed, "hung", "stowage_tier_entry ran", "killed"),
    .init("hang-deaf", .crashed, "hung", "stowage_tier_entry ran", "killed"),
    .init("exit-constructor", .crashed, "ended the process with exit(", "the dynamic linker loaded it"),
    .init("exit-entry", .crashed, "exit(3)", "stowage_tier_entry ran"),
    .init("exit-zero", .crashed, "exit(0)", "stowage_tier_entry ran"),
    .init("escape", .crashed, "exit(0)", "stowage_tier_entry ran"),
    .init("close-output", .crashed, "file descriptor 1"),
    .init("close-all", .crashed, "closed the descriptors", "stowage_tier_entry ran"),
    .init("write-everywhere", .crashed, "descriptors that are not its own"),

    .init("bad-magic", .refused, "magic", "0x3152454954575453"),
    .init("abi-major", .refused, "abi_major is 1", "this host has 0"),
    .init("abi-minor", .refused, "abi_minor is 10", "0.9"),
    .init("minor-required", .refused, "minor_required is 10", "this host has 9"),
    .init("short-struct", .refused, "struct_size is 16"),
    .init("persistent-transform", .refused, "persistent", "transient"),
    .init("null-encode", .refused, "transform.encode is null"),
    .init("null-open", .refused, "open is null"),
    .init("null-name", .refused, "name is null"),
    .init("unknown-flag", .refused, "flags_required", "0x1000000000000000"),
    .init("other-name", .refused, "'somebody-else'", "other-name.tier.so"),
    .init("not-utf8", .refused, "name is not UTF-8"),
    .init("control-summary", .refused, "summary", "control characters"),
    .init("huge-options", .refused, "option_count is 1000000"),
    .init("null-descriptor", .refused, "gave no descriptor"),
    .init("null-with-reason", .refused, "gave no descriptor", "no such device here"),
    .init("no-entry", .refused, "does not export stowage_tier_entry"),
    .init("entry-elsewhere", .refused, "not in it but in", "good.tier.so"),
    .init("missing-symbol", .refused, "dynamic linker refuses it", "nobody_has_this"),

    .init("text", .refused, "no ELF file"),
    .init("empty", .refused, "the file is empty"),
    .init("cut", .refused, "cut short"),
    .init("cut-header", .refused, "cut short"),
    .init("other-machine", .refused, "another machine", "ELF machine 4660"),
    .init("folder", .refused, "no regular file but a folder"),
    .init("pipe", .refused, "no regular file but a named pipe"),
    .init("dangling", .refused, "No such file"),
    .init("linked", .ok),
    .init("others-write", .refused, "written by everybody", "mode 0757", "chmod go-w"),
    .init("group-writes", .refused, "written by its group", "mode 0775"),
  ]

  private static func build() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let sources = try FileManager.default.contentsOfDirectory(
      atPath: TierCompiler.fixtures.appendingPathComponent("bad-tiers").path
    ).filter { $0.hasSuffix(".c") && $0 != "entry-elsewhere.c" && $0 != "missing-symbol.c" }
    let good = try TierCompiler.compile("bad-tiers/good.c", into: folder.url)
    for source in sources where source != "good.c" { try TierCompiler.compile("bad-tiers/\(source)", into: folder.url) }
    try TierCompiler.compile("bad-tiers/missing-symbol.c", into: folder.url)
    try TierCompiler.compile("bad-tiers/entry-elsewhere.c", into: folder.url, libraries: [good])
    try writeOddFiles(folder, good: try Data(contentsOf: good))
    return folder
  }

  private static func writeOddFiles(_ folder: TemporaryFolder, good: Data) throws {
    func write(_ name: String, _ data: Data, mode: Int = 0o755) throws {
      let file = folder.file("\(name).tier.so")
      try data.write(to: file)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
    }
    try write("text", Data("#!/bin/sh\n".utf8))
    try write("empty", Data())
    try write("cut", good.prefix(good.count / 4))
    try write("cut-header", good.prefix(20))
    var foreign = good
    foreign.replaceSubrange(18..<20, with: [0x34, 0x12])
    try write("other-machine", foreign)
    try write("others-write", good, mode: 0o757)
    try write("group-writes", good, mode: 0o775)
    let files = FileManager.default
    try files.createDirectory(at: folder.file("folder.tier.so"), withIntermediateDirectories: false)
    guard mkfifo(folder.file("pipe.tier.so").path, 0o600) == 0 else { throw TestFailure("mkfifo") }
    try files.createSymbolicLink(
      atPath: folder.file("dangling.tier.so").path, withDestinationPath: "/nonexistent/tier.so")
    let versions = folder.file("versions")
    try files.createDirectory(
      at: versions, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
    let real = try TierCompiler.compile("bad-tiers/good.c", into: versions, name: "linked")
    try files.moveItem(at: real, to: versions.appendingPathComponent("linked-1.0.so"))
    try files.createSymbolicLink(
      atPath: folder.file("linked.tier.so").path, withDestinationPath: "versions/linked-1.0.so")
    // What is looked at is decided by the name.
    try write("hidden", good)
    try files.moveItem(at: folder.file("hidden.tier.so"), to: folder.file(".hidden.tier.so"))
    try Data("no plug-in".utf8).write(to: folder.file("README.txt"))
  }
}
