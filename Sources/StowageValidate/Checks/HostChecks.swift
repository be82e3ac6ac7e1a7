// SPDX-License-Identifier: Apache-2.0

/// Services of the host that are absent, refuse or are used wrongly.
enum HostChecks {
  static let all: [Check] = []
}
