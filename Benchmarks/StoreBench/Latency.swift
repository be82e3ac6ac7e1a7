// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// How long a take takes from each level of the default chain, and a put while that chain is being filled.
struct Latency {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    let tiers = Tiers(folder: options.plugins)
    let limit = pages.count * pageBytes * 3 / 5
    let store = try Store(configuration: StoreConfiguration(memoryLimit: limit), chain: try tiers.chain(options.chain))
    defer { store.close() }
    var puts = LatencyHistogram()
    // As many as fit: a store that is full before is what it is.
    var count = pages.count
    var handles: [Handle] = []
    handles.reserveCapacity(pages.count)
    for index in 0..<pages.count {
      let began = monotonicNanoseconds()
      let put = Result { () throws(StoreError) in try store.put(pages[index], tag: UInt64(index)) }
      guard case .success(let handle) = put else {
        report.missing("latencies of all pages", "the store was full at page \(index) of \(pages.count)")
        count = index
        break
      }
      handles.append(handle)
      puts.add(monotonicNanoseconds() - began)
    }
    try store.settle()
    let names = store.statistics().levels.map(\.name)
    var takes = [LatencyHistogram](repeating: LatencyHistogram(), count: names.count)
    var all = LatencyHistogram()
    let buffer = warmBuffer(pages: 1)
    defer { buffer.deallocate() }
    var dice = Dice(seed: 11)
    for index in dice.shuffled(count) {
      let place = store.location(of: handles[index])
      let began = monotonicNanoseconds()
      try store.take(handles[index], into: buffer)
      let took = monotonicNanoseconds() - began
      all.add(took)
      try pages.check(index, buffer.baseAddress!, "the chain")
      switch place {
      case .memory(let level): takes[level].add(took)
      case .backing(let level): takes[level].add(took)
      default: break
      }
    }
    report.line("latency.chain", "put while it fills", puts.points)
    report.line("latency.chain", "take, all", all.points)
    for (name, histogram) in zip(names, takes) where histogram.count >= 100 {
      report.line("latency.chain", "take from \(name)", histogram.points)
      report.figure("latency.\(name).p50", unit: "us", [histogram.microseconds(0.5)])
      report.figure("latency.\(name).p99", unit: "us", [histogram.microseconds(0.99)])
    }
    report.figure("latency.put.p50", unit: "us", [puts.microseconds(0.5)])
    report.figure("latency.put.p99", unit: "us", [puts.microseconds(0.99)])
    report.figure("latency.put.p999", unit: "us", [puts.microseconds(0.999)])
  }
}
