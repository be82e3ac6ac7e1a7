// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// How fast raw pages go down to the swap file, beside one thread that writes as many bytes to a plain file of the same
/// disk with the same flags (O_DIRECT, room reserved before), a MiB at a time; and reading pages back at random.
struct DemotionRate {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    var demote: [Double] = [], plain: [Double] = [], buffered: [Double] = []
    var takes: [Double] = [], reads: [Double] = []
    var histogram = LatencyHistogram()
    for round in 0...options.rounds {
      let (rate, take) = try measure(pages, isWhole: round == 1, &histogram)
      let file = PlainFile(name: options.folder + "/demotion.plain")
      defer { unlink(file.name) }
      let write = try file.write(pages, isDirect: true)
      let read = try file.readRandomly(pages, count: 2048, isDirect: true)
      let soft = try file.write(pages, isDirect: false)
      guard round > 0 else { continue }
      demote.append(rate)
      plain.append(write)
      buffered.append(soft)
      takes.append(take)
      reads.append(read)
    }
    report.pair("demotion", unit: "MiB/s", ours: demote, peer: plain)
    report.pair("demotion.buffered", unit: "MiB/s", ours: demote, peer: buffered)
    report.pair("demotion.take", unit: "us", ours: takes, peer: reads)
    report.line("latency", "take from the swap file", histogram.points)
  }

  /// MiB a second until all is in the swap file; and microseconds of a take from there, by the wall.
  private func measure(_ pages: Pages, isWhole: Bool, _ histogram: inout LatencyHistogram) throws -> (Double, Double) {
    let file = options.folder + "/demotion.swap"
    unlink(file)
    defer { unlink(file) }
    let bytes = pages.count * pageBytes
    var configuration = StoreConfiguration(memoryLimit: bytes * 9 / 8 + (64 << 20))
    configuration.storeLimit = bytes * 9 / 8
    let swap = try Tiers(folder: options.plugins).tier(
      "swapfile", options: ["path": .text(file), "size": .number(Int64(bytes + (64 << 20)))])
    let store = try Store(configuration: configuration, chain: [swap])
    defer { store.close() }
    var handles: [Handle] = []
    handles.reserveCapacity(pages.count)
    for index in 0..<pages.count { handles.append(try store.put(pages[index], tag: UInt64(index))) }
    let before = store.statistics().levels[0].pages
    guard before > pages.count * 9 / 10 else { throw Failure("only \(before) pages are raw before the demotion") }
    let began = wallSeconds()
    try store.drainRawPages()
    let rate = Double(before * pageBytes) / (wallSeconds() - began) / 1_048_576
    let buffer = warmBuffer(pages: 1)
    defer { buffer.deallocate() }
    var dice = Dice(seed: 3)
    var spent: UInt64 = 0
    let order = dice.shuffled(pages.count).prefix(isWhole ? pages.count : 2048)
    for index in order {
      let start = monotonicNanoseconds()
      try store.take(handles[index], into: buffer)
      let took = monotonicNanoseconds() - start
      spent += took
      histogram.add(took)
      try pages.check(index, buffer.baseAddress!, "the swap file")
    }
    return (rate, Double(spent) / Double(order.count) / 1000)
  }
}

/// A plain file of the same pages.
struct PlainFile {
  let name: String
  private static let direct: Int32 = 0o40000
  private static let chunk = 256

  private func open(_ flags: Int32) throws -> Int32 {
    let descriptor = Glibc.open(name, flags | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(file: name) }
    return descriptor
  }

  /// MiB a second; until it is on the disk when it goes through the cache.
  func write(_ pages: Pages, isDirect: Bool) throws -> Double {
    unlink(name)
    let descriptor = try open(O_RDWR | O_CREAT | (isDirect ? Self.direct : 0))
    defer { close(descriptor) }
    posix_fallocate(descriptor, 0, pages.count * pageBytes)
    fsync(descriptor)
    let began = wallSeconds()
    for index in stride(from: 0, to: pages.count, by: Self.chunk) {
      let bytes = min(Self.chunk, pages.count - index) * pageBytes
      guard pwrite(descriptor, pages[index].baseAddress!, bytes, index * pageBytes) == bytes else {
        throw Failure(file: name)
      }
    }
    if !isDirect { fdatasync(descriptor) }
    return Double(pages.count * pageBytes) / (wallSeconds() - began) / 1_048_576
  }

  /// Microseconds a page, by the wall; each is compared.
  func readRandomly(_ pages: Pages, count: Int, isDirect: Bool) throws -> Double {
    let descriptor = try open(O_RDONLY | (isDirect ? Self.direct : 0))
    defer { close(descriptor) }
    let buffer = warmBuffer(pages: 1)
    defer { buffer.deallocate() }
    var dice = Dice(seed: 5)
    var spent: UInt64 = 0
    for _ in 0..<count {
      let index = dice.below(pages.count)
      let began = monotonicNanoseconds()
      guard pread(descriptor, buffer.baseAddress!, pageBytes, index * pageBytes) == pageBytes else {
        throw Failure(file: name)
      }
      spent += monotonicNanoseconds() - began
      try pages.check(index, buffer.baseAddress!, name)
    }
    return Double(spent) / Double(count) / 1000
  }

  /// Microseconds a page, by the wall.
  func writeRandomly(_ pages: Pages, count: Int, isDirect: Bool) throws -> Double {
    let descriptor = try open(O_RDWR | (isDirect ? Self.direct : 0))
    defer { close(descriptor) }
    var dice = Dice(seed: 6)
    var spent: UInt64 = 0
    for _ in 0..<count {
      let index = dice.below(pages.count)
      let began = monotonicNanoseconds()
      guard pwrite(descriptor, pages[index].baseAddress!, pageBytes, index * pageBytes) == pageBytes else {
        throw Failure(file: name)
      }
      spent += monotonicNanoseconds() - began
    }
    return Double(spent) / Double(count) / 1000
  }
}
