// SPDX-License-Identifier: Apache-2.0
//
// The same puts, peeks and takes every time, on one thread, for counting instructions: one lz4 level behind a store without
// room for raw pages, made pages, no clock and no chance in it. `make check-perf` runs it under callgrind.
//
//   instruction-count LZ4-TIER
import CSmallSpace
import CStowageTier
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
    pages = .allocate(byteCount: pageCount * 4096, alignment: 4096)
    handles = .allocate(capacity: pageCount)
    order = .allocate(capacity: pageCount)
    buffer = .allocate(byteCount: 4096, alignment: 4096)
    for index in 0..<pageCount { handles[index] = Handle(rawValue: 0) }
    fillPages()
  }

  /// Words of a small vocabulary between numbers: pages that compress to about a half, as real ones do.
  private func fillPages() {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
    let words = pages.bindMemory(to: UInt64.self)
    let vocabulary = (0..<256).map { _ in next() }
    for index in words.indices { words[index] = next() % 3 == 0 ? next() : vocabulary[Int(next() % 256)] }
    for index in 0..<pageCount { order[index] = index }
    for index in stride(from: pageCount - 1, to: 0, by: -1) {
      let other = Int(next() % UInt64(index + 1))
      (order[index], order[other]) = (order[other], order[index])
    }
  }

  mutating func put() {
    for index in 0..<pageCount {
      let page = UnsafeRawBufferPointer(start: pages.baseAddress! + index * 4096, count: 4096)
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
        memcmp(buffer.baseAddress!, pages.baseAddress! + index * 4096, 4096) == 0
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
    do {
      try run()
    } catch {
      FileHandle.standardError.write(Data("instruction-count: \(error)\n".utf8))
      exit(1)
    }
  }

  static func run() throws {
    guard CommandLine.arguments.count == 2 else {
      FileHandle.standardError.write(Data("usage: instruction-count LZ4-TIER\n".utf8))
      exit(2)
    }
    stowage_use_small_space()
    let work = UnsafeMutablePointer<Work>.allocate(capacity: 1)
    work.initialize(to: try Work(load(CommandLine.arguments[1])))
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
      FileHandle.standardError.write(
        Data("instruction-count: \(work.pointee.failures) calls failed, \(level.pagesEntered) pages were encoded\n".utf8))
      exit(1)
    }
    print("pages \(pageCount)")
  }

  static func load(_ file: String) throws -> TierTable {
    guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
      let symbol = dlsym(handle, STOWAGE_TIER_ENTRY_NAME)
    else { throw LoadFailure(description: String(cString: dlerror())) }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let descriptor = unsafeBitCast(symbol, to: Entry.self)(HostTable.shared) else {
      throw LoadFailure(description: HostTable.lastError())
    }
    return try TierTable(descriptor: descriptor, file: file)
  }
}

struct LoadFailure: Error, CustomStringConvertible { var description: String }
