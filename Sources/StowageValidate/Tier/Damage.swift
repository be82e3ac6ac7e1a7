// SPDX-License-Identifier: Apache-2.0
internal import StowageBasics

/// Something that happens to an encoding on its way.
enum Damage: CaseIterable {
  case cut, bitFlipped, zeroed, noise, noiseAtStart, longer, empty

  /// Each kind, `count` times in all (or once).
  static func every(_ count: Int) -> [Damage] {
    (0..<max(count, allCases.count)).map { allCases[$0 % allCases.count] }
  }

  func done(to encoding: Encoding, _ random: inout SeededRandom) -> Encoding {
    var damaged = encoding
    let count = encoding.bytes.count
    guard count > 0 else { return damaged }
    switch self {
    case .cut: damaged.bytes.removeLast(1 + random.below(count))
    case .bitFlipped: damaged.bytes[random.below(count)] ^= 1 << UInt8(random.below(8))
    case .zeroed: damaged.bytes = [UInt8](repeating: 0, count: count)
    case .noise: damaged.bytes = Self.noise(count, &random)
    case .noiseAtStart:
      for index in 0..<min(count, 1 + random.below(16)) {
        damaged.bytes[index] = UInt8(truncatingIfNeeded: random.next())
      }
    case .longer: damaged.bytes += Self.noise(1 + random.below(64), &random)
    case .empty: damaged.bytes = []
    }
    return damaged
  }

  private static func noise(_ count: Int, _ random: inout SeededRandom) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  /// Numbers at which lengths and offsets overflow.
  private static let edges: [UInt64] = [
    0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, .max,
  ]

  /// One mutation of a fuzzer: a field set to an edge, bytes moved, doubled or taken from another encoding.
  static func mutated(_ encoding: Encoding, _ others: [Encoding], _ random: inout SeededRandom) -> Encoding {
    var damaged = encoding
    let count = damaged.bytes.count
    guard count > 0 else { return damaged }
    let at = random.below(2) == 0 ? random.below(min(count, 32)) : random.below(count)
    switch random.below(6) {
    case 0:
      let value = edges[random.below(edges.count)]
      for index in 0..<min([1, 2, 4, 8][random.below(4)], count - at) {
        damaged.bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    case 1: damaged.bytes[at] ^= 1 << UInt8(random.below(8))
    case 2: damaged.bytes.removeSubrange(at..<min(count, at + 1 + random.below(16)))
    case 3:
      let length = min(count - at, 1 + random.below(64))
      damaged.bytes.insert(contentsOf: encoding.bytes[at..<at + length], at: random.below(count))
    case 4:
      let other = others[random.below(others.count)].bytes
      damaged.bytes = Array(damaged.bytes[..<at]) + other.dropFirst(random.below(max(1, other.count)))
    default: damaged.bytes[at] = UInt8(truncatingIfNeeded: random.next())
    }
    // As much as the host could hand over: an encoding is never longer than its page and a page more.
    damaged.bytes = Array(damaged.bytes.prefix(2 * max(encoding.page.count, 1)))
    return damaged
  }
}
