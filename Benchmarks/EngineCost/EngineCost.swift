// SPDX-License-Identifier: Apache-2.0
//
// What the engine adds to a bare codec: the same pages, in one process, in turn: encoded and decoded by liblz4 alone, and
// put into and taken from a store with one lz4 level. CPU time of all threads, until every page is encoded.
//
//   engine-cost PAGES-FILE LZ4-TIER [--rounds N] [--pages N] [--through] [--json]
import CLZ4
import CStowageTier
import Foundation
import StowageEngine

/// One way through the pages: CPU seconds of all threads.
struct Round {
  var bareEncode = 0.0
  var put = 0.0
  var bareDecode = 0.0
  var take = 0.0
  var packed = 0.0
  var overheadBytes = 0.0
}

@main
enum EngineCost {
  static func main() throws {
    let options = try Options(CommandLine.arguments)
    let pages = try Pages(file: options.file, most: options.pages)
    let table = try options.loadTier()
    let bare = BareCodec(pages)
    var rounds: [Round] = []
    for round in 0...options.rounds {
      let measured = try measure(pages, table, bare, options, seed: UInt64(round))
      // The first warms memory up and is not counted.
      if round > 0 { rounds.append(measured) }
    }
    report(rounds, pages, options)
  }

  static func measure(_ pages: Pages, _ table: TierTable, _ bare: BareCodec, _ options: Options, seed: UInt64) throws
    -> Round
  {
    var round = Round()
    var configuration = StoreConfiguration(memoryLimit: pages.count * 4096 + (64 << 20))
    configuration.storeLimit = options.through ? 0 : 4 << 20
    configuration.workers = options.workers
    var lz4 = ChainTier(table)
    lz4.limit = pages.count * 4096
    let store = try Store(configuration: configuration, chain: [lz4])
    defer { store.close() }
    // Once through, so that the pools' memory is there, as the bare codec's buffers are.
    var handles = [Handle](repeating: Handle(rawValue: 0), count: pages.count)
    for warm in [true, false] {
      if !warm { round.bareEncode = cpu { bare.encodeAll() } }
      try store.setLimit(configuration.storeLimit, level: 0)
      let seconds = try cpu {
        for index in 0..<pages.count { handles[index] = try store.put(pages[index], tag: UInt64(index)) }
        try store.setLimit(0, level: 0)
        guard store.waitUntilSettled(timeout: .seconds(60)) else { fatalError("not settled") }
      }
      if !warm {
        round.put = seconds
        note(store, &round)
        guard store.statistics().levels[0].pages == 0 else { fatalError("pages are left raw") }
      }
      let order = shuffled(pages.count, seed: seed)
      if !warm { round.bareDecode = cpu { bare.decodeAll(order) } }
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
      defer { page.deallocate() }
      let taking = try cpu { for index in order { try store.take(handles[index], into: page) } }
      if !warm { round.take = taking }
    }
    return round
  }

  static func note(_ store: Store, _ round: inout Round) {
    let statistics = store.statistics()
    let level = statistics.levels[1]
    round.packed = Double(level.chunkBytes) / Double(level.poolBytes)
    round.overheadBytes = Double(level.metadataBytes) / Double(max(1, level.pages))
  }

  static func shuffled(_ count: Int, seed: UInt64) -> [Int] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    var order = Array(0..<count)
    for index in stride(from: count - 1, to: 0, by: -1) {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      order.swapAt(index, Int(state % UInt64(index + 1)))
    }
    return order
  }

  /// CPU seconds of the whole process, all threads.
  static func cpu(_ body: () throws -> Void) rethrows -> Double {
    let before = processTime()
    try body()
    return processTime() - before
  }

  static func processTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  static func report(_ rounds: [Round], _ pages: Pages, _ options: Options) {
    func median(_ value: (Round) -> Double) -> Double {
      let sorted = rounds.map(value).sorted()
      return sorted[sorted.count / 2]
    }
    func spread(_ value: (Round) -> Double) -> String {
      let sorted = rounds.map(value).sorted()
      return String(format: "%.3f to %.3f", sorted[0], sorted[sorted.count - 1])
    }
    let perPage = 1e6 / Double(pages.count)
    let put = median { $0.put / $0.bareEncode }
    let take = median { $0.take / $0.bareDecode }
    if options.json {
      print(
        String(
          format:
            "{\"pages\":%d,\"rounds\":%d,\"bare_encode_us\":%.3f,\"put_us\":%.3f,\"put_ratio\":%.4f,\"bare_decode_us\":%.3f,\"take_us\":%.3f,\"take_ratio\":%.4f,\"packed\":%.4f,\"bytes_beyond_chunk\":%.2f}",
          pages.count, rounds.count, median(\.bareEncode) * perPage, median(\.put) * perPage, put,
          median(\.bareDecode) * perPage, median(\.take) * perPage, take, median(\.packed),
          median(\.overheadBytes)))
      return
    }
    print("engine cost: \(pages.count) pages of 4 KiB, one lz4 level, \(rounds.count) rounds, CPU time of all threads")
    print(String(format: "  encode  bare %.3f us   put  %.3f us   ratio %.3f", median(\.bareEncode) * perPage, median(\.put) * perPage, put), "(\(spread { $0.put / $0.bareEncode }))")
    print(String(format: "  decode  bare %.3f us   take %.3f us   ratio %.3f", median(\.bareDecode) * perPage, median(\.take) * perPage, take), "(\(spread { $0.take / $0.bareDecode }))")
    print(String(format: "  packed  %.2f %% (chunk bytes over pool bytes)", median(\.packed) * 100))
    print(String(format: "  beyond its chunk a page costs %.1f bytes of RAM", median(\.overheadBytes)))
  }
}

