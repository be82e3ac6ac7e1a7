// SPDX-License-Identifier: Apache-2.0

/// The file, before any of its code runs.
enum FileChecks {
  static let all: [Check] = []
}
