// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageTestSupport
import Testing

/// With a cipher in the chain, nothing that stands in a page is in the swap file or in a core dump of the process.
@Suite(.serialized) struct CoreDumpTests {
  private static let program: String = {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent("session-markers").path
  }()

  /// Who makes the dump: the kernel when the process aborts, or gdb while it waits.
  enum Dump: String, CaseIterable { case kernel, gdb }

  /// What was found where.
  private struct Found {
    var inFile = 0
    var inDump = 0
    var dumpBytes = 0
    var levels: [String: Int] = [:]
  }

  @Test("no marked text of a page is in the swap file or a core dump", arguments: Dump.allCases)
  func protected(dump: Dump) throws {
    let found = try run("protected", dump)
    #expect(found.inFile == 0 && found.inDump == 0, "\(found)")
    // Of what there was to find: every level had pages, and the dump has the process's own memory.
    for level in ["store", "lz4", "zstd", "swapfile"] {
      #expect(found.levels[level] ?? 0 > 0, "\(level) is empty: \(found.levels)")
    }
    #expect((found.levels["brotli"] ?? 0) + (found.levels["aes-gcm"] ?? 0) > 0, "\(found.levels)")
    #expect(found.dumpBytes > 1 << 20)
  }

  @Test("the search of a dump can find: text in the process's own buffer", arguments: Dump.allCases)
  func ordinary(dump: Dump) throws {
    let found = try run("ordinary", dump)
    #expect(found.inDump > 0 && found.inFile == 0, "\(found)")
  }

  /// Not by gdb: it writes out all that is reserved.
  @Test("it can find what the store has, when that is dumped after all")
  func exposed() throws {
    let found = try run("exposed", .kernel)
    #expect(found.inDump > 100 && found.inFile == 0, "\(found)")
  }

  @Test("the search of a file can find, when there is no cipher")
  func clear() throws {
    let found = try run("clear", .kernel)
    #expect(found.inFile > 100, "\(found)")
  }

  private func run(_ mode: String, _ dump: Dump) throws -> Found {
    let folder = try TemporaryFolder()
    let key = folder.file("key")
    try Data((0..<32).map { UInt8($0 * 7) }).write(to: key)
    chmod(key.path, 0o600)
    var random = SeededRandom(TestSeed.value, "\(mode), \(dump)")
    let seed = random.next() >> 24
    let core: String
    let output: String
    switch dump {
    case .kernel: (core, output) = try kernelDump(folder, [key.path, "\(seed)", mode])
    case .gdb: (core, output) = try gdbDump(folder, [key.path, "\(seed)", mode])
    }
    let marker = MarkerText(seed: seed).bytes
    var found = Found()
    found.inFile = try Self.count(marker, in: folder.file("swap").path).found
    let dumped = try Self.count(marker, in: core)
    (found.inDump, found.dumpBytes) = (dumped.found, dumped.bytes)
    for line in output.split(separator: "\n") {
      let words = line.split(separator: "\t")
      if words.count == 2 { found.levels[String(words[0])] = Int(words[1]) }
    }
    print("dump: \(mode), by \(dump), seed \(seed): \(found)")
    return found
  }

  /// The kernel's own, if it writes dumps to files in the process's folder.
  private func kernelDump(_ folder: TemporaryFolder, _ arguments: [String]) throws -> (core: String, output: String) {
    let pattern = try String(contentsOfFile: "/proc/sys/kernel/core_pattern", encoding: .utf8)
    guard !pattern.hasPrefix("|"), !pattern.hasPrefix("/") else {
      try Test.cancel("core dumps go to \(pattern.split(separator: "\n").first ?? "") here")
    }
    let script = "ulimit -c unlimited && exec \"$0\" \"$@\""
    let outcome = try Command.run(
      "/bin/sh", ["-c", script, Self.program, folder.file("swap").path] + arguments + ["abort"],
      environment: ["SWIFT_BACKTRACE": "enable=no"], in: folder.url)
    #expect(outcome.status == 128 + SIGABRT && outcome.output.hasSuffix("ready\n"), "\(outcome)")
    let others = ["swap", "key"]
    let made = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !others.contains($0) }
    guard made.count == 1 else { throw TestFailure("\(made) is there, no core dump") }
    return (folder.file(made[0]).path, outcome.output)
  }

  /// gdb's, which leaves out what the kernel would.
  private func gdbDump(_ folder: TemporaryFolder, _ arguments: [String]) throws -> (core: String, output: String) {
    guard FileManager.default.fileExists(atPath: "/usr/bin/gdb") else { try Test.cancel("gdb is not here") }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments = [folder.file("swap").path] + arguments + ["wait"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    defer {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    var output = ""
    while !output.hasSuffix("ready\n") {
      let data = pipe.fileHandleForReading.availableData
      guard !data.isEmpty else { throw TestFailure("it ended: \(output)") }
      output += String(decoding: data, as: UTF8.self)
    }
    let core = folder.file("core").path
    let outcome = try Command.run(
      "/usr/bin/gdb",
      ["-batch", "-nx", "-p", "\(process.processIdentifier)", "-ex", "generate-core-file \(core)"], in: folder.url)
    guard FileManager.default.fileExists(atPath: core) else { throw TestFailure("gdb: \(outcome)") }
    return (core, output)
  }

  /// How often bytes are in a file, and how many of its bytes are there: dumps are as long as what is reserved.
  private static func count(_ marker: [UInt8], in path: String) throws -> (found: Int, bytes: Int) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw TestFailure("\(path) cannot be read") }
    defer { close(file) }
    var (found, bytes) = (0, 0)
    var piece = [UInt8](repeating: 0, count: 4 << 20)
    // SEEK_DATA and SEEK_HOLE.
    let (data, hole) = (Int32(3), Int32(4))
    var at = lseek(file, 0, data)
    while at >= 0 {
      let end = lseek(file, at, hole)
      while at < end {
        let count = pread(file, &piece, min(piece.count, end - at), at)
        guard count > 0 else { throw TestFailure("\(path) cannot be read at \(at)") }
        found += occurrences(marker, piece[..<count])
        bytes += count
        // Pieces overlap, so that nothing between two of them is missed.
        at += at + count == end ? count : count - marker.count + 1
      }
      at = lseek(file, at, data)
    }
    return (found, bytes)
  }

  private static func occurrences(_ marker: [UInt8], _ bytes: ArraySlice<UInt8>) -> Int {
    bytes.withUnsafeBytes { bytes in
      var count = 0
      let first = marker[0]
      var at = 0
      while at + marker.count <= bytes.count,
        let next = memchr(bytes.baseAddress! + at, Int32(first), bytes.count - marker.count + 1 - at)
      {
        if memcmp(next, marker, marker.count) == 0 { count += 1 }
        at = next - UnsafeMutableRawPointer(mutating: bytes.baseAddress!) + 1
      }
      return count
    }
  }
}
