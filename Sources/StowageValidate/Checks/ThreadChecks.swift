// SPDX-License-Identifier: Apache-2.0

/// Calls side by side.
enum ThreadChecks {
  static let all: [Check] = []
}
