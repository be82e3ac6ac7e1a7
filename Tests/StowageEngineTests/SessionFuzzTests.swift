// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Foundation
@testable import StowageEngine
import StowageTestSupport
import Testing

/// Whoever wrote a session, opening it and using it harms nobody: no crash, no end of waiting, no heap of memory. With
/// AddressSanitizer this looks at every access too.
@Suite(.serialized) struct SessionFuzzTests {
  /// Changed sessions, of each kind: STOWAGE_TEST_FUZZ.
  private static let rounds = CrashMatrix.number("STOWAGE_TEST_FUZZ") ?? 200
  /// STOWAGE_TEST_SESSION_SEED: that of one run.
  private static let seed = CrashMatrix.number("STOWAGE_TEST_SESSION_SEED").map { UInt64($0) } ?? TestSeed.value

  @Test("a session changed behind its checksums is refused, or its pages are", arguments: [false, true], [false, true])
  func changed(hasSums: Bool, isWhole: Bool) throws {
    let failures = Locked<[String]>([])
    let memory = Self.residentBytes()
    // On a thread of its own, so that a hang has an end.
    let work = Background {
      do {
        let fuzz = try SessionFuzz(Self.seed, hasSums: hasSums, isWhole: isWhole)
        for round in 0..<Self.rounds * 3 where fuzz.failures.isEmpty {
          try fuzz.round(SessionFuzz.Part.allCases[round % 3])
        }
        print("fuzz: sums \(hasSums), deltas \(!isWhole), seed \(Self.seed): \(fuzz.counts)")
        failures.withLock { $0 += fuzz.failures }
        let counts = fuzz.counts
        if counts.refused == 0 || counts.whole == 0 || counts.reasons.count < 4 {
          failures.withLock { $0.append("it does not reach much: \(counts)") }
        }
        // 1 ms each, as a rule.
        if counts.slowest > 5 { failures.withLock { $0.append("one took \(counts.slowest) s") } }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    work.join(within: 60 + Self.rounds)
    for failure in failures.withLock({ $0 }) { Issue.record("\(failure); STOWAGE_TEST_SESSION_SEED=\(Self.seed)") }
    let grown = Self.residentBytes() - memory
    // Other tests run meanwhile, and a sanitizer keeps what was freed for a while.
    let most = 2 << 30
    #expect(grown < most, "the process has grown by \(grown >> 20) MiB")
  }

  private static func residentBytes() -> Int {
    let words = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    return words.count > 1 ? (Int(words[1]) ?? 0) * 4096 : 0
  }
}

/// The checksum of a page of a stream in the clear.
enum PageChecksum {
  static func of(_ page: UnsafeRawBufferPointer, id: UInt64) -> UInt32 {
    // As `Engine.checksum` with the sum of no transforms.
    UInt32(truncatingIfNeeded: stowage_hash64(page.baseAddress!, page.count, id))
  }
}
