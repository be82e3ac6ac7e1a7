// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Foundation
internal import StowageBasics
internal import StowageEngine

/// Measures one tier in this process: every page down, then up again in another order, compared after each call outside
/// the call's time (but within the time of all, by which pages per second are counted).
struct TierBench {
  private let order: BenchOrder
  private let tier: OpenTier
  private let pages: BenchPages

  /// Loads and opens the tier.
  init(_ order: BenchOrder, _ notes: CallNotes) throws {
    self.order = order
    let checkOrder = CheckOrder(
      file: order.file, check: "bench", seed: order.seed, options: order.options, folder: order.folder,
      pages: order.pages)
    let run = CheckRun(order: checkOrder, check: Check("bench", .life, proves: "", advice: "") { _ in }, notes: notes)
    let loaded = try run.load()
    tier = try OpenTier(loaded, try loaded.table())
    pages = try BenchPages(order, pageSize: tier.pageSize)
  }

  func result() throws -> BenchResult {
    let isParallel = tier.table.threadModel == .parallel
    var runs: [BenchRun] = []
    var kept = (bytes: 0, whole: 0)
    for threads in Set([1, isParallel ? order.threads : 1]).sorted() { runs.append(try run(threads, &kept)) }
    tier.close()
    let all = Double(pages.count * tier.pageSize)
    return BenchResult(
      name: tier.table.name, file: order.file, role: tier.table.role.rawValue, pages: pages.count,
      pageSize: tier.pageSize,
      ratio: tier.table.role == .backing ? 1 : Double(kept.bytes) / all, incompressible: kept.whole, runs: runs,
      note: isParallel || order.threads == 1
        ? nil : "its calls are not made side by side: \(tier.table.threadModel.rawValue)")
  }

  private func run(_ threads: Int, _ kept: inout (bytes: Int, whole: Int)) throws -> BenchRun {
    var workers: [BenchWorker] = []
    let slots = tier.table.role == .backing ? try tier.capacity() : pages.count
    guard slots >= 1 else { throw CheckEnd.notRun("it has no slot") }
    for number in 0..<threads {
      let share = stride(from: number, to: min(pages.count, slots), by: threads).map(\.self)
      workers.append(try BenchWorker(tier, pages, share, seed: order.seed &+ UInt64(number)))
    }
    var seconds = (down: 0.0, up: 0.0)
    // The first round warms up and is not counted.
    for round in 0...order.rounds {
      let down = try all(workers) { try $0.goDown(round: round) }
      let up = try all(workers) { try $0.comeUp(round: round) }
      if round > 0 { seconds = (seconds.down + down, seconds.up + up) }
    }
    kept = workers.reduce((0, 0)) { ($0.0 + $1.keptBytes, $0.1 + $1.wholePages) }
    for worker in workers { worker.end() }
    var (downTimes, upTimes) = (workers.flatMap(\.downTimes), workers.flatMap(\.upTimes))
    let perSecond = { (times: [UInt32], seconds: Double) in seconds > 0 ? Double(times.count) / seconds : 0 }
    return BenchRun(
      threads: threads, down: CallTimes(&downTimes), up: CallTimes(&upTimes),
      downPagesPerSecond: perSecond(downTimes, seconds.down),
      upPagesPerSecond: perSecond(upTimes, seconds.up))
  }

  /// Runs all workers at once; the wall-clock time in seconds.
  private func all(_ workers: [BenchWorker], _ body: @escaping @Sendable (BenchWorker) throws -> Void) throws -> Double
  {
    let began = ContinuousClock.now
    if workers.count == 1 {
      try body(workers[0])
    } else {
      DispatchQueue.concurrentPerform(iterations: workers.count) { index in
        do { try body(workers[index]) } catch { workers[index].failure = error }
      }
      if let failure = workers.compactMap(\.failure).first { throw failure }
    }
    return (ContinuousClock.now - began) / .seconds(1)
  }
}

