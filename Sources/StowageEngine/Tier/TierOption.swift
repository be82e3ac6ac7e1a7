// SPDX-License-Identifier: Apache-2.0

/// An option that a tier takes, as its table describes it.
public struct TierOption: Sendable, Hashable, Codable {
  public enum Kind: String, Sendable, Hashable, Codable {
    case flag, number, bytes, text, path, choice
  }
  public let key: String
  public let help: String
  public let kind: Kind
  public let isRequired: Bool
  /// Never printed or logged.
  public let isSecret: Bool
  /// Default and inclusive bounds of flag, number and bytes.
  public let numberDefault: Int64
  public let numberRange: ClosedRange<Int64>
  /// Default of text, path and choice; nil when there is none.
  public let textDefault: String?
  /// The values of a choice.
  public let choices: [String]
}

/// A checked value for a `TierOption`: `number` for flag (0 or 1), number and bytes; `text` otherwise, or `secret`, which
/// leaves nothing behind in memory.
public enum TierOptionValue: Sendable, Hashable {
  case number(Int64)
  case text(String)
  case secret(SecretText)
}
