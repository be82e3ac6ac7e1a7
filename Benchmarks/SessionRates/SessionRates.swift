// SPDX-License-Identifier: Apache-2.0
//
// How fast a store is suspended and resumed, beside plain writing and reading of as many bytes on the same disk, with the
// same flags, in the same run; and how long a resumed store takes to its first page.
//
//   session-rates PAGES-FILE PLUGINS FOLDER [--sizes MIB,MIB] [--rounds N] [--cipher] [--json]
import BenchSupport
import Foundation
import StowageEngine

@main
enum SessionRates {
  static func main() {
    runBenchmark("session-rates") {
      let options = try Options(CommandLine.arguments)
      let pages = try Pages(file: options.file, most: 65536)
      for size in options.sizes {
        try report(size, (0..<options.rounds).map { _ in try measure(size, pages, options) }, options)
      }
    }
  }

  struct Round {
    var bytes = 0.0
    var indexBytes = 0.0
    var suspend = 0.0
    var plainWrite = 0.0
    var firstPage = 0.0
    var preload = 0.0
    var preloadBytes = 0.0
    var plainRead = 0.0
    var pagesLeft = 0
    var suspendRatio: Double { plainWrite / suspend }
    var resumeRatio: Double { plainRead / preload }
  }

  /// - Parameter size: MiB of pages, before they are compressed.
  static func measure(_ size: Int, _ pages: Pages, _ options: Options) throws -> Round {
    var result = Round()
    let file = options.folder + "/session-rates.swap"
    let data = PlainFile(name: options.folder + "/session-rates.plain")
    for name in [file, data.name] { unlink(name) }
    defer { for name in [file, data.name] { unlink(name) } }
    let handles = try suspend(file, size, pages, options, &result)
    result.plainWrite = try data.write(Int(result.bytes))
    try resume(file, size, handles, pages, options, &result)
    result.plainRead = try data.read(Int(result.preloadBytes))
    return result
  }

  static func suspend(
    _ file: String, _ size: Int, _ pages: Pages, _ options: Options, _ result: inout Round
  ) throws -> [Handle] {
    let store = try open(file, size, options, .create(replacing: false))
    let handles = try (0..<size * 256).map { try store.put(pages[$0 % pages.count], tag: UInt64($0)) }
    _ = store.waitUntilSettled(timeout: .seconds(120))
    let began = wallSeconds()
    let report = try store.suspend()
    // The session is safe, and the store closed; its memory goes with the object, later.
    result.suspend = withExtendedLifetime(store) { wallSeconds() - began }
    result.bytes = Double(report.bytesWritten)
    result.indexBytes = Double(report.indexBytes)
    return handles
  }

  static func resume(
    _ file: String, _ size: Int, _ handles: [Handle], _ pages: Pages, _ options: Options, _ result: inout Round
  ) throws {
    let page = warmBuffer(pages: 1)
    defer { page.deallocate() }
    let began = wallSeconds()
    let store = try open(file, size, options, .resume(force: false))
    // The middle one: neither first nor last in anything.
    let middle = handles.count / 2
    try store.peek(handles[middle], into: page)
    result.firstPage = wallSeconds() - began
    try pages.check(middle % pages.count, page.baseAddress!, "the session, as the first page,")
    let loaded = try store.preload()
    // From the beginning: opening and the index are in it, and the index's bytes on both sides.
    result.preload = wallSeconds() - began
    result.preloadBytes = Double(loaded.bytesRead) + result.indexBytes
    result.pagesLeft = loaded.pagesLeft
    for index in stride(from: 0, to: handles.count, by: 61) {
      try store.peek(handles[index], into: page)
      try pages.check(index % pages.count, page.baseAddress!, "the session")
    }
    store.close()
  }

  static func open(_ file: String, _ size: Int, _ options: Options, _ start: SessionConfiguration.Start) throws -> Store
  {
    var configuration = StoreConfiguration(memoryLimit: (size + 64) << 20)
    configuration.storeLimit = 8 << 20
    configuration.session = SessionConfiguration(name: "rates", start: start)
    let tiers = Tiers(folder: options.plugins)
    var chain = [try tiers.tier("lz4", limit: size << 20)]
    if options.hasCipher {
      chain.append(try tiers.tier("aes-gcm", limit: 0, options: ["key-file": .text(try options.keyFile())]))
    }
    let room = Int64((size + 64) << 20)
    chain.append(try tiers.tier("swapfile", options: ["path": .text(file), "size": .number(room)]))
    return try Store(configuration: configuration, chain: chain)
  }

