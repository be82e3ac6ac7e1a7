// SPDX-License-Identifier: Apache-2.0
//
// How fast a store is suspended and resumed, beside plain writing and reading of as many bytes on the same disk, with the
// same flags, in the same run; and how long a resumed store takes to its first page.
//
//   session-rates PAGES-FILE PLUGINS FOLDER [--sizes MIB,MIB] [--rounds N] [--cipher] [--json]
import CStowageTier
import Foundation
import StowageEngine

@main
enum SessionRates {
  static func main() throws {
    let options = try Options(CommandLine.arguments)
    let pages = try Pages(file: options.file)
    for size in options.sizes {
      var rounds: [Round] = []
      for round in 1...options.rounds { rounds.append(try measure(size, pages, options, round: round)) }
      report(size, rounds, options)
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
  }

  /// - Parameter size: MiB of pages, before they are compressed.
  static func measure(_ size: Int, _ pages: Pages, _ options: Options, round: Int) throws -> Round {
    var result = Round()
    let file = options.folder + "/session-rates.swap"
    let plain = options.folder + "/session-rates.plain"
    for name in [file, plain] { unlink(name) }
    defer { for name in [file, plain] { unlink(name) } }
    let count = size * 256
    var handles: [Handle] = []
    handles.reserveCapacity(count)
    do {
      let store = try open(file, size, options, .create(replacing: false))
      for index in 0..<count { handles.append(try store.put(pages[index % pages.count], tag: UInt64(index))) }
      _ = store.waitUntilSettled(timeout: .seconds(120))
      let began = now()
      let report = try store.suspend()
      // The session is safe, and the store closed; its memory goes with the object, later.
      result.suspend = withExtendedLifetime(store) { now() - began }
      result.bytes = Double(report.bytesWritten)
      result.indexBytes = Double(report.indexBytes)
    }
    let data = PlainFile(name: plain)
    result.plainWrite = try data.write(Int(result.bytes))
    // The middle one: neither first nor last in anything.
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    defer { page.deallocate() }
    let began = now()
    let store = try open(file, size, options, .resume(force: false))
    try store.peek(handles[count / 2], into: page)
    result.firstPage = now() - began
    guard memcmp(page.baseAddress!, pages[count / 2 % pages.count].baseAddress!, 4096) == 0 else {
      fatalError("the first page has other contents")
    }
    let loaded = try store.preload()
    // From the beginning: opening and the index are in it, and the index's bytes on both sides.
    result.preload = now() - began
    result.preloadBytes = Double(loaded.bytesRead) + result.indexBytes
    result.pagesLeft = loaded.pagesLeft
    for index in stride(from: 0, to: count, by: 61) {
      try store.peek(handles[index], into: page)
      guard memcmp(page.baseAddress!, pages[index % pages.count].baseAddress!, 4096) == 0 else {
        fatalError("page \(index) has other contents")
      }
    }
    store.close()
    result.plainRead = try data.read(Int(result.preloadBytes))
    return result
  }

  static func open(_ file: String, _ size: Int, _ options: Options, _ start: SessionConfiguration.Start) throws -> Store {
    var configuration = StoreConfiguration(memoryLimit: (size + 64) << 20)
    configuration.storeLimit = 8 << 20
    configuration.session = SessionConfiguration(name: "rates", start: start)
    var lz4 = ChainTier(try options.tier("lz4"), name: "lz4")
    lz4.limit = size << 20
    var chain = [lz4]
    if options.hasCipher {
      var cipher = ChainTier(try options.tier("aes-gcm"), name: "aes-gcm")
      cipher.options["key-file"] = .text(try options.keyFile())
      cipher.limit = 0
      chain.append(cipher)
    }
    var swap = ChainTier(try options.tier("swapfile"), name: "swapfile")
    swap.options = [
      "path": .text(file), "size": .number(Int64((size + 64) << 20)),
    ]
    return try Store(configuration: configuration, chain: chain + [swap])
  }

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  static func report(_ size: Int, _ rounds: [Round], _ options: Options) {
    func median(_ value: (Round) -> Double) -> Double {
      let sorted = rounds.map(value).sorted()
      return sorted[sorted.count / 2]
    }
    func spread(_ value: (Round) -> Double) -> String {
      let sorted = rounds.map(value).sorted()
      return String(format: "%.2f to %.2f", sorted[0], sorted[sorted.count - 1])
    }
    let write = median { $0.plainWrite / $0.suspend }
    let read = median { $0.plainRead / $0.preload }
    let mib = { (bytes: Double, seconds: Double) in bytes / seconds / 1048576 }
    if options.json {
      print(
        String(
          format:
            "{\"mib\":%d,\"bytes\":%.0f,\"suspend_s\":%.4f,\"plain_write_s\":%.4f,\"suspend_ratio\":%.3f,\"preload_s\":%.4f,\"plain_read_s\":%.4f,\"resume_ratio\":%.3f,\"first_page_ms\":%.2f,\"pages_left\":%d}",
          size, median(\.bytes), median(\.suspend), median(\.plainWrite), write, median(\.preload), median(\.plainRead),
          read, median(\.firstPage) * 1000, rounds.map(\.pagesLeft).max() ?? 0))
      return
    }
    print("\(size) MiB of pages, \(rounds.count) rounds, O_DIRECT and fdatasync\(options.hasCipher ? ", aes-gcm" : "")")
    print(
      String(
        format: "  suspend  %.0f MiB/s   plain writing %.0f MiB/s   ratio %.2f", median { mib($0.bytes, $0.suspend) },
        median { mib($0.bytes, $0.plainWrite) }, write), "(\(spread { $0.plainWrite / $0.suspend }))")
    print(
      String(
        format: "  resume   %.0f MiB/s   plain reading %.0f MiB/s   ratio %.2f",
        median { mib($0.preloadBytes, $0.preload) }, median { mib($0.preloadBytes, $0.plainRead) }, read),
      "(\(spread { $0.plainRead / $0.preload })); \(rounds.map(\.pagesLeft).max() ?? 0) pages left below")
    print(String(format: "  first page after %.1f ms", median(\.firstPage) * 1000), "(\(spread { $0.firstPage * 1000 }))")
  }
}

/// A file that is written and read from one end to the other, a MiB at a time, by one thread.
struct PlainFile {
  let name: String
  private static let chunk = 1 << 20

