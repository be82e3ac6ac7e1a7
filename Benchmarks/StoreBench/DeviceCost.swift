// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// Putting into and taking from one lz4 level beside 4 KiB writes to and reads from zram with lz4 (O_DIRECT), in turn: a
/// call beside block I/O. Then plain files, with and without O_DIRECT.
struct DeviceCost {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    report.fact("pages", pages.count)
    if options.device.isEmpty {
      report.missing("zram as a block device", "no device was given")
    } else {
      try zram(pages, &report)
    }
    try files(pages, &report)
  }

  private func zram(_ pages: Pages, _ report: inout Report) throws {
    let descriptor = open(options.device, O_RDWR | 0o40000 | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure(file: options.device) }
    defer { close(descriptor) }
    var configuration = StoreConfiguration(memoryLimit: pages.count * pageBytes * 5 / 4 + (64 << 20))
    configuration.storeLimit = 0
    let lz4 = try Tiers(folder: options.plugins).tier("lz4", limit: pages.count * pageBytes)
    let store = try Store(configuration: configuration, chain: [lz4])
    defer { store.close() }
    var put: [Double] = [], take: [Double] = [], write: [Double] = [], read: [Double] = [], ram: [Double] = []
    var histograms = Histograms()
    for round in 0...options.rounds {
      let one = try zramRound(descriptor, store, pages, round, &histograms)
      guard round > 0 else { continue }
      let each = 1e6 / Double(pages.count)
      put.append(one.put * each)
      write.append(one.write * each)
      take.append(one.take * each)
      read.append(one.read * each)
      ram.append(Double(one.ram))
    }
    report.pair("zram.put", unit: "us", ours: put, peer: write)
    report.pair("zram.take", unit: "us", ours: take, peer: read)
    if let used = memoryUsed() { report.figure("zram.ram", unit: "bytes", [Double(used + 16 * pages.count)]) }
    report.figure("zram.store", unit: "bytes", ram)
    report.line("latency", "put, lz4", histograms.put.points)
    report.line("latency", "take, lz4", histograms.take.points)
    report.line("latency", "zram write", histograms.write.points)
    report.line("latency", "zram read", histograms.read.points)
    report.figure("zram.p99.put", unit: "us", [histograms.put.microseconds(0.99)])
    report.figure("zram.p99.take", unit: "us", [histograms.take.microseconds(0.99)])
    report.figure("zram.p99.write", unit: "us", [histograms.write.microseconds(0.99)])
    report.figure("zram.p99.read", unit: "us", [histograms.read.microseconds(0.99)])
  }

  private struct Histograms {
    var put = LatencyHistogram(), take = LatencyHistogram(), write = LatencyHistogram(), read = LatencyHistogram()
  }

  private struct ZramRound { var put = 0.0, take = 0.0, write = 0.0, read = 0.0, ram = 0 }

  private func zramRound(
    _ descriptor: Int32, _ store: Store, _ pages: Pages, _ round: Int, _ histograms: inout Histograms
  ) throws -> ZramRound {
    // Latencies in the last round only; there the clock is in the CPU time of both.
    let isTimed = round == options.rounds
    var result = ZramRound()
    let handles = try putAll(descriptor, store, pages, isTimed, &histograms, &result)
    try store.settle()
    result.ram = store.statistics().ramBytes
    var dice = Dice(seed: UInt64(round))
    let order = dice.shuffled(pages.count)
    try takeAll(descriptor, store, pages, handles, order, isTimed, &histograms, &result)
    return result
  }

  private func putAll(
    _ descriptor: Int32, _ store: Store, _ pages: Pages, _ isTimed: Bool, _ histograms: inout Histograms,
    _ result: inout ZramRound
  ) throws -> [Handle] {
    var handles = [Handle](repeating: Handle(rawValue: 0), count: pages.count)
    let turns = Turns(count: pages.count)
    var meter = StoreMeter()
    meter.begin()
    for turn in turns {
      result.write += try meter.aside {
        for index in turn.peers {
          let began = isTimed ? monotonicNanoseconds() : 0
          guard pwrite(descriptor, pages[index].baseAddress!, pageBytes, index * pageBytes) == pageBytes else {
            throw Failure(file: options.device)
          }
          if isTimed { histograms.write.add(monotonicNanoseconds() - began) }
        }
      }
      for index in turn.ours {
        let began = isTimed ? monotonicNanoseconds() : 0
        handles[index] = try store.put(pages[index], tag: UInt64(index))
        if isTimed { histograms.put.add(monotonicNanoseconds() - began) }
      }
    }
    meter.end()
    result.put = meter.total
    return handles
  }

  private func takeAll(
    _ descriptor: Int32, _ store: Store, _ pages: Pages, _ handles: [Handle], _ order: [Int], _ isTimed: Bool,
    _ histograms: inout Histograms, _ result: inout ZramRound
  ) throws {
    let turns = Turns(count: order.count)
    let ours = TurnBuffer(), theirs = TurnBuffer()
    defer {
      ours.deallocate()
      theirs.deallocate()
    }
    var meter = StoreMeter()
    meter.begin()
    for turn in turns {
      let (peers, mine) = (order[turn.peers], order[turn.ours])
      result.read += try meter.aside {
        for (slot, index) in peers.enumerated() {
          let began = isTimed ? monotonicNanoseconds() : 0
          guard pread(descriptor, theirs[slot].baseAddress!, pageBytes, index * pageBytes) == pageBytes else {
            throw Failure(file: options.device)
          }
          if isTimed { histograms.read.add(monotonicNanoseconds() - began) }
        }
      }
      for (slot, index) in mine.enumerated() {
        let began = isTimed ? monotonicNanoseconds() : 0
        try store.take(handles[index], into: ours[slot])
        if isTimed { histograms.take.add(monotonicNanoseconds() - began) }
      }
      try meter.aside {
        try theirs.check(peers, pages, "zram")
        try ours.check(mine, pages, "the store")
      }
    }
    meter.end()
    result.take = meter.total
  }

  /// `mem_used_total` of the device.
  private func memoryUsed() -> Int? {
    let name = options.device.split(separator: "/").last.map(String.init) ?? ""
    let text = try? String(contentsOfFile: "/sys/block/\(name)/mm_stat", encoding: .utf8)
    let words = text?.split(whereSeparator: \.isWhitespace) ?? []
    return words.count > 2 ? Int(words[2]) : nil
  }

  private func files(_ pages: Pages, _ report: inout Report) throws {
    let file = PlainFile(name: options.folder + "/plain.file")
    defer { unlink(file.name) }
    for isDirect in [true, false] {
      _ = try file.write(pages, isDirect: isDirect)
      var reads: [Double] = [], writes: [Double] = []
      for _ in 0..<options.rounds {
        writes.append(try file.writeRandomly(pages, count: isDirect ? 2048 : 16384, isDirect: isDirect))
        reads.append(try file.readRandomly(pages, count: isDirect ? 2048 : 16384, isDirect: isDirect))
      }
      let id = isDirect ? "file.direct" : "file.cached"
      report.figure("\(id).write", unit: "us", writes)
      report.figure("\(id).read", unit: "us", reads)
    }
  }
}
