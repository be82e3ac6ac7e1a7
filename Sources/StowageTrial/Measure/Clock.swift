// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Nanoseconds of a clock that only goes forward. Costs some 20 ns and allocates nothing.
@inline(__always)
func monotonicNanoseconds() -> UInt64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
}
