// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// RAM that a page costs beyond its chunk: by the store's own account, and as the kernel counts the whole process.
struct Overhead {
  private let options: BenchOptions
  private let tiers: Tiers

  init(_ options: BenchOptions) {
    self.options = options
    tiers = Tiers(folder: options.plugins)
  }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? 8192 : min(options.pages, 32768))
    try inRam(pages, &report)
    try belowPacking(pages, &report)
  }

  private func inRam(_ pages: Pages, _ report: inout Report) throws {
    var account: [Double] = [], kernel: [Double] = []
    for _ in 0..<options.rounds {
      let before = proportionalSetSize()
      var configuration = StoreConfiguration(memoryLimit: pages.count * pageBytes + (64 << 20))
      configuration.storeLimit = 0
      let store = try Store(
        configuration: configuration, chain: [try tiers.tier("lz4", limit: pages.count * pageBytes)])
      defer { store.close() }
      for index in 0..<pages.count { _ = try store.put(pages[index], tag: UInt64(index)) }
      try store.settle()
      let level = store.statistics().levels[1]
      account.append(Double(level.metadataBytes) / Double(max(1, level.pages)))
      kernel.append(Double(proportionalSetSize() - before - level.chunkBytes) / Double(pages.count))
    }
    report.figure("overhead.ram.account", unit: "bytes", account)
    report.figure("overhead.ram.kernel", unit: "bytes", kernel)
  }

  private func belowPacking(_ pages: Pages, _ report: inout Report) throws {
    var account: [Double] = [], disk: [Double] = []
    let file = options.folder + "/overhead.swap"
    for _ in 0..<options.rounds {
      unlink(file)
      defer { unlink(file) }
      var configuration = StoreConfiguration(memoryLimit: 128 << 20)
      configuration.storeLimit = 0
      let packer = try tiers.tier("brotli", limit: 0, options: ["quality": .number(1)])
      let swap = try tiers.tier(
        "swapfile", options: ["path": .text(file), "size": .number(Int64(pages.count * pageBytes + (64 << 20)))])
      let store = try Store(configuration: configuration, chain: [packer, swap])
      defer { store.close() }
      for index in 0..<pages.count { _ = try store.put(pages[index], tag: UInt64(index)) }
      try store.settle()
      let level = store.statistics().levels[2]
      guard level.pages > pages.count / 2 else { throw Failure("only \(level.pages) pages went below packing") }
      account.append(Double(level.ramBytes) / Double(level.pages))
      disk.append(Double(level.diskBytes) / Double(level.pages))
    }
    report.figure("overhead.packed.account", unit: "bytes", account)
    report.figure("overhead.packed.disk", unit: "bytes", disk)
  }
}