  private func open(_ flags: Int32) throws -> Int32 {
    let descriptor = Glibc.open(name, flags | 0o40000 /* O_DIRECT */, 0o600)
    guard descriptor >= 0 else { throw Failure(description: "\(name): \(String(cString: strerror(errno)))") }
    return descriptor
  }

  /// Seconds.
  func write(_ bytes: Int) throws -> Double {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer { buffer.deallocate() }
    for offset in 0..<Self.chunk { buffer.storeBytes(of: UInt8(truncatingIfNeeded: offset &* 31), toByteOffset: offset, as: UInt8.self) }
    let descriptor = try open(O_RDWR | O_CREAT | O_TRUNC)
    defer { close(descriptor) }
    // The swap file has its room from the beginning too.
    posix_fallocate(descriptor, 0, bytes)
    let began = SessionRates.now()
    for offset in stride(from: 0, to: bytes, by: Self.chunk) {
      guard pwrite(descriptor, buffer, min(Self.chunk, (bytes - offset) & ~4095), offset) > 0 || bytes - offset < 4096 else {
        throw Failure(description: "\(name): \(String(cString: strerror(errno)))")
      }
    }
    fdatasync(descriptor)
    return SessionRates.now() - began
  }

  func read(_ bytes: Int) throws -> Double {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer { buffer.deallocate() }
    let descriptor = try open(O_RDONLY)
    defer { close(descriptor) }
    let began = SessionRates.now()
    for offset in stride(from: 0, to: bytes, by: Self.chunk) { _ = pread(descriptor, buffer, Self.chunk, offset) }
    return SessionRates.now() - began
  }
}

/// The pages of a file, in memory; those of one repeated word are left out, as they cost no room in a session.
struct Pages {
  let bytes: UnsafeMutableRawBufferPointer
  let count: Int

  init(file: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
    let all = min(data.count / 4096, 65536)
    bytes = .allocate(byteCount: max(1, all) * 4096, alignment: 4096)
    var kept = 0
    for index in 0..<all {
      let target = bytes.baseAddress! + kept * 4096
      data.withUnsafeBytes { target.copyMemory(from: $0.baseAddress! + index * 4096, byteCount: 4096) }
      if memcmp(target, target + 8, 4088) != 0 { kept += 1 }
    }
    guard kept > 0 else { throw Failure(description: "\(file) has no pages") }
    count = kept
  }

  subscript(_ index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: bytes.baseAddress! + index * 4096, count: 4096)
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
      FileHandle.standardError.write(
        Data("usage: session-rates PAGES-FILE PLUGINS FOLDER [--sizes MIB,MIB] [--rounds N] [--cipher] [--json]\n".utf8))
      exit(2)
    }
    (file, plugins, folder) = (names[0], names[1], names[2])
  }

  func keyFile() throws -> String {
    let name = folder + "/session-rates.key"
    try Data((0..<32).map { UInt8($0 * 7) }).write(to: URL(fileURLWithPath: name))
    chmod(name, 0o600)
    return name
  }

  func tier(_ name: String) throws -> TierTable {
    let file = "\(plugins)/\(name).tier.so"
    guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
      let symbol = dlsym(handle, STOWAGE_TIER_ENTRY_NAME)
    else { throw Failure(description: String(cString: dlerror())) }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let descriptor = unsafeBitCast(symbol, to: Entry.self)(HostTable.shared) else {
      throw Failure(description: HostTable.lastError())
    }
    return try TierTable(descriptor: descriptor, file: file)
  }
}

struct Failure: Error, CustomStringConvertible { var description: String }
