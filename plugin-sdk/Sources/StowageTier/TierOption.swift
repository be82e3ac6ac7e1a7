// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// One option that a tier takes. The host parses, checks and documents it.
///
/// Made only while the tier's ``TierDescription`` is made; what it points to is never freed, as the binary
/// interface demands.
public struct TierOption: @unchecked Sendable {
  let raw: stowage_option

  /// Yes or no.
  public static func flag(_ key: StaticString, _ help: StaticString, default value: Bool = false) -> TierOption {
    TierOption(key, help, STOWAGE_OPTION_FLAG, number: value ? 1 : 0, in: 0...1)
  }

  /// A whole number.
  public static func number(
    _ key: StaticString, _ help: StaticString, default value: Int64, in range: ClosedRange<Int64>
  ) -> TierOption {
    TierOption(key, help, STOWAGE_OPTION_NUMBER, number: value, in: range)
  }

  /// A size in bytes; people may write `64M` or `1GiB`. Without a default the option is required.
  public static func bytes(
    _ key: StaticString, _ help: StaticString, default value: Int64? = nil, in range: ClosedRange<Int64>
  ) -> TierOption {
    TierOption(key, help, STOWAGE_OPTION_BYTES, required: value == nil, number: value ?? 0, in: range)
  }

  /// Any text.
  public static func text(
    _ key: StaticString, _ help: StaticString, default value: StaticString? = nil, required: Bool = false,
    secret: Bool = false
  ) -> TierOption {
    TierOption(key, help, STOWAGE_OPTION_TEXT, required: required, secret: secret, text: value)
  }

  /// A file name, which the host makes absolute.
  public static func path(
    _ key: StaticString, _ help: StaticString, default value: StaticString? = nil, required: Bool = false
  ) -> TierOption {
    TierOption(key, help, STOWAGE_OPTION_PATH, required: required, text: value)
  }

  /// One of some words.
  public static func choice(
    _ key: StaticString, _ help: StaticString, of choices: [StaticString], default value: StaticString
  ) -> TierOption {
    let table = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: choices.count + 1)
    table.initialize(repeating: nil, count: choices.count + 1)
    for (index, choice) in choices.enumerated() { table[index] = choice.immortalText }
    return TierOption(key, help, STOWAGE_OPTION_CHOICE, text: value, choices: UnsafePointer(table))
  }

  private init(
    _ key: StaticString, _ help: StaticString, _ type: UInt32, required: Bool = false, secret: Bool = false,
    number: Int64 = 0, in range: ClosedRange<Int64> = 0...0, text: StaticString? = nil,
    choices: UnsafePointer<UnsafePointer<CChar>?>? = nil
  ) {
    let flags = (required ? STOWAGE_OPTION_REQUIRED : 0) | (secret ? STOWAGE_OPTION_SECRET : 0)
    raw = stowage_option(
      key: key.immortalText, help: help.immortalText, type: type, flags: flags, number_default: number,
      number_min: range.lowerBound, number_max: range.upperBound, text_default: text?.immortalText,
      choices: choices)
  }
}

extension StaticString {
  /// The literal's bytes, which end in a NUL and live as long as the process. (A literal of a single
  /// character may be kept as a scalar instead of a pointer: that one is copied, and leaked on purpose.)
  var immortalText: UnsafePointer<CChar> {
    if hasPointerRepresentation {
      return UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
    return withUTF8Buffer { bytes in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
      for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
      copy[bytes.count] = 0
      return UnsafePointer(copy)
    }
  }
}
