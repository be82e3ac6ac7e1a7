// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// `stowage serve --swap`.
  @Suite struct SwapModeTests {
    private func start(_ rig: DaemonRig, _ more: [String], environment: [String: String] = [:]) throws {
      do {
        try rig.start(
          ["--swap", "--discard", "--swap-file", "swap", "--swap-size", "1GiB"] + more, environment: environment)
      } catch {
        if rig.errors.contains("refuses to lock") {
          try Test.cancel("memory cannot be locked here; run the tests as root")
        }
        throw error
      }
    }

    @Test("memory is locked, and only tiers that are swap-safe are taken", .timeLimit(.minutes(1)))
    func mode() throws {
      let rig = try DaemonRig()
      try start(rig, ["--export", "swap=64MiB"])
      #expect(rig.errors.contains("tier 'brotli' is left out"))
      let pid = try #require(rig.process).processIdentifier
      let status = try String(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/status"), encoding: .utf8)
      let locked = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmLck") })
      #expect(!locked.hasSuffix("\t       0 kB"))
      #expect(try rig.status()["swap"] as? Bool == true)
      #expect(try rig.end() == 0)
      try rig.folder.write("[[tier]]\nplugin = \"brotli\"\n[[export]]\nname = \"a\"\nsize = \"1MiB\"\n", to: "c.toml")
      let refused = try rig.stowage(
        "serve", "--swap", "--config", "c.toml", "--plugin-path", "plugins", "--plugin-path-only")
      #expect(
        refused.status == 1 && refused.errors.contains("'brotli' does not declare itself swap-safe"),
        "\(refused.errors)")
    }

    @Test("no allocation in the whole process over a million requests", .timeLimit(.minutes(10)))
    func allocatesNothing() throws {
      let rig = try DaemonRig()
      let preload = try TierCompiler.compile("preload/count-malloc.c", into: rig.folder.url)
      let counts = rig.folder.file("counts")
      try Data(count: 4096).write(to: counts)
      try start(
        rig, ["--export", "swap=128MiB", "--memory", "48MiB"],
        environment: ["LD_PRELOAD": preload.path, "STOWAGE_MALLOC_COUNT": counts.path])
      let client = try RawClient(rig.socket)
      try client.enter("swap", structured: false)
      var load = Load(blocks: 32_768)
      // Until every block was written some times: contexts, helper threads and tables are there then.
      for _ in 0..<20_000 { try load.batch(client) }
      try Self.set(counts, word: 2, to: 1)
      for _ in 0..<62_500 { try load.batch(client) }
      try Self.set(counts, word: 2, to: 0)
      let since = try Self.word(counts, 1)
      #expect(load.requests >= 1_320_000)
      // Counted from the start: what counts is there.
      #expect(try Self.word(counts, 0) > 0)
      #expect(since == 0, "\(since) allocations in a million requests; the first of them:\n\(rig.errors)")
      let levels = try #require(try rig.status()["levels"] as? [[String: Any]])
      #expect((levels.last?["pages_entered"] as? Int ?? 0) > 10_000, "the load did not come down to the disk")
      #expect(try rig.end() == 0)
    }

    private static func set(_ file: URL, word: Int, to value: UInt8) throws {
      let handle = try FileHandle(forWritingTo: file)
      try handle.seek(toOffset: UInt64(word * 8))
      try handle.write(contentsOf: [value])
      try handle.close()
    }

    private static func word(_ file: URL, _ index: Int) throws -> UInt64 {
      try Data(contentsOf: file).withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
    }

    /// Reads and writes of single pages at random places, sixteen at a time.
    private struct Load {
      let blocks: Int
      private(set) var requests = 0
      private var generator = SeededRandom(seed: 11)
      /// Pages that compress to about half.
      private let pages: [[UInt8]]

      init(blocks: Int) {
        self.blocks = blocks
        var generator = SeededRandom(seed: 5)
        pages = (0..<256).map { page in
          (0..<4096).map { $0 % 16 < 7 ? UInt8(truncatingIfNeeded: generator.next()) : UInt8(page) }
        }
      }

      mutating func batch(_ client: RawClient) throws {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 * 4200)
        var expected = 0
        for _ in 0..<16 {
          let offset = UInt64(generator.below(blocks) * 4096)
          let isRead = generator.below(2) == 0
          bytes += RawClient.request(isRead ? NBD.Command.read : NBD.Command.write, offset: offset, length: 4096)
          if !isRead { bytes += pages[generator.below(pages.count)] }
          expected += NBD.simpleReplyBytes + (isRead ? 4096 : 0)
        }
        try client.send(bytes)
        _ = try client.receive(expected)
        requests += 16
      }
    }
  }
}
