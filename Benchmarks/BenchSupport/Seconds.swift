// SPDX-License-Identifier: Apache-2.0
package import Foundation

package func seconds(_ clock: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Seconds by the wall.
package func wallSeconds() -> Double { seconds(CLOCK_MONOTONIC) }

package func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
}