/// One thread's share of the pages, with a context of its own.
final class BenchWorker: @unchecked Sendable {
  private let tier: OpenTier
  private let pages: BenchPages
  private let share: [Int]
  private let order: [Int]
  private let context: OpaquePointer?
  private var encoded: [(offset: Int, length: Int)]
  private let output: UnsafeMutableRawBufferPointer
  private let sidecars: UnsafeMutableRawBufferPointer
  private let page: UnsafeMutableRawBufferPointer
  var failure: (any Error)?
  private(set) var downTimes: [UInt32] = []
  private(set) var upTimes: [UInt32] = []
  private(set) var keptBytes = 0
  private(set) var wholePages = 0

  init(_ tier: OpenTier, _ pages: BenchPages, _ share: [Int], seed: UInt64) throws {
    self.tier = tier
    self.pages = pages
    self.share = share
    var random = SeededRandom(seed: seed)
    order = Array(share.indices).shuffled(using: &random)
    context = try tier.context()
    encoded = Array(repeating: (0, 0), count: share.count)
    output = .allocate(byteCount: share.count * tier.pageSize + 2 * tier.pageSize, alignment: 4096)
    sidecars = .allocate(byteCount: share.count * tier.sidecarLength + 64, alignment: 64)
    page = .allocate(byteCount: tier.pageSize, alignment: 4096)
    // Memory that is not there yet would be counted as the tier's time.
    output.initializeMemory(as: UInt8.self, repeating: 1)
  }

  deinit {
    output.deallocate()
    sidecars.deallocate()
    page.deallocate()
  }

  func end() { tier.end(context) }

  private var isBacking: Bool { tier.table.role == .backing }

  func goDown(round: Int) throws {
    (keptBytes, wholePages) = (0, 0)
    var offset = 0
    for index in share.indices {
      let began = now()
      let length = isBacking ? try write(index) : try encode(index, round: round, offset: offset)
      if round > 0 { downTimes.append(UInt32(clamping: now() - began)) }
      encoded[index] = (offset, length)
      offset += length
      keptBytes += length
      if length == tier.pageSize { wholePages += 1 }
    }
  }

  func comeUp(round: Int) throws {
    for index in order {
      let (offset, length) = encoded[index]
      // A page that did not get shorter is kept as it is, in a store too.
      if !isBacking, length == tier.pageSize, !tier.table.isLengthPreserving { continue }
      let began = now()
      let code = isBacking
        ? tier.read(context, slot: share[index], count: 1, page.baseAddress!)
        : tier.decode(
          context, object(index, round), output.baseAddress! + offset, length: length, page.baseAddress!, sidecar(index)
        )
      if round > 0 { upTimes.append(UInt32(clamping: now() - began)) }
      guard code == STOWAGE_OK else {
        throw tier.run.fail("page \(share[index]) does not come back: \(OpenTier.said(code))")
      }
      guard memcmp(page.baseAddress!, pages[share[index]], tier.pageSize) == 0 else {
        throw tier.run.fail("page \(share[index]) came back changed")
      }
    }
  }

  private func encode(_ index: Int, round: Int, offset: Int) throws -> Int {
    let room = tier.table.isLengthPreserving ? tier.pageSize : tier.pageSize - 1
    let (code, length) = tier.encode(
      context, object(index, round), pages[share[index]], output.baseAddress! + offset, room: room, sidecar(index))
    if code == STOWAGE_TOO_BIG {
      (output.baseAddress! + offset).copyMemory(from: pages[share[index]], byteCount: tier.pageSize)
      return tier.pageSize
    }
    guard code == STOWAGE_OK, length <= room else {
      throw tier.run.fail("page \(share[index]) is not encoded: \(OpenTier.said(code))")
    }
    return length
  }

  private func write(_ index: Int) throws -> Int {
    let code = tier.write(context, slot: share[index], count: 1, pages[share[index]])
    guard code == STOWAGE_OK else { throw tier.run.fail("slot \(share[index]) is not written: \(OpenTier.said(code))") }
    return tier.pageSize
  }

  /// An id is used once only: a cipher may take it as its nonce.
  private func object(_ index: Int, _ round: Int) -> stowage_object {
    tier.object(UInt64(round) << 32 | UInt64(share[index] + 1), length: tier.pageSize)
  }

  private func sidecar(_ index: Int) -> UnsafeMutableRawPointer? {
    tier.sidecarLength > 0 ? sidecars.baseAddress! + index * tier.sidecarLength : nil
  }

  private func now() -> UInt64 { HostTable.shared.pointee.now_ns() }
}
