// SPDX-License-Identifier: Apache-2.0

/// What slots keep.
enum BackingChecks {
  static let all: [Check] = []
}
