// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Testing

/// Checksums stand on disks: whatever vectors a processor has, they are the same.
@Suite struct HashTests {
  private func bytes(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return UInt8(truncatingIfNeeded: state)
    }
  }

  @Test func widerVectorsGiveTheSameValues() {
    let bytes = bytes(70_000)
    bytes.withUnsafeBytes { all in
      for length in Array(0...4200) + Array(stride(from: 4201, to: 65_600, by: 509)) + [65_535, 65_536] {
        // Places of every alignment.
        let place = all.baseAddress! + length % 67
        for seed in [0, 1, 0x9E37_79B9_7F4A_7C15 &* UInt64(length + 1)] {
          let (wide, narrow) = (stowage_hash64(place, length, seed), stowage_hash64_narrow(place, length, seed))
          #expect(wide == narrow, "\(length) bytes, seed \(seed)")
        }
      }
    }
  }

  /// XXH3 of a page of zeros and of a counting one, as its own library gives them.
  @Test func valuesAreThoseOfXXH3() {
    #expect(stowage_hash64([UInt8](repeating: 0, count: 4096), 4096, 0) == 0x93d7_6fe1_48c6_89ba)
    #expect(stowage_hash64((0..<4096).map { UInt8(truncatingIfNeeded: $0) }, 4096, 1) == 0xffef_a3e5_2708_5c0a)
  }
}
