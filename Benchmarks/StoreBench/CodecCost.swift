// SPDX-License-Identifier: Apache-2.0
import StowageEngine

/// What the store adds to a bare codec: the same pages in one process, in turn.
///
/// A put counts until the page is encoded: CPU time of all threads, with the raw pages drained at the end of each round.
struct CodecCost {
  private let options: BenchOptions
  private let tiers: Tiers

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
    let count = wanted < Turns.length ? wanted : wanted / Turns.length * Turns.length
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
    let handles = try putAll(store, bare, pages, count, way, &result)
    try store.settle()
    note(store, &result)
    try takeAll(store, bare, pages, handles, seed: seed, &result)
    return result
  }

  private func putAll(
    _ store: Store, _ bare: BareOutput, _ pages: Pages, _ count: Int, _ way: Way, _ result: inout OneRound
  ) throws -> [Handle] {
    var handles = [Handle](repeating: Handle(rawValue: 0), count: count)
    let turns = Turns(count: count)
    if way == .raw { try store.setLimit(4 << 20, level: 0) }
    bare.begin()
    var meter = StoreMeter()
    meter.begin()
    for turn in turns {
      result.encode += meter.aside { bare.encode(turn.peers) }
      for index in turn.ours { handles[index] = try store.put(pages[index], tag: UInt64(index)) }
    }
    if way == .raw { try store.drainRawPages() }
    meter.end()
    result.put = meter.total
    return handles
  }

  private func takeAll(
    _ store: Store, _ bare: BareOutput, _ pages: Pages, _ handles: [Handle], seed: UInt64, _ result: inout OneRound
  ) throws {
    var dice = Dice(seed: seed)
    let order = dice.shuffled(handles.count)
    let turns = Turns(count: handles.count)
    let ours = TurnBuffer(), theirs = TurnBuffer()
    defer {
      ours.deallocate()
      theirs.deallocate()
    }
    var meter = StoreMeter()
    meter.begin()
    for turn in turns {
      let (peers, mine) = (order[turn.peers], order[turn.ours])
      var isRight = true
      result.decode += meter.aside {
        for (slot, index) in peers.enumerated() {
          isRight = bare.decode(index, into: theirs[slot].baseAddress!) && isRight
        }
      }
      guard isRight else { throw Failure("\(bare.codec.name) by itself could not decode what it encoded") }
      for (slot, index) in mine.enumerated() { try store.take(handles[index], into: ours[slot]) }
      try meter.aside {
        try theirs.check(peers, pages, bare.codec.name)
        try ours.check(mine, pages, "the store")
      }
    }
    meter.end()
    result.take = meter.total
  }

  private func note(_ store: Store, _ result: inout OneRound) {
    let level = store.statistics().levels[1]
    result.packed = 100 * Double(level.chunkBytes) / Double(max(1, level.poolBytes))
    result.beyond = Double(level.metadataBytes) / Double(max(1, level.pages))
  }
}
