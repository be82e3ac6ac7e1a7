// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowageValidate

/// Ratio against time as a drawing: what is left of a page upwards, the mean time of an encode to the right, on a
/// logarithmic scale; the further down and to the left the better. Backings keep all, so they stand at 100 %.
enum BenchPlot {
  private static let (width, height) = (760.0, 480.0)
  private static let (left, right, top, bottom) = (70.0, 30.0, 40.0, 60.0)

  static func document(_ results: [BenchResult]) -> String {
    let points = results.compactMap { result in
      result.runs.first.map { (name: result.name, time: max($0.down.mean, 0.001), ratio: result.ratio * 100) }
    }
    let low = pow(10, floor(log10(points.map(\.time).min() ?? 0.1)))
    let high = pow(10, ceil(log10((points.map(\.time).max() ?? 10) * 1.01)))
    let most = max(100, points.map(\.ratio).max() ?? 100)
    func x(_ time: Double) -> Double {
      left + (log10(time) - log10(low)) / max(1, log10(high) - log10(low)) * (width - left - right)
    }
    func y(_ ratio: Double) -> Double { height - bottom - ratio / most * (height - top - bottom) }
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(width)) \(Int(height))\" font-family=\"sans-serif\" font-size=\"12\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
      text(width / 2, 22, "What is left of a page, against the time to encode it", anchor: "middle", size: 15),
    ]
    lines += grid(low: low, high: high, most: most, x: x, y: y)
    for point in points {
      lines.append("<circle cx=\"\(at(x(point.time)))\" cy=\"\(at(y(point.ratio)))\" r=\"5\" fill=\"#1f6fb4\"/>")
      lines.append(
        text(
          x(point.time) + 8, y(point.ratio) - 6,
          "\(point.name) (\(String(format: "%.1f us, %.1f %%", point.time, point.ratio)))"))
    }
    return (lines + ["</svg>", ""]).joined(separator: "\n")
  }

  private static func grid(low: Double, high: Double, most: Double, x: (Double) -> Double, y: (Double) -> Double)
    -> [String]
  {
    var lines: [String] = []
    for ratio in stride(from: 0.0, through: most, by: 20) {
      lines.append(line(left, y(ratio), width - right, y(ratio)))
      lines.append(text(left - 8, y(ratio) + 4, "\(Int(ratio)) %", anchor: "end"))
    }
    var time = low
    while time <= high * 1.0001 {
      lines.append(line(x(time), top, x(time), height - bottom))
      lines.append(text(x(time), height - bottom + 18, String(format: "%g us", time), anchor: "middle"))
      time *= 10
    }
    lines.append(
      text((left + width - right) / 2, height - 14, "mean time of one encode (or write), one thread", anchor: "middle"))
    return lines
  }

  private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    "<line x1=\"\(at(x1))\" y1=\"\(at(y1))\" x2=\"\(at(x2))\" y2=\"\(at(y2))\" stroke=\"#d8d8d8\"/>"
  }

  private static func text(_ x: Double, _ y: Double, _ text: String, anchor: String = "start", size: Int = 12) -> String
  {
    "<text x=\"\(at(x))\" y=\"\(at(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\">\(text)</text>"
  }

  private static func at(_ value: Double) -> String { String(format: "%.1f", value) }
}
