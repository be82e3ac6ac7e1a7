// SPDX-License-Identifier: Apache-2.0

/// What the tier says of itself.
enum DescriptorChecks {
  static let all: [Check] = []
}
