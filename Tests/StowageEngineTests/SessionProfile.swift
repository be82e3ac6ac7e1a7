// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport

/// What a simulated store is like: its chain, its disk and what goes wrong with that. All of it follows from a seed.
struct SessionProfile {
  var tiers: [ChainTier]
  var slots: Int
  /// Pages that its owner has, more or less.
  var target: Int
  /// What raw pages may take of RAM; nil: a share chosen by the store.
  var storeLimit: Int?
  /// Its owner goes on while a checkpoint is made.
  var interleaves: Bool
  /// The disk returns stale and flipped slots.
  var isDamaged = false
  /// Calls into the disk take seconds.
  var hangs = false
  /// Pages that come first and end before the moment that is looked at: many slots come free then.
  var passing = 0
  /// Deltas that the index may have: few, so that they are merged often.
  var deltasMax = Int.max
  /// With two keys that take turns, of which the session has one.
  var keys: [String] = []

  /// A store for many lives.
  init(_ seed: UInt64) throws {
    var random = SeededRandom(seed, "session profile")
    tiers = try Self.tiers(seed)
    slots = seed % 7 == 0 ? 150 : 500 + Int(seed % 5) * 200
    target = 100 + random.below(500)
    interleaves = seed % 5 != 0
    isDamaged = seed % 4 == 2
    hangs = seed % 9 == 4
    if seed % 5 != 1 { deltasMax = 2 + Int(seed % 5) }
    // A disk that fills up, and little RAM: most pages are on it.
    guard seed % 3 == 1 else { return }
    slots = 120 + random.below(150)
    target = 300 + random.below(600)
    storeLimit = 128 << 10
    for index in tiers.indices where tiers[index].limit == nil { tiers[index].limit = 64 << 10 }
  }

  /// A small store, for one crash after the other: with a disk that is just large enough, or roomy.
  init(small seed: UInt64) throws {
    var random = SeededRandom(seed, "small session profile")
    tiers = try Self.tiers(seed)
    target = 60 + random.below(140)
    slots = random.one(in: 3) ? 130 + random.below(100) : 500
    interleaves = random.one(in: 2)
    if random.one(in: 2) { storeLimit = 128 << 10 }
    if seed % 3 != 2 { deltasMax = 2 + Int(seed % 3) }
    passing = seed % 5 == 3 ? 400 : 0
    if passing > 0 { slots = 700 }
  }

  /// A small store whose key can change.
  init(withKeys seed: UInt64) throws {
    try self.init(small: seed)
    (slots, passing) = (500, 0)
    var cipher = ChainTier(try Self.shipped.get())
    keys = try [keyFile(.init(seed % 3)), keyFile(.init(seed % 3 + 1))]
    cipher.options["key-file"] = .text(keys[0])
    tiers = (seed % 2 == 0 ? [ChainTier(try Self.shared(.lzTransparent), name: "lz")] : []) + [cipher]
  }

  private static func tiers(_ seed: UInt64) throws -> [ChainTier] {
    var kinds: [TestTier.Kind]
    switch seed % 4 {
    case 0: kinds = [.rle, .lzTransparent, .cipherKept]
    case 1: kinds = [.lzTransparent]
    case 2: kinds = [.rleTransparent, .xor]
    default: kinds = [.cipherKept]
    }
    if seed % 8 >= 4 { kinds.removeLast() }
    // A cipher that has another key in each run, and a state.
    if seed % 6 == 5 {
      var cipher = ChainTier(try shipped.get())
      cipher.options["key-file"] = .text(try keyFile(5))
      if seed % 4 == 1 { cipher.limit = 0 }
      return [ChainTier(try shared(.lzTransparent), name: "lz"), cipher]
    }
    return try kinds.enumerated().map { index, kind in
      var tier = ChainTier(try shared(kind), name: "\(kind.name)-\(index + 1)")
      // Some levels are only passed through.
      if seed % 3 == 0, index == kinds.count - 1 { tier.limit = 0 }
      return tier
    }
  }

  private static let shipped = Result { try TierLibrary.shipped("aes-gcm") }
  private static let loaded = Locked<[TestTier.Kind: TestTier]>([:])

  private static func shared(_ kind: TestTier.Kind) throws -> TierTable {
    try loaded.withLock { known in
      let tier = try known[kind] ?? TestTier(kind)
      known[kind] = tier
      return tier.table
    }
  }
}

private let keyFolder = Result { try TemporaryFolder() }

/// A key file whose bytes follow from a number.
private func keyFile(_ number: UInt8) throws -> String {
  let file = try keyFolder.get().file("key-\(number)")
  try Data((0..<32).map { UInt8($0) &* 7 &+ number }).write(to: file)
  try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
  return file.path
}
