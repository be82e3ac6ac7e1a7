// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// With a cipher in the chain, nothing that stands in a page ever reaches a backing in the clear.
@Suite(.serialized) struct MarkerTests {
  private static let marker = Array("PLAINTEXT-MARKER".utf8)
  private static let pageSize = 4096

  struct Chain: Sendable, CustomStringConvertible {
    var description: String
    var kinds: [TestTier.Kind]
    var hasCipher = true
  }

  static let chains = [
    Chain(description: "cipher below the compressors", kinds: [.rle, .lzTransparent, .cipher, .disk]),
    Chain(description: "cipher first", kinds: [.cipher, .memory]),
    Chain(description: "two ciphers, limits above", kinds: [.lzTransparent, .cipher, .cipher2, .diskAsync]),
    Chain(description: "xor around the cipher", kinds: [.lzTransparent, .xor, .cipher, .xorTerminal, .mapped]),
  ]

  @Test(arguments: chains) func `no marker reaches the backing`(chain: Chain) throws {
    let outcome = try run(chain)
    #expect(outcome.backing[.writes] > 1000)
    #expect(outcome.backing[.markers] == 0)
    for tier in outcome.tiers { #expect(tier.complaint == nil) }
    #expect(outcome.failures == [])
  }

  /// The search itself can find: without a cipher there are markers.
  @Test func `without a cipher markers are found`() throws {
    let outcome = try run(Chain(description: "", kinds: [.rle, .lzTransparent, .disk], hasCipher: false))
    #expect(outcome.backing[.markers] > 0)
  }

  @Test func `the shipped cipher leaves no marker in the swap file`() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("swap")
    var tiers = try ["lz4", "brotli", "aes-gcm", "swapfile"].map { ChainTier(try TierLibrary.shipped($0)) }
    tiers[3].options = ["path": .text(file.path), "size": .number(64 << 20)]
    var configuration = StoreConfiguration(memoryLimit: 12 << 20)
    configuration.workers = 2
    let store = try Store(configuration: configuration, chain: tiers)
    defer { store.close() }
    var random = SeededRandom(TestSeed.value, "swap file")
    let buffer = PageBuffer(Self.pageSize)
    defer { buffer.deallocate() }
    for number in 0..<6000 { _ = try put(store, buffer, &random, number) }
    try store.flush(timeout: .seconds(60))
    let content = try Data(contentsOf: file)
    #expect(content.contains { $0 != 0 })
    #expect(content.range(of: Data(Self.marker)) == nil)
  }

  private struct Outcome {
    var backing: TestTier
    var tiers: [TestTier]
    var failures: [String]
  }

  /// Quiet and rapid growth, failing ciphers and compressors, a flush, a full backing.
  private func run(_ chain: Chain) throws -> Outcome {
    let tiers = try chain.kinds.map(TestTier.init)
    let backing = tiers[tiers.count - 1]
    try backing.watch(for: Self.marker)
    let failures = Failures()
    let slots = 3000
    var parts = zip(tiers, chain.kinds).map { ChainTier($0.table, name: $1.name) }
    parts[parts.count - 1].options["slots"] = .number(Int64(slots))
    var configuration = StoreConfiguration(memoryLimit: 6 << 20)
    configuration.workers = 2
    configuration.putPatience = .milliseconds(300)
    let store = try Store(configuration: configuration, chain: parts)
    var random = SeededRandom(TestSeed.value, chain.description)
    let buffer = PageBuffer(Self.pageSize)
    defer { buffer.deallocate() }
    var live: [(Handle, SeededRandom, Int)] = []
    func grow(_ count: Int, pause: Bool = false) {
      for number in 0..<count {
        let before = random
        do { live.append((try put(store, buffer, &random, number), before, number)) } catch .full {
          for _ in 0..<min(8, live.count) { try? store.discard(live.removeFirst().0) }
        } catch { failures.add("put: \(error)") }
        if pause, number % 64 == 63 { _ = store.waitUntilSettled(timeout: .seconds(5)) }
      }
    }
    grow(2500, pause: true)
    grow(2500)
    // Every transform in turn fails for a while, then all of them.
    let transforms = tiers.dropLast()
    for failing in transforms.map({ [$0] }) + [Array(transforms)] {
      for tier in failing { tier.set(.failEncodes, 200) }
      grow(500)
      for tier in failing { tier.set(.failEncodes, 0) }
    }
    for tier in transforms where tier.table.sidecarLength == 0 { tier.set(.tooBig, 300) }
    grow(500)
    for tier in transforms { tier.set(.tooBig, 0) }
    if backing.table.lifetime == .persistent { try? store.flush(timeout: .seconds(10)) }
    try store.setLimit(0, level: 0)
    grow(300)
    try store.setLimit(nil, level: 0)
    backing.set(.failEncodes, 20)
    grow(300)
    backing.set(.failEncodes, 0)
    // Until it is full, and beyond.
    grow(slots)
    _ = store.waitUntilSettled(timeout: .seconds(10))
    let expected = PageBuffer(Self.pageSize)
    defer { expected.deallocate() }
    for (handle, before, number) in live {
      var random = before
      fill(expected, &random, number)
      do {
        try store.take(handle, into: buffer.bytes)
        if !buffer.read.elementsEqual(expected.read) { failures.add("page \(handle) came back different") }
      } catch { failures.add("take: \(error)") }
    }
    store.close()
    return Outcome(backing: backing, tiers: tiers, failures: failures.all)
  }

  private func fill(_ buffer: PageBuffer, _ random: inout SeededRandom, _ number: Int) {
    buffer.fill(Contents(seed: random.next(), kind: Contents.firstWithSeed + UInt32(number % 4)))
    buffer.mark(Self.marker, every: 256)
  }

  private func put(_ store: Store, _ buffer: PageBuffer, _ random: inout SeededRandom, _ number: Int) throws(StoreError)
    -> Handle
  {
    fill(buffer, &random, number)
    return try store.put(buffer.read, tag: UInt64(number))
  }
}
