// SPDX-License-Identifier: Apache-2.0

/// Sizes in bytes as people write them.
///
/// A whole or decimal number and a unit, with or without a space, in upper or lower case: none or B; K, M,
/// G, T and KiB, MiB, GiB, TiB (powers of 1024); KB, MB, GB, TB (powers of 1000). What is not a whole
/// number of bytes is rounded down.
public enum SizeText {
  /// What to write, for error messages.
  public static let expected = "a size in bytes, such as 65536, \"64MiB\" or \"1G\""

  /// nil when it is no size, or too large for 64 bits.
  public static func parse(_ text: String) -> Int64? {
    guard let (number, unit) = UnitText.split(text), let factor = factors[unit.lowercased()] else { return nil }
    return number.times(factor)
  }

  private static let factors: [String: Int64] = [
    "": 1, "b": 1,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
    "kb": 1000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000,
  ]

  /// The largest unit that divides it ("64MiB"), or the bytes.
  public static func format(_ bytes: Int64) -> String {
    guard bytes > 0 else { return "\(bytes) bytes" }
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, Int64)]
    where bytes & ((1 << shift) - 1) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes) bytes"
  }
}

/// Spans of time as people write them: a number and ns, us, ms, s, min or h.
public enum DurationText {
  public static let expected = "a time with its unit, such as \"500ms\", \"5s\" or \"2min\""

  /// nil when it is none, or longer than 64 bits of nanoseconds.
  public static func parse(_ text: String) -> Duration? {
    guard let (number, unit) = UnitText.split(text), let factor = factors[String(unit)] else { return nil }
    return number.times(factor).map { .nanoseconds($0) }
  }

  private static let factors: [String: Int64] = [
    "ns": 1, "us": 1000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000, "h": 3_600_000_000_000,
  ]
}

/// A number with a unit behind it.
enum UnitText {
  /// Not negative; `fraction` counts in `scale`-ths.
  struct Number {
    var whole: Int64
    var fraction: Int64
    var scale: Int64

    /// nil when it does not fit.
    func times(_ factor: Int64) -> Int64? {
      let (product, tooLarge) = whole.multipliedReportingOverflow(by: factor)
      let part = scale.dividingFullWidth(fraction.multipliedFullWidth(by: factor)).quotient
      let (sum, over) = product.addingReportingOverflow(part)
      return tooLarge || over ? nil : sum
    }
  }

  static func split(_ text: String) -> (Number, unit: Substring)? {
    var rest = text[...]
    while rest.first == " " { rest.removeFirst() }
    while rest.last == " " { rest.removeLast() }
    let digits = take(&rest)
    guard let whole = Int64(digits) else { return nil }
    var number = Number(whole: whole, fraction: 0, scale: 1)
    if rest.first == "." {
      rest.removeFirst()
      let decimals = take(&rest)
      guard decimals.count <= 9, let fraction = Int64(decimals) else { return nil }
      number.fraction = fraction
      for _ in decimals { number.scale *= 10 }
    }
    if rest.first == " " { rest.removeFirst() }
    return (number, rest)
  }

  private static func take(_ rest: inout Substring) -> Substring {
    let digits = rest.prefix { $0.isASCII && $0.isNumber }
    rest = rest.dropFirst(digits.count)
    return digits
  }
}
