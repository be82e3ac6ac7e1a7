// SPDX-License-Identifier: Apache-2.0

/// Counts durations in buckets that are at most 1/128 wide relative to their value, so percentiles
/// are right to less than one percent. All its memory is taken and touched when it is made.
final class LatencyHistogram {
  /// Values below this have a bucket each.
  private static let exactBits = 8
  private static let halfBits = exactBits - 1
  private static let bucketCount = (1 << exactBits) + (64 - exactBits) << halfBits

  private let counts: UnsafeMutablePointer<UInt64>
  private(set) var count: UInt64 = 0
  /// Sum of everything recorded, in nanoseconds.
  private(set) var total: UInt64 = 0
  private(set) var maximum: UInt64 = 0

  init() {
    counts = .allocate(capacity: Self.bucketCount)
    counts.initialize(repeating: 0, count: Self.bucketCount)
  }

  deinit { counts.deallocate() }

  func record(_ nanoseconds: UInt64) {
    counts[Self.bucket(of: nanoseconds)] &+= 1
    count &+= 1
    total &+= nanoseconds
    if nanoseconds > maximum { maximum = nanoseconds }
  }

  func add(_ other: LatencyHistogram) {
    for i in 0..<Self.bucketCount { counts[i] &+= other.counts[i] }
    count &+= other.count
    total &+= other.total
    maximum = max(maximum, other.maximum)
  }

  /// The duration that a share of all recorded ones (0 to 1) does not exceed, in nanoseconds; 0 when
  /// there is none.
  func percentile(_ share: Double) -> Double {
    guard count > 0 else { return 0 }
    let rank = max(1, UInt64((share * Double(count)).rounded(.up)))
    var seen: UInt64 = 0
    for i in 0..<Self.bucketCount {
      seen += counts[i]
      if seen >= rank { return min(Self.middle(ofBucket: i), Double(maximum)) }
    }
    return Double(maximum)
  }

  private static func bucket(of value: UInt64) -> Int {
    guard value >> exactBits != 0 else { return Int(value) }
    let shift = (63 - value.leadingZeroBitCount) - halfBits
    return shift << halfBits + Int(value >> UInt64(shift))
  }

  private static func middle(ofBucket index: Int) -> Double {
    guard index >> exactBits != 0 else { return Double(index) }
    let shift = index >> halfBits - 1
    let lowest = UInt64(index - shift << halfBits) << UInt64(shift)
    return Double(lowest) + Double((UInt64(1) << UInt64(shift)) - 1) / 2
  }
}
