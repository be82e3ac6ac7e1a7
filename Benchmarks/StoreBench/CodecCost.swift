// SPDX-License-Identifier: Apache-2.0
import StowageEngine

/// What the store adds to a bare codec: the same pages in one process, in turn, some hundred at a time. Both go through
/// all pages in the same order, half of the set apart, so that neither finds in the cache what the other has just read.
///
/// A put counts until the page is encoded: CPU time of all threads, with the raw pages drained at the end of each round.
struct CodecCost {
  private let options: BenchOptions
  private let tiers: Tiers
  private static let block = 256

  init(_ options: BenchOptions) {
    self.options = options
    tiers = Tiers(folder: options.plugins)
  }

  /// How pages come to be encoded.
  enum Way: String {
    /// The store has no room for raw pages: the caller's thread encodes.
    case straight
    /// Raw pages stop in the store first, and its own threads encode them.
    case raw
    /// As `straight`, with end-to-end checksums.
    case checked
  }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.pages)
    report.fact("pages", pages.count)
    let scale = options.quick ? 8 : 1
    let all = pages.count / (options.quick ? 4 : 1)
    for way in [Way.straight, .raw, .checked] { try measure(BareLZ4(), pages, all, way, &report) }
    for level in [-1, 1, 3] as [Int32] {
      try measure(try BareZstd(level: level), pages, min(pages.count, 32768 / scale), .straight, &report)
    }
    try measure(try BareZstd(level: 19), pages, min(pages.count, 1024 / min(scale, 4)), .straight, &report)
    try measure(BareBrotli(quality: 5), pages, min(pages.count, 8192 / scale), .straight, &report)
    try measure(BareBrotli(quality: 11), pages, min(pages.count, options.quick ? 64 : 128), .straight, &report)
    try measure(try BareGCM(), pages, min(pages.count, 32768 / scale), .straight, &report)
  }

  private func measure(
    _ codec: BareCodec, _ pages: Pages, _ wanted: Int, _ way: Way, _ report: inout Report
  ) throws {
    do {
      try measureRounds(codec, pages, wanted, way, &report)
    } catch let error as StoreError {
      report.missing("\(codec.name) as one level of a store, \(way.rawValue)", "\(error)")
    }
  }

  private func measureRounds(
    _ codec: BareCodec, _ pages: Pages, _ wanted: Int, _ way: Way, _ report: inout Report
  ) throws {
    let count = wanted / Self.block * Self.block > 0 ? wanted / Self.block * Self.block : wanted
    let store = try openStore(codec, count, way)
    defer { store.close() }
    let bare = BareOutput(codec, pages, count: count)
    var rounds = Rounds()
    // The first warms the memory of both and is not counted.
    for round in 0...options.rounds {
      let measured = try oneRound(store, bare, pages, count, way, seed: UInt64(round))
      if round > 0 { rounds.add(measured) }
    }
    let id = codec.name.replacing(" ", with: "") + "." + way.rawValue
    let perPage = 1e6 / Double(count)
    let scaled = { (values: [Double]) in values.map { $0 * perPage } }
    report.pair("codec.\(id).put", unit: "us", ours: scaled(rounds.put), peer: scaled(rounds.encode))
    report.pair("codec.\(id).take", unit: "us", ours: scaled(rounds.take), peer: scaled(rounds.decode))
    report.figure("codec.\(id).ratio", unit: "x", [Double(count * pageBytes) / Double(max(1, bare.bytes))])
    report.fact("codec.\(id).pages", count)
    if codec.tier != "aes-gcm" {
      report.figure("codec.\(id).packed", unit: "%", rounds.packed)
      report.figure("codec.\(id).beyond", unit: "bytes", rounds.beyond)
    }
  }

  private func openStore(_ codec: BareCodec, _ count: Int, _ way: Way) throws -> Store {
    var configuration = StoreConfiguration(memoryLimit: count * pageBytes * 5 / 4 + (96 << 20))
    configuration.storeLimit = way == .raw ? 4 << 20 : 0
    configuration.checksEndToEnd = way == .checked
    let options: [String: TierOptionValue] = codec.option.map { [$0.key: .number($0.value)] } ?? [:]
    let tier = try tiers.tier(codec.tier, limit: count * pageBytes * 9 / 8 + (16 << 20), options: options)
    return try Store(configuration: configuration, chain: [tier])
  }

  private struct Rounds {
    var put: [Double] = [], encode: [Double] = [], take: [Double] = [], decode: [Double] = []
    var packed: [Double] = [], beyond: [Double] = []

    mutating func add(_ one: OneRound) {
      put.append(one.put)
      encode.append(one.encode)
      take.append(one.take)
      decode.append(one.decode)
      packed.append(one.packed)
      beyond.append(one.beyond)
    }
  }

  private struct OneRound { var put = 0.0, encode = 0.0, take = 0.0, decode = 0.0, packed = 0.0, beyond = 0.0 }

  private func oneRound(
    _ store: Store, _ bare: BareOutput, _ pages: Pages, _ count: Int, _ way: Way, seed: UInt64
  ) throws -> OneRound {
    var result = OneRound()
    var handles = [Handle](repeating: Handle(rawValue: 0), count: count)
    let blocks = stride(from: 0, to: count, by: Self.block).map { $0..<min(count, $0 + Self.block) }
    if way == .raw { try store.setLimit(4 << 20, level: 0) }
    bare.begin()
    var meter = StoreMeter()
    meter.begin()
    for place in blocks.indices {
      result.encode += meter.aside { bare.encode(blocks[place]) }
      for index in blocks[(place + blocks.count / 2) % blocks.count] {
        handles[index] = try store.put(pages[index], tag: UInt64(index))
      }
    }
    if way == .raw { try store.drainRawPages() }
    meter.end()
    result.put = meter.total
    try store.settle()
    note(store, &result)
    var dice = Dice(seed: seed)
    let order = dice.shuffled(count)
    let ours = warmBuffer(pages: Self.block)
    let theirs = warmBuffer(pages: Self.block)
    defer {
      ours.deallocate()
      theirs.deallocate()
    }
    meter = StoreMeter()
    meter.begin()
    for place in blocks.indices {
      let range = blocks[place]
      var isRight = true
      result.decode += meter.aside {
        for (slot, index) in order[range].enumerated() {
          isRight = bare.decode(index, into: theirs.baseAddress! + slot * pageBytes) && isRight
        }
      }
      guard isRight else { throw Failure("\(bare.codec.name) by itself could not decode what it encoded") }
      let other = blocks[(place + blocks.count / 2) % blocks.count]
      for (slot, index) in order[other].enumerated() {
        let target = UnsafeMutableRawBufferPointer(start: ours.baseAddress! + slot * pageBytes, count: pageBytes)
        try store.take(handles[index], into: target)
      }
      try meter.aside {
        for (slot, index) in order[range].enumerated() {
          try pages.check(index, theirs.baseAddress! + slot * pageBytes, bare.codec.name)
        }
        for (slot, index) in order[other].enumerated() {
          try pages.check(index, ours.baseAddress! + slot * pageBytes, "the store")
        }
      }
    }
    meter.end()
    result.take = meter.total
    return result
  }

  private func note(_ store: Store, _ result: inout OneRound) {
    let level = store.statistics().levels[1]
    result.packed = 100 * Double(level.chunkBytes) / Double(max(1, level.poolBytes))
    result.beyond = Double(level.metadataBytes) / Double(max(1, level.pages))
  }
}
