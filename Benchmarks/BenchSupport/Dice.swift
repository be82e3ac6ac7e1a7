// SPDX-License-Identifier: Apache-2.0

/// Xorshift: the same numbers for the same seed.
package struct Dice {
  @usableFromInline var state: UInt64
  package init(seed: UInt64) { state = (seed &+ 1) &* 0x9E37_79B9_7F4A_7C15 | 1 }

  @inlinable
  package mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  @inlinable
  package mutating func below(_ bound: Int) -> Int { Int(next() >> 11) % bound }

  package mutating func shuffled(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for index in stride(from: count - 1, to: 0, by: -1) { order.swapAt(index, below(index + 1)) }
    return order
  }
}
