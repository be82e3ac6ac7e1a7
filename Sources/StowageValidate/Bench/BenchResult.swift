// SPDX-License-Identifier: Apache-2.0

/// Times of one kind of call, in microseconds.
public struct CallTimes: Sendable, Codable {
  public var mean: Double
  public var p50: Double
  public var p99: Double

  enum CodingKeys: String, CodingKey {
    case mean = "mean_us"
    case p50 = "p50_us"
    case p99 = "p99_us"
  }

  /// - Parameter nanoseconds: of each call; sorted by this.
  init(_ nanoseconds: inout [UInt32]) {
    nanoseconds.sort()
    let sum = nanoseconds.reduce(0.0) { $0 + Double($1) }
    func at(_ share: Double) -> Double {
      nanoseconds.isEmpty
        ? 0 : Double(nanoseconds[min(nanoseconds.count - 1, Int(Double(nanoseconds.count) * share))]) / 1000
    }
    mean = nanoseconds.isEmpty ? 0 : sum / Double(nanoseconds.count) / 1000
    p50 = at(0.5)
    p99 = at(0.99)
  }
}

/// What a tier did with the same pages, with so many threads at once.
public struct BenchRun: Sendable, Codable {
  public var threads: Int
  /// encode, or write of one slot.
  public var down: CallTimes
  /// decode, or read of one slot.
  public var up: CallTimes
  /// All threads together, in wall-clock time.
  public var downPagesPerSecond: Double
  public var upPagesPerSecond: Double

  enum CodingKeys: String, CodingKey {
    case threads, down, up
    case downPagesPerSecond = "down_pages_per_s"
    case upPagesPerSecond = "up_pages_per_s"
  }
}

/// What was measured of one tier.
public struct BenchResult: Sendable, Codable {
  public var name: String
  public var file: String
  public var role: String
  public var pages: Int
  public var pageSize: Int
  /// Bytes kept of a page's bytes, pages that did not get shorter counted whole; 1 for backings.
  public var ratio: Double
  /// Pages that did not get shorter.
  public var incompressible: Int
  public var runs: [BenchRun]
  /// Why there is no run with several threads; nil when there is one.
  public var note: String?

  enum CodingKeys: String, CodingKey {
    case name, file, role, pages, ratio, incompressible, runs, note
    case pageSize = "page_size"
  }
}

/// What is asked of a bench's process.
public struct BenchOrder: Sendable, Codable {
  public var file: String
  public var options: [String: String]
  /// A file of pages; nil: files that this program maps.
  public var pages: String?
  public var pageCount: Int
  public var rounds: Int
  public var threads: Int
  public var seed: UInt64
  public var folder: String
}