/// The pages of a file, in memory; those of one repeated word are left out, as a store encodes none of them.
struct Pages {
  let bytes: UnsafeMutableRawBufferPointer
  let count: Int

  init(file: String, most: Int) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
    let all = data.count / 4096
    bytes = .allocate(byteCount: min(all, most) * 4096, alignment: 4096)
    var kept = 0
    for index in 0..<all where kept < min(all, most) {
      let target = bytes.baseAddress! + kept * 4096
      data.withUnsafeBytes { target.copyMemory(from: $0.baseAddress! + index * 4096, byteCount: 4096) }
      if memcmp(target, target + 8, 4088) != 0 { kept += 1 }
    }
    count = kept
  }

  subscript(_ index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: bytes.baseAddress! + index * 4096, count: 4096)
  }
}

/// liblz4 by itself, called as the tier calls it; output one after the other in one buffer.
final class BareCodec {
  let pages: Pages
  let output: UnsafeMutablePointer<CChar>
  let state: UnsafeMutableRawPointer
  var places: [(offset: Int, length: Int32)]
  let page = UnsafeMutablePointer<CChar>.allocate(capacity: 4096)

  init(_ pages: Pages) {
    self.pages = pages
    output = .allocate(capacity: pages.count * 4200)
    memset(output, 1, pages.count * 4200)
    state = .allocate(byteCount: Int(LZ4_sizeofState()), alignment: 64)
    places = Array(repeating: (0, 0), count: pages.count)
  }

  func encodeAll() {
    var offset = 0
    for index in 0..<pages.count {
      let source = pages[index].baseAddress!.assumingMemoryBound(to: CChar.self)
      var length = LZ4_compress_fast_extState(state, source, output + offset, 4096, 4095, 1)
      if length == 0 {
        memcpy(output + offset, source, 4096)
        length = 4096
      }
      places[index] = (offset, length)
      offset += Int(length)
    }
  }

  func decodeAll(_ order: [Int]) {
    for index in order {
      let (offset, length) = places[index]
      if length == 4096 {
        memcpy(page, output + offset, 4096)
      } else {
        _ = LZ4_decompress_safe(output + offset, page, length, 4096)
      }
    }
  }
}

struct Options {
  var file = ""
  var tier = ""
  var rounds = 5
  var pages = 65536
  var workers: Int?
  var through = false
  var json = false

  init(_ arguments: [String]) throws {
    var rest = arguments.dropFirst()
    var names: [String] = []
    while let word = rest.popFirst() {
      switch word {
      case "--rounds": rounds = max(1, rest.popFirst().flatMap { Int($0) } ?? rounds)
      case "--pages": pages = max(1, rest.popFirst().flatMap { Int($0) } ?? pages)
      case "--workers": workers = rest.popFirst().flatMap { Int($0) }
      case "--through": through = true
      case "--json": json = true
      default: names.append(word)
      }
    }
    guard names.count == 2 else {
      FileHandle.standardError.write(
        Data("usage: engine-cost PAGES-FILE LZ4-TIER [--rounds N] [--pages N] [--workers N] [--through] [--json]\n".utf8))
      exit(2)
    }
    (file, tier) = (names[0], names[1])
  }

  func loadTier() throws -> TierTable {
    guard let handle = dlopen(tier, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
      let symbol = dlsym(handle, STOWAGE_TIER_ENTRY_NAME)
    else { throw PluginLoadFailure(description: String(cString: dlerror())) }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let descriptor = unsafeBitCast(symbol, to: Entry.self)(HostTable.shared) else {
      throw PluginLoadFailure(description: HostTable.lastError())
    }
    return try TierTable(descriptor: descriptor, file: tier)
  }
}

struct PluginLoadFailure: Error, CustomStringConvertible { var description: String }
