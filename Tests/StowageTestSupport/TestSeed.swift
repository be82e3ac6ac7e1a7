// SPDX-License-Identifier: Apache-2.0
public import Foundation
package import StowageBasics

/// The seed of a run's random tests: STOWAGE_TEST_SEED, or a new one; printed either way, so that a failure can be
/// repeated.
public enum TestSeed {
  public static let value: UInt64 = {
    let given = ProcessInfo.processInfo.environment["STOWAGE_TEST_SEED"]
    let seed = given.flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000_000)
    print("STOWAGE_TEST_SEED=\(seed)")
    return seed
  }()

  /// Random numbers for a store's environment, whose threads share them.
  public static func numbers(_ purpose: String) -> @Sendable () -> UInt64 {
    let random = Locked(SeededRandom(value, purpose))
    return { random.withLock { $0.next() } }
  }

  /// As many bytes as a key has.
  public static func key(_ purpose: String) -> Data {
    var random = SeededRandom(value, "key \(purpose)")
    return Data((0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) })
  }
}

extension SeededRandom {
  /// A generator of its own for one purpose.
  package init(_ seed: UInt64, _ purpose: String) {
    var hash = seed ^ 0xCBF2_9CE4_8422_2325
    for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    self.init(seed: hash)
  }

  /// True in one of `count` cases.
  package mutating func one(in count: Int) -> Bool { below(count) == 0 }
}
