// SPDX-License-Identifier: Apache-2.0
@testable import StowageEngine
import Testing

/// Large pools and tables grow in huge pages: what they take stays counted, and within what they may.
@Suite struct GrowthTests {
  private let size = 262_144

  @Test func aPoolGrowsByHugePagesFarFromItsLimit() throws {
    let arena = try SegmentArena(segmentSize: size, capacity: 1024, locks: false)
    defer { arena.unmap() }
    arena.shrink(to: 400)
    var taken: Set<SegmentIndex> = []
    var steps: Set<Int> = []
    while taken.count < 400 {
      let before = arena.present
      let segment = try #require(arena.take())
      #expect(taken.insert(segment).inserted, "handed out twice")
      arena.bytes(segment).storeBytes(of: UInt64(segment) + 1, as: UInt64.self)
      if arena.present > before { steps.insert(arena.present - before) }
      #expect(arena.present <= 400)
    }
    #expect(steps == [1, 8])
    #expect(taken.allSatisfy { arena.bytes($0).load(as: UInt64.self) == UInt64($0) + 1 })
  }

  @Test func ofAHugePageEachSegmentIsGivenBackByItself() throws {
    let arena = try SegmentArena(segmentSize: size, capacity: 1024, locks: false)
    defer { arena.unmap() }
    arena.shrink(to: 1024)
    let taken = try (0..<200).map { _ in try #require(arena.take()) }
    for segment in taken { arena.bytes(segment).storeBytes(of: UInt64(segment) + 1, as: UInt64.self) }
    for segment in taken where segment % 2 == 1 { arena.give(segment) }
    arena.shrink(to: 100)
    #expect(arena.present == 100)
    for segment in taken {
      #expect(arena.bytes(segment).load(as: UInt64.self) == (segment % 2 == 1 ? 0 : UInt64(segment) + 1))
    }
    arena.shrink(to: 1024)
    let again = try (0..<100).map { _ in try #require(arena.take()) }
    #expect(Set(again).isDisjoint(with: taken.filter { $0 % 2 == 0 }) && Set(again).count == 100)
  }

  @Test func aTableCountsWhatItTakes() throws {
    let table = try BlockTable(stride: 16, capacity: 1 << 24)
    defer { table.unmap() }
    for _ in 0..<40 {
      let (grown, before) = (table.growth(65536), table.byteCount)
      let first = try #require(table.append(65536))
      #expect(table.byteCount == before + grown && table.byteCount >= table.count * 16)
      #expect(table.byteCount - table.count * 16 < (table.byteCount > BlockTable.hugeFrom ? Region.hugePage : 65536))
      table.address(first + 65535).storeBytes(of: UInt64(first), as: UInt64.self)
    }
    for block in 0..<40 { #expect(table.address(block * 65536 + 65535).load(as: UInt64.self) == UInt64(block * 65536)) }
  }

  @Test func wordsComeBack() throws {
    let words = try WordTable()
    defer { words.unmap() }
    let edge: UInt64 = 1 << 35
    let own = [0, 1, edge - 1, 0 &- edge, .max, .max - 1]
    let kept = [edge, edge + 1, 0 &- edge &- 1, 1 << 36, 1 << 63, 0x0101_0101_0101_0101]
    let numbers = try (own + kept).map { try #require(words.add($0)) }
    #expect(numbers.allSatisfy { $0 >= 0 && $0 < 1 << 37 } && Set(numbers).count == numbers.count)
    #expect(zip(numbers, own + kept).allSatisfy { words.value($0) == $1 })
    #expect(own.allSatisfy { words.growth(for: $0) == 0 })
    for number in numbers { words.remove(number) }
    #expect(words.byteCount == 65536 && words.growth(for: edge) == 0)
  }
}
