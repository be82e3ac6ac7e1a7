// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// Cost of an operation and RAM of a page in stores of very different sizes, all open at once and measured in turn: pages
/// at random are taken and others put in their place. Three kinds: of one word, small ones (one word differs, so that
/// a chunk is some 30 bytes), and captured ones as far as they fit.
struct Scale {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  enum Kind: String { case same, small, real }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: 65536)
    let sizes = options.sizes.sorted()
    try measure(.same, sizes, pages, &report)
    try measure(.small, sizes, pages, &report)
    try measure(.real, sizes.filter { $0 <= 1_000_000 }, pages, &report)
  }

  private final class Subject {
    let size: Int
    let store: Store
    var handles: [Handle]
    var content: [UInt32]
    var ram = 0.0
    var fill = 0.0
    var put: [Double] = [], take: [Double] = [], peek: [Double] = []

    init(size: Int, store: Store) {
      self.size = size
      self.store = store
      handles = Array(repeating: Handle(rawValue: 0), count: size)
      content = (0..<size).map { UInt32(truncatingIfNeeded: $0) }
    }
  }

  private func measure(_ kind: Kind, _ sizes: [Int], _ pages: Pages, _ report: inout Report) throws {
    let batch = warmBuffer(pages: 64)
    defer { batch.deallocate() }
    var subjects: [Subject] = []
    for size in sizes {
      let before = proportionalSetSize()
      let bytes = switch kind {
      case .same: 64
      case .small: 160
      case .real: 2600
      }
      var configuration = StoreConfiguration(memoryLimit: size * bytes + (128 << 20))
      configuration.storeLimit = 0
      let lz4 = try Tiers(folder: options.plugins).tier("lz4", limit: size * bytes)
      let subject = Subject(size: size, store: try Store(configuration: configuration, chain: [lz4]))
      var meter = StoreMeter()
      meter.begin()
      for start in stride(from: 0, to: size, by: 64) {
        let count = min(64, size - start)
        meter.aside { for slot in 0..<count { make(kind, start + slot, pages, batch.baseAddress! + slot * pageBytes) } }
        for slot in 0..<count {
          subject.handles[start + slot] = try subject.store.put(page(batch, slot), tag: UInt64(start + slot))
        }
      }
      try subject.store.settle()
      meter.end()
      subject.fill = meter.total / Double(size) * 1e6
      // Without what the benchmark itself keeps for each page.
      subject.ram = Double(proportionalSetSize() - before) / Double(size) - 12
      subjects.append(subject)
    }
    defer { for subject in subjects { subject.store.close() } }
    for round in 0...options.rounds {
      for subject in subjects { try churn(kind, subject, pages, batch, seed: UInt64(round), isCounted: round > 0) }
    }
    for operation in ["put", "take", "peek"] {
      let values = { (subject: Subject) in
        operation == "put" ? subject.put : operation == "take" ? subject.take : subject.peek
      }
      for subject in subjects.dropFirst() {
        report.pair(
          "scale.\(kind.rawValue).\(operation).\(subject.size)", unit: "us", ours: values(subject),
          peer: values(subjects[0]))
      }
      report.line("scale", "\(operation), \(kind.rawValue)", subjects.map { [Double($0.size), median(values($0))] })
    }
    report.line("scale.ram", kind.rawValue, subjects.map { [Double($0.size), $0.ram] })
    for subject in subjects {
      report.figure("scale.\(kind.rawValue).ram.\(subject.size)", unit: "bytes", [subject.ram])
      report.figure("scale.\(kind.rawValue).fill.\(subject.size)", unit: "us", [subject.fill])
    }
  }

  private func churn(
    _ kind: Kind, _ subject: Subject, _ pages: Pages, _ batch: UnsafeMutableRawBufferPointer, seed: UInt64,
    isCounted: Bool
  ) throws {
    var dice = Dice(seed: seed)
    let operations = options.quick ? 32768 : 131072
    let expected = warmBuffer(pages: 1)
    defer { expected.deallocate() }
    var peeking = 0.0, taking = 0.0
    var meter = StoreMeter()
    meter.begin()
    for _ in 0..<operations / 64 {
      var places: [Int] = []
      // Looked up here: a miss in the benchmark's own table is no cost of the store.
      var handles: [Handle] = []
      meter.aside {
        while places.count < 64 {
          let place = dice.below(subject.size)
          if !places.contains(place) { places.append(place) }
        }
        handles = places.map { subject.handles[$0] }
      }
      // Others are peeked at than are taken: the first call on a page brings it into the cache.
      peeking += try meter.aside {
        for slot in stride(from: 0, to: 64, by: 2) {
          try subject.store.peek(handles[slot], into: page(batch, slot))
        }
      }
      taking += try meter.aside {
        for slot in stride(from: 1, to: 64, by: 2) {
          try subject.store.take(handles[slot], into: page(batch, slot))
        }
      }
      try meter.aside {
        for (slot, place) in places.enumerated() {
          make(kind, Int(subject.content[place]), pages, expected.baseAddress!)
          guard memcmp(expected.baseAddress!, batch.baseAddress! + slot * pageBytes, pageBytes) == 0 else {
            throw Failure("a page came back with other contents from a store of \(subject.size)")
          }
          guard slot % 2 == 1 else { continue }
          subject.content[place] = UInt32(truncatingIfNeeded: dice.below(1 << 30))
          make(kind, Int(subject.content[place]), pages, batch.baseAddress! + slot * pageBytes)
        }
      }
      for (slot, place) in places.enumerated() where slot % 2 == 1 {
        handles[slot] = try subject.store.put(page(batch, slot), tag: UInt64(place))
      }
      meter.aside {
        for (slot, place) in places.enumerated() where slot % 2 == 1 { subject.handles[place] = handles[slot] }
      }
    }
    meter.end()
    guard isCounted else { return }
    let each = 1e6 / Double(operations / 2)
    subject.put.append(meter.total * each)
    subject.take.append(taking * each)
    subject.peek.append(peeking * each)
  }

  private func make(_ kind: Kind, _ number: Int, _ pages: Pages, _ target: UnsafeMutableRawPointer) {
    switch kind {
    case .same:
      let word = UInt64(number + 1)
      fill(target, word)
    case .small:
      memset(target, 0, pageBytes)
      target.storeBytes(of: UInt64(number + 1) &* 0x9E37_79B9_7F4A_7C15, as: UInt64.self)
    case .real:
      memcpy(target, pages[number % pages.count].baseAddress!, pageBytes)
    }
  }

  private func fill(_ target: UnsafeMutableRawPointer, _ word: UInt64) {
    let words = target.assumingMemoryBound(to: UInt64.self)
    for index in 0..<pageBytes / 8 { words[index] = word }
  }

  private func page(_ buffer: UnsafeMutableRawBufferPointer, _ slot: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: buffer.baseAddress! + slot * pageBytes, count: pageBytes)
  }

  private func page(_ buffer: UnsafeMutableRawBufferPointer, _ slot: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: buffer.baseAddress! + slot * pageBytes, count: pageBytes)
  }
}
