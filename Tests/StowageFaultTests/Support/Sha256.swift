// SPDX-License-Identifier: Apache-2.0

/// SHA-256 (FIPS 180-4), to repair the checksum of a state that a test has changed.
func sha256(_ message: [UInt8]) -> [UInt8] {
  var hash = roots(of: 8, power: 2)
  let constants = roots(of: 64, power: 3)
  let padding = [UInt8](repeating: 0, count: (119 - message.count % 64) % 64)
  let length = (0..<8).map { UInt8(truncatingIfNeeded: (message.count * 8) >> (56 - 8 * $0)) }
  let bytes = message + [0x80] + padding + length
  for block in stride(from: 0, to: bytes.count, by: 64) {
    var words = (0..<16).map { word in
      (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[block + 4 * word + $1]) }
    }
    for place in 16..<64 {
      let (early, late) = (words[place - 15], words[place - 2])
      let sigma0 = turned(early, 7) ^ turned(early, 18) ^ early >> 3
      let sigma1 = turned(late, 17) ^ turned(late, 19) ^ late >> 10
      words.append(words[place - 16] &+ sigma0 &+ words[place - 7] &+ sigma1)
    }
    hash = zip(hash, rounds(hash, words, constants)).map { $0 &+ $1 }
  }
  return hash.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } }
}

private func rounds(_ hash: [UInt32], _ words: [UInt32], _ constants: [UInt32]) -> [UInt32] {
  var state = hash
  for round in 0..<64 {
    let (a, b, c, e, f, g) = (state[0], state[1], state[2], state[4], state[5], state[6])
    let sum1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
    let first = state[7] &+ sum1 &+ (e & f ^ ~e & g) &+ constants[round] &+ words[round]
    let sum0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)
    let second = sum0 &+ (a & b ^ a & c ^ b & c)
    state = [first &+ second, a, b, c, state[3] &+ first, e, f, g]
  }
  return state
}

private func turned(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }

/// The first 32 bits of the fractions of the square or cube roots of the first primes.
private func roots(of count: Int, power: Int) -> [UInt32] {
  let primes = (2...400).filter { number in !(2..<number).contains { number % $0 == 0 } }
  return primes.prefix(count).map { prime in
    // The root times 2^32, found bit by bit.
    var root: UInt64 = 0
    for bit in stride(from: 35, through: 0, by: -1) {
      let guess = root | 1 << UInt64(bit)
      if isAtMost(guess, power: power, prime) { root = guess }
    }
    return UInt32(truncatingIfNeeded: root)
  }
}

/// Whether guess^power <= prime * 2^(32 power), without rounding.
private func isAtMost(_ guess: UInt64, power: Int, _ prime: Int) -> Bool {
  let square = guess.multipliedFullWidth(by: guess)
  if power == 2 { return UInt128(square.high) << 64 | UInt128(square.low) <= UInt128(prime) << 64 }
  let whole = UInt128(square.high) << 64 | UInt128(square.low)
  // guess < 2^36 and guess^2 < 2^72: the cube fits 108 bits.
  return whole * UInt128(guess) <= UInt128(prime) << 96
}
