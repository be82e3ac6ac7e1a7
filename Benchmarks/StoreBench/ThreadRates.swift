// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Foundation
import StowageEngine
import Synchronization

/// Puts and takes a second of one store from one thread and from more, each with pages of its own, through one lz4 level
/// with the raw store passed by, so that the calling threads do the work.
struct ThreadRates {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.quick ? options.pages / 4 : options.pages)
    let counts = [1, 2, 4, 8]
    var puts = [Int: [Double]](), takes = [Int: [Double]]()
    var barePuts = [Int: [Double]]()
    for round in 0...options.rounds {
      for count in counts {
        let (put, take) = try measure(pages, threads: count, seed: UInt64(round))
        let bare = try measureBare(pages, threads: count)
        guard round > 0 else { continue }
        puts[count, default: []].append(put)
        takes[count, default: []].append(take)
        barePuts[count, default: []].append(bare)
      }
    }
    report.pair("threads.put", unit: "pages/s", ours: puts[2]!, peer: puts[1]!)
    report.pair("threads.take", unit: "pages/s", ours: takes[2]!, peer: takes[1]!)
    report.pair("threads.bare", unit: "pages/s", ours: barePuts[2]!, peer: barePuts[1]!)
    report.pair("threads.put4", unit: "pages/s", ours: puts[4]!, peer: puts[1]!)
    report.pair("threads.take4", unit: "pages/s", ours: takes[4]!, peer: takes[1]!)
    report.line("threads", "put", counts.map { [Double($0), median(puts[$0]!)] })
    report.line("threads", "take", counts.map { [Double($0), median(takes[$0]!)] })
    report.line("threads", "bare lz4 encode", counts.map { [Double($0), median(barePuts[$0]!)] })
  }

  /// Pages a second by the wall.
  private func measure(_ pages: Pages, threads: Int, seed: UInt64) throws -> (put: Double, take: Double) {
    var configuration = StoreConfiguration(memoryLimit: pages.count * pageBytes + (96 << 20))
    configuration.storeLimit = 0
    let lz4 = try Tiers(folder: options.plugins).tier("lz4", limit: pages.count * pageBytes)
    let store = try Store(configuration: configuration, chain: [lz4])
    defer { store.close() }
    let handles = Shared(count: pages.count)
    let share = pages.count / threads
    // Once through before, for warm memory.
    for index in 0..<pages.count { handles[index] = try store.put(pages[index], tag: 0) }
    for index in 0..<pages.count { try store.discard(handles[index]) }
    let putting = try together(threads) { thread in
      for index in thread * share..<(thread + 1) * share {
        handles[index] = try store.put(pages[index], tag: UInt64(index))
      }
    }
    let taking = try together(threads) { thread in
      var dice = Dice(seed: seed &* 16 &+ UInt64(thread))
      let order = dice.shuffled(share)
      let buffer = warmBuffer(pages: 1)
      defer { buffer.deallocate() }
      for place in order {
        let index = thread * share + place
        try store.take(handles[index], into: buffer)
        try pages.check(index, buffer.baseAddress!, "the store with \(threads) threads")
      }
    }
    return (Double(share * threads) / putting, Double(share * threads) / taking)
  }

  /// The machine's own limit: the bare codec on as many threads.
  private func measureBare(_ pages: Pages, threads: Int) throws -> Double {
    let share = pages.count / threads
    let seconds = try together(threads) { thread in
      let codec = BareLZ4()
      let output = warmBuffer(pages: 2)
      defer { output.deallocate() }
      for index in thread * share..<(thread + 1) * share {
        _ = codec.encode(pages[index].baseAddress!, into: output.baseAddress!)
      }
    }
    return Double(share * threads) / seconds
  }

  /// Handles that threads write at places of their own.
  private struct Shared: @unchecked Sendable {
    private let handles: UnsafeMutablePointer<Handle>
    init(count: Int) {
      handles = .allocate(capacity: count)
      handles.initialize(repeating: Handle(rawValue: 0), count: count)
    }
    subscript(_ index: Int) -> Handle {
      get { handles[index] }
      nonmutating set { handles[index] = newValue }
    }
  }
}

/// Runs a body on so many threads at once.
/// - Returns: seconds by the wall, from the first that began to the last that ended.
func together(_ threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws -> Double {
  let gate = Gate()
  let group = DispatchGroup()
  for number in 0..<threads {
    group.enter()
    let thread = Thread { @Sendable in
      gate.wait()
      let began = wallSeconds()
      let result = Result { try body(number) }
      gate.note(began, wallSeconds(), result)
      group.leave()
    }
    thread.start()
  }
  gate.open(threads)
  group.wait()
  return try gate.seconds()
}

/// Lets threads begin together, and keeps when they began and ended.
private final class Gate: Sendable {
  private struct State: ~Copyable {
    var first = Double.infinity
    var last = 0.0
    var failure: (any Error)?
  }
  private let waiting = Atomic<Int>(0)
  private let isOpen = Atomic<Bool>(false)
  private let state = Mutex(State())

  func wait() {
    waiting.add(1, ordering: .acquiringAndReleasing)
    while !isOpen.load(ordering: .acquiring) { sched_yield() }
  }

  func open(_ threads: Int) {
    while waiting.load(ordering: .acquiring) < threads { usleep(100) }
    isOpen.store(true, ordering: .releasing)
  }

  func note(_ began: Double, _ ended: Double, _ result: Result<Void, any Error>) {
    state.withLock {
      $0.first = min($0.first, began)
      $0.last = max($0.last, ended)
      if case .failure(let error) = result { $0.failure = error }
    }
  }

  func seconds() throws -> Double {
    try state.withLock {
      if let failure = $0.failure { throw failure }
      return $0.last - $0.first
    }
  }
}
