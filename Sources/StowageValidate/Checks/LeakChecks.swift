// SPDX-License-Identifier: Apache-2.0

/// What is left behind.
enum LeakChecks {
  static let all: [Check] = []
}
