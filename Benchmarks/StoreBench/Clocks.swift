// SPDX-License-Identifier: Apache-2.0
import Foundation

/// CPU seconds of the calling thread.
func threadSeconds() -> Double { seconds(CLOCK_THREAD_CPUTIME_ID) }
/// CPU seconds of all threads of the process.
func processSeconds() -> Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// CPU seconds of all threads between `begin` and `end`, less what the calling thread spends in `aside`. What the store's
/// own threads do meanwhile counts, whenever they do it.
struct StoreMeter {
  private(set) var total = 0.0
  private var began = 0.0

  mutating func begin() { began = processSeconds() }
  mutating func end() { total += processSeconds() - began }

  /// - Returns: the calling thread's CPU seconds in `body`.
  @discardableResult
  mutating func aside(_ body: () throws -> Void) rethrows -> Double {
    let before = threadSeconds()
    try body()
    let spent = threadSeconds() - before
    total -= spent
    return spent
  }
}

/// The process's proportional set size in bytes, as the kernel counts it.
func proportionalSetSize() -> Int {
  guard let text = try? String(contentsOfFile: "/proc/self/smaps_rollup", encoding: .utf8) else { return 0 }
  for line in text.split(separator: "\n") where line.hasPrefix("Pss:") {
    return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) << 10
  }
  return 0
}

/// How long calls took: counts by nanoseconds, in steps of about 3 %.
struct LatencyHistogram {
  private var counts = [Int](repeating: 0, count: 64 * 32)
  private(set) var count = 0

  mutating func add(_ nanoseconds: UInt64) {
    counts[Self.place(nanoseconds)] += 1
    count += 1
  }

  private static func place(_ value: UInt64) -> Int {
    guard value >= 32 else { return Int(value) }
    let exponent = 63 - value.leadingZeroBitCount
    return (exponent - 4) * 32 + Int(value >> UInt64(exponent - 5)) & 31
  }

  private static func value(_ place: Int) -> Double {
    guard place >= 32 else { return Double(place) }
    let exponent = place / 32 + 4
    return Double((32 + place % 32)) * exp2(Double(exponent - 5))
  }

  /// Microseconds that a share of the calls did not exceed.
  func microseconds(_ share: Double) -> Double {
    let wanted = max(1, Int((Double(count) * share).rounded(.up)))
    var seen = 0
    for place in counts.indices {
      seen += counts[place]
      if seen >= wanted { return Self.value(place) / 1000 }
    }
    return 0
  }

  /// Points of the distribution, for a plot.
  var points: [[Double]] {
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999]
      .filter { Double(count) * (1 - $0) >= 1 || $0 <= 0.5 }
      .map { [$0, microseconds($0)] }
  }
}