  static func report(_ size: Int, _ rounds: [Round], _ options: Options) throws {
    func middle(_ value: (Round) -> Double) -> Double { median(rounds.map(value)) }
    func spread(_ value: (Round) -> Double) -> String {
      let sorted = rounds.map(value).sorted()
      return String(format: "%.2f to %.2f", sorted[0], sorted[sorted.count - 1])
    }
    let pagesLeft = rounds.map(\.pagesLeft).max() ?? 0
    if options.json {
      let figures: [String: Any] = [
        "mib": size, "bytes": middle(\.bytes), "suspend_s": middle(\.suspend), "plain_write_s": middle(\.plainWrite),
        "suspend_ratio": middle(\.suspendRatio), "preload_s": middle(\.preload), "plain_read_s": middle(\.plainRead),
        "resume_ratio": middle(\.resumeRatio), "first_page_ms": middle(\.firstPage) * 1000, "pages_left": pagesLeft,
      ]
      let data = try JSONSerialization.data(withJSONObject: figures, options: [.sortedKeys])
      print(String(decoding: data, as: UTF8.self))
      return
    }
    let mib = { (bytes: Double, seconds: Double) in bytes / seconds / 1_048_576 }
    print("\(size) MiB of pages, \(rounds.count) rounds, O_DIRECT and fdatasync\(options.hasCipher ? ", aes-gcm" : "")")
    print(
      String(
        format: "  suspend  %.0f MiB/s   plain writing %.0f MiB/s   ratio %.2f", middle { mib($0.bytes, $0.suspend) },
        middle { mib($0.bytes, $0.plainWrite) }, middle(\.suspendRatio)), "(\(spread(\.suspendRatio)))")
    print(
      String(
        format: "  resume   %.0f MiB/s   plain reading %.0f MiB/s   ratio %.2f",
        middle { mib($0.preloadBytes, $0.preload) }, middle { mib($0.preloadBytes, $0.plainRead) },
        middle(\.resumeRatio)), "(\(spread(\.resumeRatio))); \(pagesLeft) pages left below")
    print(
      String(format: "  first page after %.1f ms", middle(\.firstPage) * 1000), "(\(spread { $0.firstPage * 1000 }))")
  }
}

/// A file that is written and read from one end to the other, a MiB at a time, by one thread.
struct PlainFile {
  let name: String
  private static let chunk = 1 << 20

  private func open(_ flags: Int32) throws -> Int32 {
    let descriptor = Glibc.open(name, flags | 0o40000 /* O_DIRECT */, 0o600)
    guard descriptor >= 0 else { throw Failure(file: name) }
    return descriptor
  }

  /// Seconds.
  func write(_ bytes: Int) throws -> Double {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer { buffer.deallocate() }
    for offset in 0..<Self.chunk {
      buffer.storeBytes(of: UInt8(truncatingIfNeeded: offset &* 31), toByteOffset: offset, as: UInt8.self)
    }
    let descriptor = try open(O_RDWR | O_CREAT | O_TRUNC)
    defer { close(descriptor) }
    // The swap file has its room from the beginning too.
    posix_fallocate(descriptor, 0, bytes)
    let began = wallSeconds()
    for offset in stride(from: 0, to: bytes, by: Self.chunk) {
      let length = min(Self.chunk, (bytes - offset) & ~4095)
      guard length == 0 || pwrite(descriptor, buffer, length, offset) > 0 else { throw Failure(file: name) }
    }
    fdatasync(descriptor)
    return wallSeconds() - began
  }

  func read(_ bytes: Int) throws -> Double {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer { buffer.deallocate() }
    let descriptor = try open(O_RDONLY)
    defer { close(descriptor) }
    let began = wallSeconds()
    for offset in stride(from: 0, to: bytes, by: Self.chunk) { _ = pread(descriptor, buffer, Self.chunk, offset) }
    return wallSeconds() - began
  }
}

struct Options {
  var file = ""
  var plugins = ""
  var folder = ""
  var sizes = [64, 1024]
  var rounds = 5
  var hasCipher = false
  var json = false

  init(_ arguments: [String]) throws {
    var rest = arguments.dropFirst()
    var names: [String] = []
    while let word = rest.popFirst() {
      switch word {
      case "--sizes": sizes = (rest.popFirst() ?? "").split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
      case "--rounds": rounds = max(1, rest.popFirst().flatMap { Int($0) } ?? rounds)
      case "--cipher": hasCipher = true
      case "--json": json = true
      default: names.append(word)
      }
    }
    guard names.count == 3, !sizes.isEmpty else {
      throw Failure(
        "usage: session-rates PAGES-FILE PLUGINS FOLDER [--sizes MIB,MIB] [--rounds N] [--cipher] [--json]")
    }
    (file, plugins, folder) = (names[0], names[1], names[2])
  }

  func keyFile() throws -> String {
    let name = folder + "/session-rates.key"
    try Data((0..<32).map { UInt8($0 * 7) }).write(to: URL(fileURLWithPath: name))
    chmod(name, 0o600)
    return name
  }
}
