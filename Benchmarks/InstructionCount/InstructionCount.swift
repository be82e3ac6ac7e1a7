// SPDX-License-Identifier: Apache-2.0
//
// The same puts, peeks and takes every time, on one thread, for counting instructions: one lz4 level behind a store without
// room for raw pages, made pages, no clock and no chance in it. `make check-perf` runs it under callgrind.
//
//   instruction-count LZ4-TIER
import BenchSupport
import CSmallSpace
import Foundation
import StowageEngine

let pageCount = 2048

/// What is counted: callgrind begins and ends at these names.
@c(stowage_count_put) @inline(never)
public func countPut(_ work: UnsafeMutableRawPointer) { work.assumingMemoryBound(to: Work.self).pointee.put() }

@c(stowage_count_peek) @inline(never)
public func countPeek(_ work: UnsafeMutableRawPointer) { work.assumingMemoryBound(to: Work.self).pointee.peek() }

@c(stowage_count_take) @inline(never)
public func countTake(_ work: UnsafeMutableRawPointer) { work.assumingMemoryBound(to: Work.self).pointee.take() }

struct Work {
  let store: Store
  let pages: UnsafeMutableRawBufferPointer
  let handles: UnsafeMutablePointer<Handle>
  let order: UnsafeMutablePointer<Int>
  let buffer: UnsafeMutableRawBufferPointer
  var failures = 0

  init(_ tier: TierTable) throws {
    let environment = Environment(now: { 1 }, random: { 4 }, scheduling: .manual)
    var configuration = StoreConfiguration(memoryLimit: 64 << 20)
    configuration.storeLimit = 0
    var lz4 = ChainTier(tier)
    lz4.limit = 32 << 20
    store = try Store(configuration: configuration, chain: [lz4], environment: environment)
    pages = .allocate(byteCount: pageCount * pageBytes, alignment: pageBytes)
    handles = .allocate(capacity: pageCount)
    order = .allocate(capacity: pageCount)
    buffer = .allocate(byteCount: pageBytes, alignment: pageBytes)
    for index in 0..<pageCount { handles[index] = Handle(rawValue: 0) }
    fillPages()
  }

  /// Words of a small vocabulary between numbers: pages that compress to about a half, as real ones do.
  private func fillPages() {
    var dice = Dice(seed: 0)
    let words = pages.bindMemory(to: UInt64.self)
    let vocabulary = (0..<256).map { _ in dice.next() }
    for index in words.indices {
      words[index] = dice.next() % 3 == 0 ? dice.next() : vocabulary[Int(dice.next() % 256)]
    }
    for (place, index) in dice.shuffled(pageCount).enumerated() { order[place] = index }
  }

  mutating func put() {
    for index in 0..<pageCount {
      let page = UnsafeRawBufferPointer(start: pages.baseAddress! + index * pageBytes, count: pageBytes)
      if let handle = try? store.put(page, tag: UInt64(index)) { handles[index] = handle } else { failures += 1 }
    }
  }

  mutating func peek() {
    for place in 0..<pageCount {
      if (try? store.peek(handles[order[place]], into: buffer)) == nil { failures += 1 }
    }
  }

  mutating func take() {
    for place in 0..<pageCount {
      if (try? store.take(handles[order[place]], into: buffer)) == nil { failures += 1 }
    }
  }

  /// Takes all pages and compares them; not counted.
  mutating func takeAndCheck() {
    for index in 0..<pageCount {
      guard (try? store.take(handles[index], into: buffer)) == UInt64(index),
        memcmp(buffer.baseAddress!, pages.baseAddress! + index * pageBytes, pageBytes) == 0
      else {
        failures += 1
        continue
      }
    }
  }
}

@main
enum InstructionCount {
  static func main() {
    runBenchmark("instruction-count") { try run() }
  }

  static func run() throws {
    guard CommandLine.arguments.count == 2 else { throw Failure("usage: instruction-count LZ4-TIER") }
    stowage_use_small_space()
    let work = UnsafeMutablePointer<Work>.allocate(capacity: 1)
    work.initialize(to: try Work(Tiers.table(file: CommandLine.arguments[1])))
    // Once before, so that symbols are bound and memory is there.
    work.pointee.put()
    work.pointee.takeAndCheck()
    while work.pointee.store.step() {}
    countPut(work)
    countPeek(work)
    countTake(work)
    let level = work.pointee.store.statistics().levels[1]
    work.pointee.store.close()
    guard work.pointee.failures == 0, level.pagesEntered == 2 * pageCount else {
      throw Failure("\(work.pointee.failures) calls failed, \(level.pagesEntered) pages were encoded")
    }
    print("pages \(pageCount)")
  }
}
