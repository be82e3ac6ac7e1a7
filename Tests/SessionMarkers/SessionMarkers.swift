// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport

/// A process that has marked text in the pages of an encrypted store, at every level, and is dumped then.
///
///     session-markers FILE KEYFILE SEED protected|exposed|ordinary|clear abort|wait
///
/// exposed: what a core dump leaves out is dumped after all; ordinary: some of the text stays in the process's own
/// buffer; clear: without a cipher.
@main struct SessionMarkers {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 6, let seed = UInt64(arguments[3]) else { exit(2) }
    let store = try open(file: arguments[1], keyFile: arguments[4] == "clear" ? nil : arguments[2])
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    try work(store, page, MarkerText(seed: seed))
    if arguments[4] != "ordinary" { explicit_bzero(page.baseAddress!, page.count) }
    if arguments[4] == "exposed" { try expose() }
    for level in store.statistics().levels { print("\(level.name)\t\(level.pages)") }
    print("ready")
    fflush(nil)
    if arguments[5] == "abort" { abort() }
    while true { pause() }
  }

  static func open(file: String, keyFile: String?) throws -> Store {
    let names = keyFile == nil ? ["lz4", "swapfile"] : ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"]
    var chain = try names.map { ChainTier(try TierLibrary.shipped($0)) }
    for index in chain.indices {
      switch names[index] {
      case "aes-gcm":
        if let keyFile { chain[index].options["key-file"] = .text(keyFile) }
        chain[index].limit = 512 << 10
      case "swapfile": chain[index].options = ["path": .text(file), "size": .number(64 << 20)]
      default: chain[index].limit = names[index] == "brotli" ? 1 << 20 : 2 << 20
      }
    }
    var configuration = StoreConfiguration(memoryLimit: 24 << 20)
    configuration.workers = 2
    configuration.storeLimit = 2 << 20
    configuration.session = SessionConfiguration(name: "markers")
    return try Store(configuration: configuration, chain: chain)
  }

  /// Puts, changes and reads pages, with checkpoints, until every level has some.
  static func work(_ store: Store, _ page: UnsafeMutableRawBufferPointer, _ marker: MarkerText) throws {
    var handles: [Handle] = []
    func put(_ count: Int) throws {
      for _ in 0..<count {
        marker.fill(page, number: UInt64(handles.count))
        handles.append(try store.put(UnsafeRawBufferPointer(page), tag: 0))
      }
      _ = store.waitUntilSettled(timeout: .seconds(20))
    }
    try put(6000)
    try store.checkpoint()
    for handle in handles.prefix(500) { try store.peek(handle, into: page) }
    for handle in handles.dropFirst(1000).prefix(300) { try store.touch(handle) }
    for (number, handle) in handles.dropFirst(2000).prefix(300).enumerated() {
      marker.fill(page, number: UInt64(number))
      try store.replace(handle, with: UnsafeRawBufferPointer(page))
    }
    for handle in handles.dropFirst(3000).prefix(300) { try store.take(handle, into: page) }
    try store.flush()
    try put(4000)
    try store.checkpoint()
    try put(400)
    // On a busy machine all of that may have gone past the slow levels; a few at a time do not.
    var rounds = 0
    while rounds < 100, !hasSlowPages(store) {
      try put(50)
      rounds += 1
    }
  }

  /// Whether one of the levels before the swap file has pages that growth may skip; there are none without a cipher.
  static func hasSlowPages(_ store: Store) -> Bool {
    let levels = store.statistics().levels.filter { ["brotli", "aes-gcm"].contains($0.name) }
    return levels.isEmpty || levels.contains { $0.pages > 0 }
  }

  /// Undoes what keeps memory out of core dumps, for the test to see that there is something to be kept out.
  static func expose() throws {
    let text = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      let ends = words[0].split(separator: "-").compactMap { Int($0, radix: 16) }
      guard ends.count == 2, words[1].hasPrefix("rw") else { continue }
      madvise(UnsafeMutableRawPointer(bitPattern: ends[0]), ends[1] - ends[0], MADV_DODUMP)
    }
  }
}
