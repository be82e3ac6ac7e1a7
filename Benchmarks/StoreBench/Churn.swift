// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// How well the pool stays packed while pages come and go at random, and what squeezing it out costs: pages are taken at
/// random and others put in their place, twice as often as there are pages in each round.
struct Churn {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    // Half of the pages are in the store, so that others can come.
    let live = pages.count / 2
    for isTight in [false, true] {
      do {
        try measure(pages, live, isTight, &report)
      } catch let error as StoreError {
        report.missing("packing in a churn, \(isTight ? "a tenth of room" : "room to spare")", "\(error)")
      }
    }
  }

  private func measure(_ pages: Pages, _ live: Int, _ isTight: Bool, _ report: inout Report) throws {
    var configuration = StoreConfiguration(memoryLimit: live * pageBytes + (64 << 20))
    configuration.storeLimit = 0
    let lz4 = try Tiers(folder: options.plugins).tier("lz4", limit: live * pageBytes)
    let store = try Store(configuration: configuration, chain: [lz4])
    defer { store.close() }
    var handles = [Handle](repeating: Handle(rawValue: 0), count: live)
    var content = Array(0..<live)
    // Once through before, for warm memory.
    for _ in 0..<2 {
      for index in 0..<live { handles[index] = try store.put(pages[index], tag: 0) }
      for handle in handles { try store.discard(handle) }
    }
    var meter = StoreMeter()
    meter.begin()
    for index in 0..<live { handles[index] = try store.put(pages[index], tag: UInt64(index)) }
    meter.end()
    let fresh = meter.total / Double(live) * 1e6
    try store.settle()
    if isTight {
      // A tenth more than what it takes now, and at least what the store keeps as its reserve.
      let now = store.statistics()
      try store.setMemoryLimit(now.ramBytes + max(6 << 20, now.levels[1].poolBytes / 10))
    }
    let buffer = warmBuffer(pages: 256)
    defer { buffer.deallocate() }
    var dice = Dice(seed: 7)
    var least: [Double] = [], mean: [Double] = [], idle: [Double] = [], cost: [Double] = [], takes: [Double] = []
    var timeline: [[Double]] = []
    for round in 0...options.rounds {
      var packed: [Double] = []
      var taking = 0.0
      meter = StoreMeter()
      meter.begin()
      let operations = 2 * live / 256 * 256
      for start in stride(from: 0, to: operations, by: 256) {
        var slots: [(slot: Int, page: Int)] = []
        meter.aside {
          // No slot twice in one batch.
          var seen = Set<Int>()
          while slots.count < 256 {
            let slot = dice.below(live)
            if seen.insert(slot).inserted { slots.append((slot, dice.below(pages.count))) }
          }
        }
        taking += try meter.aside {
          for (place, pair) in slots.enumerated() {
            try store.take(handles[pair.slot], into: page(buffer, place))
          }
        }
        try meter.aside {
          for (place, pair) in slots.enumerated() {
            try pages.check(content[pair.slot], buffer.baseAddress! + place * pageBytes, "the store in churn")
          }
        }
        for pair in slots {
          handles[pair.slot] = try store.put(pages[pair.page], tag: 0)
          content[pair.slot] = pair.page
        }
        meter.aside {
          guard start % 2048 == 0 else { return }
          let level = store.statistics().levels[1]
          packed.append(100 * Double(level.chunkBytes) / Double(max(1, level.poolBytes)))
          if round <= 2 { timeline.append([Double(round * operations + start), packed.last ?? 0]) }
        }
      }
      meter.end()
      usleep(1_000_000)
      let level = store.statistics().levels[1]
      guard round > 0 else { continue }
      least.append(packed.min() ?? 0)
      mean.append(packed.reduce(0, +) / Double(max(1, packed.count)))
      idle.append(100 * Double(level.chunkBytes) / Double(max(1, level.poolBytes)))
      cost.append(meter.total / Double(operations) * 1e6)
      takes.append(taking / Double(operations) * 1e6)
    }
    let id = isTight ? "churn.tight" : "churn.roomy"
    report.figure("\(id).least", unit: "%", least)
    report.figure("\(id).mean", unit: "%", mean)
    report.figure("\(id).idle", unit: "%", idle)
    report.pair("\(id).put", unit: "us", ours: cost, peer: cost.map { _ in fresh })
    report.figure("\(id).take", unit: "us", takes)
    report.line("churn", isTight ? "a tenth of room" : "room for all pages raw", timeline)
    report.fact("\(id).pages", live)
  }

  private func page(_ buffer: UnsafeMutableRawBufferPointer, _ place: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: buffer.baseAddress! + place * pageBytes, count: pageBytes)
  }
}
