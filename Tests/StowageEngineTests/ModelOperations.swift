// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The seed of a run: STOWAGE_TEST_SEED, or a new one; printed either way, so that a failure can be repeated.
enum TestSeed {
  static let value: UInt64 = {
    let given = ProcessInfo.processInfo.environment["STOWAGE_TEST_SEED"]
    let seed = given.flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000_000)
    print("STOWAGE_TEST_SEED=\(seed)")
    return seed
  }()

  /// Model operations over all chains: STOWAGE_TEST_OPERATIONS, by default a few more than a million.
  static let operations: Int = {
    ProcessInfo.processInfo.environment["STOWAGE_TEST_OPERATIONS"].flatMap { Int($0) } ?? 1_080_000
  }()
}

/// SplitMix64.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  /// A generator of its own for one purpose.
  init(_ seed: UInt64, _ purpose: String) {
    var hash = seed ^ 0xCBF2_9CE4_8422_2325
    for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    state = hash
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
  /// True in one of `count` cases.
  mutating func one(in count: Int) -> Bool { below(count) == 0 }
}
