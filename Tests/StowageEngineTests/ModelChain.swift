// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport

/// A chain to run the model over, and what it must reach.
struct ModelChain: Sendable, CustomStringConvertible {
  /// One tier of it.
  struct Part: Sendable {
    var kind: TestTier.Kind?
    var shipped: String?
    var limit: Int?
    var slots: Int?
    var options: [String: TierOptionValue] = [:]

    static func test(_ kind: TestTier.Kind, limit: Int? = nil, slots: Int? = nil) -> Part {
      Part(kind: kind, limit: limit, slots: slots)
    }
    static func shipped(_ name: String, _ options: [String: TierOptionValue] = [:]) -> Part {
      Part(shipped: name, options: options)
    }
  }

  var name: String
  var parts: [Part]
  var pageSize = 4096
  var memory = 6 << 20
  /// Pages that each of the threads likes to have.
  var target = 1600
  var discardableShare = 20
  var checksEndToEnd = false
  /// Of the model's operations; 1 is an equal share.
  var weight = 1.0
  /// Levels that no page can stop at, by name.
  var unreachable: Set<String> = []
  var skips = true
  var compactsFrames = false

  var description: String { name }

  /// All of them, or the one that STOWAGE_TEST_CHAIN names.
  static var selected: [ModelChain] {
    guard let name = ProcessInfo.processInfo.environment["STOWAGE_TEST_CHAIN"] else { return all }
    return all.filter { $0.name == name }
  }

  /// The chain, loaded.
  struct Loaded {
    var tiers: [ChainTier] = []
    /// Of the tiers that are test tiers.
    var tests: [TestTier] = []
    var folder: TemporaryFolder?
  }

  func load() throws -> Loaded {
    var loaded = Loaded()
    for (index, part) in parts.enumerated() {
      var tier: ChainTier
      if let kind = part.kind {
        let test = try TestTier(kind)
        loaded.tests.append(test)
        tier = ChainTier(test.table, name: "\(kind.name)-\(index + 1)")
        if let slots = part.slots { tier.options["slots"] = .number(Int64(slots)) }
      } else {
        tier = ChainTier(try TierLibrary.shipped(part.shipped ?? ""))
        tier.options = part.options
        if part.shipped == "swapfile" {
          let folder = try loaded.folder ?? TemporaryFolder()
          loaded.folder = folder
          tier.options["path"] = .text(folder.file("swap").path)
        }
      }
      tier.limit = part.limit
      loaded.tiers.append(tier)
    }
    return loaded
  }

  func configuration() -> StoreConfiguration {
    var configuration = StoreConfiguration(memoryLimit: memory)
    configuration.pageSize = pageSize
    configuration.workers = 2
    configuration.checksEndToEnd = checksEndToEnd
    return configuration
  }

  static let all: [ModelChain] = [
    ModelChain(
      name: "compressors, cipher, disk",
      parts: [.test(.rle), .test(.lzTransparent), .test(.cipher), .test(.disk, slots: 3000)],
      weight: 1.5, compactsFrames: true),
    ModelChain(
      name: "cipher above a compressor",
      parts: [.test(.cipher), .test(.lzTransparent), .test(.memory)], unreachable: ["lz-transparent-2"], skips: false),
    ModelChain(
      name: "two ciphers",
      parts: [.test(.lzTransparent), .test(.cipher), .test(.cipher2), .test(.disk, slots: 4000)]),
    ModelChain(
      name: "two transparent compressors",
      parts: [.test(.rleTransparent), .test(.lzTransparent), .test(.xor), .test(.disk, slots: 4000)],
      checksEndToEnd: true),
    ModelChain(
      name: "no backing", parts: [.test(.rle), .test(.lzTransparent), .test(.cipher)], memory: 12 << 20, target: 1000,
      skips: false),
    ModelChain(
      name: "mapped memory last", parts: [.test(.rle), .test(.lzTransparent), .test(.mapped, slots: 4000)]),
    ModelChain(
      name: "two backings",
      parts: [.test(.lzTransparent), .test(.xor), .test(.memory, slots: 600), .test(.disk, slots: 4000)]),
    ModelChain(
      name: "terminal xor below packing",
      parts: [.test(.rle), .test(.lzTransparent), .test(.xorTerminal), .test(.disk, slots: 4000)]),
    ModelChain(
      name: "asynchronous backing",
      parts: [.test(.lzTransparent), .test(.cipher), .test(.diskAsync, slots: 3000)], weight: 1.5,
      compactsFrames: true),
    ModelChain(
      name: "serial tiers",
      parts: [.test(.rleSerial), .test(.lzSerial), .test(.cipherSerial), .test(.memorySerial, slots: 4000)]),
    ModelChain(
      name: "terminal compressors only", parts: [.test(.rle), .test(.lz), .test(.memory, slots: 8000)]),
    ModelChain(
      name: "pages of 16 KiB",
      parts: [.test(.rle), .test(.lzTransparent), .test(.cipher), .test(.disk, slots: 1500)], pageSize: 16384,
      memory: 16 << 20, target: 900, weight: 0.4),
    ModelChain(
      name: "pages of 64 KiB",
      parts: [.test(.rle), .test(.lzTransparent), .test(.cipher), .test(.disk, slots: 700)], pageSize: 65536,
      memory: 48 << 20, target: 400, weight: 0.1),
    ModelChain(
      name: "the five shipped tiers",
      parts: [
        .shipped("lz4"), .shipped("zstd"), .shipped("brotli"), .shipped("aes-gcm"),
        .shipped("swapfile", ["size": .number(64 << 20)]),
      ], memory: 12 << 20),
  ]
}
