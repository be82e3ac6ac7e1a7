// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageBasics
import StowageTestSupport
import Testing

/// What every tier must keep to, whatever it is written in. Buffers end at pages that nobody may touch.
enum TierChecks {
  /// All of them, on one file.
  static func all(_ file: String) throws {
    let tier = try LoadedTier(file)
    for pageSize in [4096, 65536] {
      if tier.transform != nil { try roundTrips(tier, pageSize: pageSize) }
      if tier.backing != nil { try slots(tier, pageSize: pageSize) }
    }
    if tier.transform != nil { try damage(tier) }
    try refusedMemory(tier)
    try cycles(tier)
    for (bare, short) in [(true, false), (false, true)] {
      let other = try LoadedTier(file, host: AuthorHost.table(bare: bare, short: short))
      let instance = try other.open(numbers: small(other))
      if other.transform != nil { #expect(other.decode(instance, [200], length: 4096).0 < 0) }
      other.table.pointee.close(instance)
    }
  }

  /// Backings are opened with little.
  static func small(_ tier: LoadedTier) -> [String: Int64] { tier.backing == nil ? [:] : ["size": 1 << 20] }

  static func pages(_ length: Int) -> [[UInt8]] {
    var random = SeededRandom(TestSeed.value, #function)
    return [
      [UInt8](repeating: 0, count: length),
      (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) },
      (0..<length).map { UInt8(truncatingIfNeeded: $0 / 5) },
      (0..<length).map { UInt8($0 % 200 < 140 ? 9 : $0 % 7) },
    ]
  }

  private static func roundTrips(_ tier: LoadedTier, pageSize: Int) throws {
    let owner = AuthorHost.newOwner()
    let instance = try tier.open(owner: owner, pageSize: pageSize)
    let lengths = Array(0...9) + [127, 128, 129, 130, 131, 255, 257, 1000, pageSize - 1, pageSize]
    for length in lengths {
      for page in pages(length) {
        let (result, chunk) = tier.encode(instance, page, room: 2 * length + 16)
        try #require(result == STOWAGE_OK)
        #expect(tier.decode(instance, chunk, length: length) == (STOWAGE_OK, page))
        #expect(tier.encode(instance, page, room: chunk.count) == (STOWAGE_OK, chunk))
        for room in Set([0, 1, 2, chunk.count / 2, chunk.count - 1]) where room >= 0 && room < chunk.count {
          #expect(tier.encode(instance, page, room: room).0 == STOWAGE_TOO_BIG)
        }
      }
    }
    tier.table.pointee.close(instance)
    expectNothingLeft(owner)
  }

  /// Cut and changed input: no overrun (the pages around the buffers see to it), and a cut is found.
  private static func damage(_ tier: LoadedTier) throws {
    let instance = try tier.open()
    defer { tier.table.pointee.close(instance) }
    for page in pages(600) {
      let chunk = tier.encode(instance, page, room: 2000).1
      for count in 0..<chunk.count {
        #expect([STOWAGE_CORRUPT, STOWAGE_AUTH].contains(tier.decode(instance, Array(chunk[..<count]), length: 600).0))
      }
      for place in 0..<chunk.count {
        for bit in 0..<8 {
          var bad = chunk
          bad[place] ^= 1 << UInt8(bit)
          let result = tier.decode(instance, bad, length: 600).0
          #expect([STOWAGE_OK, STOWAGE_CORRUPT, STOWAGE_AUTH].contains(result))
        }
      }
    }
    for length in [0, 1, 2, 50, 4096] {
      for page in pages(length) { _ = tier.decode(instance, page, length: 4096) }
    }
  }

  private static func slots(_ tier: LoadedTier, pageSize: Int) throws {
    let (owner, backing) = (AuthorHost.newOwner(), tier.backing.unsafelyUnwrapped)
    let instances = try (0..<2).map { _ in try tier.open(owner: owner, pageSize: pageSize, numbers: small(tier)) }
    var capacity = stowage_capacity(struct_size: 16, reserved: 0, slots_total: 0)
    #expect(backing.capacity(instances[0], &capacity) == STOWAGE_OK)
    let count = Int(capacity.slots_total)
    #expect(count == (1 << 20) / pageSize)
    let run = GuardedBuffer(byteCount: 2 * pageSize)
    for slot in stride(from: 0, to: count, by: 2) {
      for (index, instance) in instances.enumerated() {
        memset(run.bytes, Int32(slot & 63 + 64 * index + 1), run.byteCount)
        #expect(backing.write(instance, nil, UInt64(slot), 2, run.bytes, nil) == STOWAGE_OK)
      }
    }
    for slot in 0..<count {
      for (index, instance) in instances.enumerated() {
        #expect(backing.read(instance, nil, UInt64(slot), 1, run.bytes, nil) == STOWAGE_OK)
        let expected = UInt8((slot & ~1) & 63 + 64 * index + 1)
        #expect(run.contents.prefix(pageSize).allSatisfy { $0 == expected })
      }
    }
    for instance in instances { tier.table.pointee.close(instance) }
    expectNothingLeft(owner)
  }

  /// Whichever allocation is refused: a clean RETRY with a reason, and nothing left.
  private static func refusedMemory(_ tier: LoadedTier) throws {
    for grants in 0..<16 {
      let owner = AuthorHost.newOwner(grants: grants)
      _ = AuthorHost.takeMessage()
      let (result, instance) = tier.tryOpen(owner: owner, numbers: small(tier))
      if let instance {
        #expect(result == STOWAGE_OK)
        tier.table.pointee.close(instance)
        expectNothingLeft(owner)
        return
      }
      #expect(result == STOWAGE_RETRY)
      #expect(!AuthorHost.takeMessage().isEmpty)
      expectNothingLeft(owner)
    }
    Issue.record("\(tier.name) opens with no memory at all, or never")
  }

  /// Opening and closing leaves no memory behind.
  private static func cycles(_ tier: LoadedTier) throws {
    let owner = AuthorHost.newOwner()
    for _ in 0..<3000 { tier.table.pointee.close(try tier.open(owner: owner, numbers: small(tier))) }
    expectNothingLeft(owner)
  }

  private static func expectNothingLeft(_ owner: UInt64) {
    let account = AuthorHost.account(owner)
    #expect(account.bytes == 0)
    #expect(account.blocks.isEmpty)
    #expect(account.complaints == [])
  }
}
