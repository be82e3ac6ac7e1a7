// SPDX-License-Identifier: Apache-2.0

/// What the tier can be told.
enum OptionChecks {
  static let all: [Check] = []
}
