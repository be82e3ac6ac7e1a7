// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine

/// A sum that tells a page's contents from another's, at little cost beside a page fault.
private func digest(_ page: UnsafeRawPointer) -> UInt64 {
  let words = page.assumingMemoryBound(to: UInt64.self)
  var (first, second): (UInt64, UInt64) = (1, 0)
  for index in 0..<pageBytes / 8 {
    first = first &+ words[index] &* 0x9E37_79B9_7F4A_7C15
    second = second &+ first
  }
  return first ^ second &* 31
}

/// Pages in ordinary memory, more of it than the memory cgroup that this process enters allows; they are touched at random.
struct SwapPressure {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    // First of all, so that every page is charged to it.
    try Data("\(getpid())".utf8).write(to: URL(fileURLWithPath: options.cgroup + "/cgroup.procs"))
    let count = options.pages
    let isFirst = FileManager.default.fileExists(atPath: options.cgroup + "/memory.limit_in_bytes")
    // Only what the pages take is held down: code, stack and the sums are beside it.
    var sums = [UInt64](repeating: 1, count: count)
    let usage = try String(
      contentsOfFile: options.cgroup + (isFirst ? "/memory.usage_in_bytes" : "/memory.current"), encoding: .utf8)
    let used = Int(usage.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    try Data("\(used + options.resident)".utf8).write(
      to: URL(fileURLWithPath: options.cgroup + (isFirst ? "/memory.limit_in_bytes" : "/memory.max")))
    let memory = try filled(count)
    for index in 0..<count { sums[index] = digest(memory + index * pageBytes) }
    var dice = Dice(seed: options.seed)
    let accesses = options.quick ? 4096 : 32768
    var times: [Double] = []
    for round in 0...options.rounds {
      var wrong = 0
      let began = wallSeconds()
      for _ in 0..<accesses {
        let index = dice.below(count)
        // A store makes it dirty, as an owner of pages would: so what is evicted has to be written.
        let page = memory + index * pageBytes
        if digest(page) != sums[index] { wrong += 1 }
        let word = page.load(fromByteOffset: 64, as: UInt64.self)
        page.storeBytes(of: word, toByteOffset: 64, as: UInt64.self)
      }
      guard wrong == 0 else { throw Failure("\(wrong) pages came back from swap with other contents") }
      if round > 0 { times.append((wallSeconds() - began) / Double(accesses) * 1e6) }
    }
    report.figure("swap.access", unit: "us", times)
    report.fact("pages", count)
  }

  /// The pages of the file in anonymous memory, read past the page cache, which would count too.
  private func filled(_ count: Int) throws -> UnsafeMutableRawPointer {
    guard let memory = mmap(nil, count * pageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      memory != MAP_FAILED
    else { throw Failure("no memory for \(count) pages") }
    var descriptor = open(options.file, O_RDONLY | 0o40000)
    if descriptor < 0 { descriptor = open(options.file, O_RDONLY) }
    guard descriptor >= 0 else { throw Failure(file: options.file) }
    defer { close(descriptor) }
    // By way of a buffer: pages that the kernel reads into are pinned meanwhile, and could not be swapped out.
    let buffer = warmBuffer(pages: 16)
    defer { buffer.deallocate() }
    var offset = 0
    while offset < count * pageBytes {
      let length = min(buffer.count, count * pageBytes - offset)
      guard pread(descriptor, buffer.baseAddress!, length, offset) == length else {
        throw Failure("\(options.file): too short, or \(String(cString: strerror(errno)))")
      }
      memcpy(memory + offset, buffer.baseAddress!, length)
      offset += length
    }
    return memory
  }
}

/// The same with a store: as many pages raw as the cgroup leaves resident, the others in one lz4 level. An access takes a
/// page, looks at all of it and puts it back.
struct StorePressure {
  private let options: BenchOptions

  init(_ options: BenchOptions) { self.options = options }

  func run(_ report: inout Report) throws {
    let pages = try Pages(file: options.file, most: options.pages)
    var configuration = StoreConfiguration(memoryLimit: pages.count * pageBytes + options.resident + (64 << 20))
    configuration.storeLimit = options.resident
    let lz4 = try Tiers(folder: options.plugins).tier("lz4", limit: pages.count * pageBytes)
    let store = try Store(configuration: configuration, chain: [lz4])
    defer { store.close() }
    var handles: [Handle] = []
    for index in 0..<pages.count { handles.append(try store.put(pages[index], tag: 0)) }
    try store.settle()
    let sums = (0..<pages.count).map { digest(pages[$0].baseAddress!) }
    let buffer = warmBuffer(pages: 1)
    defer { buffer.deallocate() }
    var dice = Dice(seed: options.seed)
    let accesses = options.quick ? 4096 : 32768
    var times: [Double] = []
    for round in 0...options.rounds {
      let began = wallSeconds()
      for _ in 0..<accesses {
        let index = dice.below(pages.count)
        try store.take(handles[index], into: buffer)
        guard digest(buffer.baseAddress!) == sums[index] else {
          throw Failure("page \(index) came back from the store with other contents")
        }
        handles[index] = try store.put(UnsafeRawBufferPointer(buffer), tag: 0)
      }
      if round > 0 { times.append((wallSeconds() - began) / Double(accesses) * 1e6) }
    }
    report.figure("swap.store", unit: "us", times)
    report.fact("raw", store.statistics().levels[0].pages)
  }
}
