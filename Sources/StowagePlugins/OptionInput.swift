// SPDX-License-Identifier: Apache-2.0

/// A value for a tier's option as the user gave it.
public enum OptionInput: Sendable, Hashable {
  /// From a place without types, such as a command line: read as the option's type wants it.
  case word(String)
  /// From a place with types.
  case text(String)
  case number(Int64)
  case flag(Bool)
  /// Of a type that no option has; the text is its name: "a date".
  case other(String)
}
