// SPDX-License-Identifier: Apache-2.0

/// A number of bytes for people, such as "64.0 MiB".
public struct SizeLabel: CustomStringConvertible {
  let bytes: Int
  public init(_ bytes: Int) { self.bytes = bytes }

  public var description: String {
    var value = Double(bytes)
    var unit = 0
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(decimal(value, 1)) \(units[unit])"
  }
}

/// A whole number with its digits in groups of three, such as "65,536".
public func grouped(_ value: Int) -> String {
  let digits = String(value.magnitude)
  var text = value < 0 ? "-" : ""
  for (place, digit) in digits.enumerated() {
    if place > 0, (digits.count - place) % 3 == 0 { text += "," }
    text.append(digit)
  }
  return text
}

/// A number with a fixed count of decimal places (0 to 3).
public func decimal(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "-" }
  let scale = [1, 10, 100, 1000][places]
  let scaled = Int((value * Double(scale)).rounded())
  guard places > 0 else { return grouped(scaled) }
  let part = String(scaled.magnitude % scale.magnitude)
  let sign = scaled < 0 && scaled.magnitude < scale.magnitude ? "-" : ""
  return sign + grouped(scaled / scale) + "." + String(repeating: "0", count: places - part.count) + part
}
