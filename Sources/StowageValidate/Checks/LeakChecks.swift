// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine
internal import Synchronization

/// What is left behind.
enum LeakChecks {
  static let all = [descriptors, threads, instances, mappings, contexts, calls, failures]

  private static let advice =
    "What open makes close ends, what thread_open makes thread_close ends; also when a call fails."

  /// One instance from open to close and nothing between, as that is the business of other checks.
  private static func openAndClose(_ loaded: LoadedTier) throws { try OpenTier(loaded, try loaded.table()).close() }

  /// One instance from open to close: a context, a page there and back.
  private static func live(_ loaded: LoadedTier) throws {
    let table = try loaded.table()
    let tier = try OpenTier(loaded, table)
    let context = try tier.context()
    let input = PlainRoom(3 * tier.pageSize)
    if table.role == .transform {
      let (output, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
      let object = tier.object(1, length: tier.pageSize)
      let (code, length) = tier.encode(
        context, object, input.base, output.base, room: tier.room(for: tier.pageSize), tier.sidecar(sidecar.base))
      if code == STOWAGE_OK {
        _ = tier.decode(context, object, output.base, length: length, input.base, tier.sidecar(sidecar.base))
      }
    } else {
      _ = tier.write(context, slot: 0, count: 1, input.base)
      _ = tier.read(context, slot: 0, count: 1, input.base)
    }
    tier.end(context)
    tier.close()
  }

  /// How often instances are opened: as often as fits into a second, so that tiers that open slowly do it less.
  private static func cycles(_ run: CheckRun, _ body: () throws -> Void) throws -> Int {
    let began = ContinuousClock.now
    for _ in 0..<4 { try body() }
    let each = max(.microseconds(1), (ContinuousClock.now - began) / 4)
    return min(run.times(2000), max(16, Int(Duration.milliseconds(run.times(500)) / each)))
  }

  private static func watch(_ run: CheckRun, _ what: String, allowed: Double, _ measure: @escaping () -> Int)
    -> GrowthWatch
  {
    GrowthWatch(run: run, what: what, measure: measure, allowed: allowed)
  }

  /// Opens and closes instances, and expects that nothing grows.
  /// - Parameters:
  ///   - most: times, however fast the tier is.
  ///   - life: one instance from open to close.
  private static func expectNone(
    _ run: CheckRun, _ what: String, allowed: Double, most: Int = .max, _ life: (LoadedTier) throws -> Void,
    _ measure: @escaping () -> Int
  ) throws {
    let loaded = try run.load()
    let count = min(most, try cycles(run) { try life(loaded) })
    try watch(run, what, allowed: allowed, measure)
      .expectNone(count, "An instance, opened and closed,") { try life(loaded) }
  }

  static let descriptors = Check(
    "leak-descriptors", .leaks, needs: ["life-again"],
    proves: "Opening and closing instances leaves no descriptor open.",
    advice: "Close every file, socket and pipe that you open. \(advice)"
  ) { run in
    try expectNone(run, "descriptors", allowed: 0, most: 400, live) { Footprint.descriptors }
  }

  static let threads = Check(
    "leak-threads", .leaks, needs: ["life-again"],
    proves: "Opening and closing instances leaves no thread running.",
    advice: "Tell every thread that you start to end, and join it in close. \(advice)"
  ) { run in
    // A thread that was joined may still be listed for a moment.
    try expectNone(run, "threads", allowed: 0.2, most: 100, live) { Footprint.threads }
  }

  static let instances = Check(
    "leak-memory", .leaks, needs: ["host-memory-freed", "leak-threads"], timeLimit: .seconds(40),
    proves: "Opening and closing instances thousands of times takes no more memory from malloc each time.",
    advice: advice
  ) { run in
    try expectNone(run, "bytes of malloc", allowed: 4, openAndClose) { Footprint.heapBytes }
  }

  static let mappings = Check(
    "leak-mappings", .leaks, needs: ["leak-memory"], timeLimit: .seconds(40),
    proves: "Opening and closing instances thousands of times takes no more address space each time.",
    advice: "Unmap what you map. \(advice)"
  ) { run in
    try expectNone(run, "bytes of address space", allowed: 512, openAndClose) { Footprint.mappedBytes }
  }

  static let contexts = Check(
    "leak-contexts", .leaks, needs: ["leak-mappings"], timeLimit: .seconds(40),
    proves: "Contexts that come and go leave nothing behind, neither with the host nor with malloc.",
    advice: advice
  ) { run in
    let loaded = try run.load()
    let tier = try OpenTier(loaded, try loaded.table())
    guard tier.hasContexts else { throw run.notApplicable("the tier has no contexts") }
    try watch(run, "bytes", allowed: 4) { Footprint.heapBytes }
      .expectNone(run.times(4000), "A context, opened and closed,") { tier.end(try tier.context()) }
    tier.close()
  }

  static let calls = Check(
    "leak-calls", .leaks, needs: ["leak-mappings"], timeLimit: .seconds(40),
    proves: "Thousands of pages there and back leave nothing behind, neither with the host nor with malloc.",
    advice: "What a call takes it gives back before it returns. \(advice)"
  ) { run in
    let loaded = try run.load()
    let watch = watch(run, "bytes", allowed: 4) { Footprint.heapBytes }
    if try loaded.table().role == .transform {
      let bench = try TransformBench(try loaded.open(.transform))
      let encodings = try SamplePages.encodings(bench)
      try watch.expectNone(run.times(200), "A round of pages, encoded and decoded,") {
        for encoding in encodings {
          _ = bench.attempt(encoding.page, encoding.object, room: bench.tier.room(for: encoding.page.count))
          _ = bench.decode(encoding)
        }
      }
      bench.close()
    } else {
      let bench = try BackingBench(try loaded.open(.backing))
      try watch.expectNone(run.times(400), "A write, a read and a trim") {
        // What comes back is the business of other checks.
        _ = bench.tier.write(bench.context, slot: 0, count: 1, bench.room.base)
        _ = bench.tier.read(bench.context, slot: 0, count: 1, bench.room.base)
        _ = bench.tier.trim(bench.context, slot: 0, count: 1)
      }
      bench.close()
    }
  }

  static let failures = Check(
    "leak-failures", .leaks, needs: ["leak-calls"], timeLimit: .seconds(40),
    proves: "Thousands of calls that fail leave nothing behind, neither with the host nor with malloc.",
    advice: "Free what a call has taken on every way out of it. \(advice)"
  ) { run in
    let loaded = try run.load()
    let watch = watch(run, "bytes", allowed: 4) { Footprint.heapBytes }
    if try loaded.table().role == .transform {
      let bench = try TransformBench(try loaded.open(.transform))
      let encodings = try SamplePages.encodings(bench)
      let damaged = encodings.flatMap { encoding in
        [Damage.cut, .zeroed, .noiseAtStart, .empty].map { $0.done(to: encoding, &run.random) }
      }
      let isFixed = bench.tier.table.isLengthPreserving
      try watch.expectNone(run.times(100), "A round of damaged pages, and of too little room,") {
        for encoding in damaged { _ = bench.decode(encoding) }
        for encoding in encodings where !isFixed {
          _ = bench.attempt(encoding.page, encoding.object, room: encoding.bytes.count / 2)
        }
      }
      bench.close()
    } else {
      let bench = try BackingBench(try loaded.open(.backing))
      let total = UInt64(try bench.tier.capacity())
      try watch.expectNone(run.times(2000), "A read past the end") {
        _ = bench.tier.readRaw(bench.context, slot: total, count: 1, bench.room.base)
      }
      bench.close()
    }
  }
}
