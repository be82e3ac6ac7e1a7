// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// RAM against time of a whole chain with its defaults and no disk: the same pages under smaller and smaller limits. Then
/// the smallest limit that keeps to the time allowed, in rounds.
struct ChainFront {
  private let options: BenchOptions
  private let tiers: Tiers
  /// What a page may cost in CPU time of all threads, put until settled and take; and what the slowest take in a hundred.
  private static let cpuAllowed = 60.0
  private static let takeAllowed = 100.0

  init(_ options: BenchOptions) {
    self.options = options
    tiers = Tiers(folder: options.plugins)
  }

  private struct Point {
    var share = 0.0
    var ram = 0.0
    var account = 0.0
    var put = 0.0
    var take = 0.0
    var p50 = 0.0
    var p99 = 0.0
    var isAllowed: Bool { put + take <= ChainFront.cpuAllowed && p99 <= ChainFront.takeAllowed }
  }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    report.fact("pages", pages.count)
    try run(options.chain, "front", pages, &report)
    // zram encrypts nothing: what the chain is without its ciphers.
    let open = try options.chain.filter { try !tiers.table($0).isMandatory }
    if open != options.chain { try run(open, "frontopen", pages, &report) }
  }

  private func run(_ chain: [String], _ id: String, _ pages: Pages, _ report: inout Report) throws {
    let name = chain.joined(separator: ", ")
    var best: Point?
    var front: [[Double]] = []
    let shares = options.quick ? [0.7, 0.55, 0.4] : [0.80, 0.70, 0.60, 0.55, 0.50, 0.45, 0.40, 0.36, 0.33, 0.30]
    for share in shares {
      var why = ""
      guard let point = try measure(chain, pages, share, &why) else {
        report.fact("\(id).full", why)
        break
      }
      front.append([point.put + point.take, point.ram, point.share, point.p50, point.p99, point.put, point.take])
      if point.isAllowed, point.ram < best?.ram ?? .infinity { best = point }
      if point.put + point.take > 1.7 * Self.cpuAllowed { break }
    }
    report.line("front", name, front)
    guard let best else {
      report.missing(
        "RAM of \(name) within 60 us a page and a p99 of 100 us",
        "no limit that was tried, from \(shares[0]) of the pages' size downwards, was held and kept to both")
      return
    }
    var rounds: [Point] = []
    for _ in 0..<options.rounds {
      var why = ""
      guard let point = try measure(chain, pages, best.share, &why) else { throw Failure("full, and was not before: \(why)") }
      rounds.append(point)
    }
    report.fact("\(id).share", best.share)
    report.figure("\(id).ram", unit: "bytes", rounds.map(\.ram))
    report.figure("\(id).account", unit: "bytes", rounds.map(\.account))
    report.figure("\(id).put", unit: "us", rounds.map(\.put))
    report.figure("\(id).take", unit: "us", rounds.map(\.take))
    report.figure("\(id).cpu", unit: "us", rounds.map { $0.put + $0.take })
    report.figure("\(id).p99", unit: "us", rounds.map(\.p99))
  }

  /// nil when the store was full.
  private func measure(_ chain: [String], _ pages: Pages, _ share: Double, _ why: inout String) throws -> Point? {
    var point = Point(share: share)
    var handles = [Handle](repeating: Handle(rawValue: 0), count: pages.count)
    let before = proportionalSetSize()
    let limit = Int(Double(pages.count * pageBytes) * share)
    let store: Store
    do {
      store = try Store(configuration: StoreConfiguration(memoryLimit: limit), chain: try tiers.chain(chain))
    } catch {
      why = "a limit of \(limit): \(error)"
      return nil
    }
    defer { store.close() }
    let perPage = 1e6 / Double(pages.count)
    var meter = StoreMeter()
    meter.begin()
    for index in 0..<pages.count {
      let put = Result { () throws(StoreError) in try store.put(pages[index], tag: UInt64(index)) }
      switch put {
      case .success(let handle): handles[index] = handle
      case .failure(let error):
        let levels = store.statistics().levels.map {
          "\($0.name): \($0.pages) pages, \($0.ramBytes >> 10) KiB of RAM, \($0.pagesSkipped) went by"
        }
        why = "a limit of \(limit): page \(index) of \(pages.count): \(error) (\(levels.joined(separator: "; ")))"
        return nil
      }
    }
    try store.settle()
    meter.end()
    point.put = meter.total * perPage
    point.ram = Double(proportionalSetSize() - before)
    point.account = Double(store.statistics().ramBytes)
    var dice = Dice(seed: UInt64(share * 1000))
    var latency = LatencyHistogram()
    let buffer = warmBuffer(pages: 1)
    defer { buffer.deallocate() }
    meter = StoreMeter()
    meter.begin()
    for index in dice.shuffled(pages.count) {
      let began = monotonicNanoseconds()
      try store.take(handles[index], into: buffer)
      latency.add(monotonicNanoseconds() - began)
      try meter.aside { try pages.check(index, buffer.baseAddress!, "the chain") }
    }
    meter.end()
    point.take = meter.total * perPage
    point.p50 = latency.microseconds(0.5)
    point.p99 = latency.microseconds(0.99)
    return point
  }
}
