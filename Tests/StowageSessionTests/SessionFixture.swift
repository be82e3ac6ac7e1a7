// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport

/// A session file that is kept, and what it holds: Tests/Fixtures/sessions has NAME.swap and NAME.json of each.
///
/// `scripts/make-sessions` makes them. They are opened by the tests for ever: whatever the format is then, sessions of
/// before are read or refused by their format's number.
struct SessionFixture: Codable, Sendable, CustomStringConvertible {
  struct Tier: Codable, Sendable {
    var plugin: String
    var texts: [String: String] = [:]
    var numbers: [String: Int64] = [:]
    var limit: Int?
  }

  struct Page: Codable, Sendable {
    var handle: UInt64
    var tag: UInt64
    /// As `ChurnJournal.fill` makes of it; 0: every word is the tag.
    var version: UInt64
  }

  var name: String
  var about: String
  var tiers: [Tier]
  /// Of aes-gcm; "key" names a file of 32 bytes from 0 up.
  var keyFile: String?
  var passphrase: String?
  var attributes: [String: String] = [:]
  var isOnce = false
  var checksEndToEnd = false
  var sequence: UInt64 = 0
  var pages: [Page] = []

  var description: String { name }

  static let size = 512 << 10
  static let folder = TierCompiler.fixtures.appendingPathComponent("sessions")

  /// Those that are kept.
  static let kept: [SessionFixture] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".json") }.sorted().compactMap { name in
      guard let data = try? Data(contentsOf: folder.appendingPathComponent(name)) else { return nil }
      return try? JSONDecoder().decode(SessionFixture.self, from: data)
    }
  }()

  /// Opens a session file of this kind.
  /// - Parameters:
  ///   - how: as the swap file's option: "create", "existing" or "read-only".
  ///   - keys: the folder for the key file.
  func open(
    _ path: String, _ start: SessionConfiguration.Start, _ how: String, keys: TemporaryFolder
  ) throws -> Store {
    var chain = try tiers.map { tier in
      var part = ChainTier(try TierLibrary.shipped(tier.plugin))
      part.options = tier.texts.mapValues { .text($0) }.merging(tier.numbers.mapValues { .number($0) }) { $1 }
      part.limit = tier.limit
      return part
    }
    for index in chain.indices where chain[index].table.name == "aes-gcm" {
      if keyFile != nil { chain[index].options["key-file"] = .text(try Self.writeKey(keys)) }
      if let passphrase { chain[index].options["passphrase"] = .secret(try Self.secret(passphrase)) }
    }
    var swap = ChainTier(try TierLibrary.shipped("swapfile"))
    swap.options = ["path": .text(path), "size": .number(Int64(Self.size)), "open": .text(how), "io": .text("plain")]
    var configuration = StoreConfiguration(memoryLimit: 48 << 20)
    configuration.workers = 1
    configuration.checksEndToEnd = checksEndToEnd
    configuration.session = SessionConfiguration(
      name: name, attributes: attributes, isOnce: isOnce, start: start)
    return try Store(configuration: configuration, chain: chain + [swap])
  }

  private static func secret(_ text: String) throws -> SecretText {
    let bytes = Array(text.utf8)
    return try SecretText(capacity: bytes.count) { room in
      room.copyBytes(from: bytes)
      return bytes.count
    }
  }

  private static func writeKey(_ folder: TemporaryFolder) throws -> String {
    let file = folder.file("key")
    if !FileManager.default.fileExists(atPath: file.path) {
      try Data((0..<32).map { UInt8($0) }).write(to: file)
      chmod(file.path, 0o600)
    }
    return file.path
  }

  /// Fills a page with what one of the fixture's holds.
  static func fill(_ buffer: UnsafeMutableRawBufferPointer, _ page: Page) {
    if page.version > 0 { return ChurnJournal.fill(buffer, version: page.version) }
    for at in stride(from: 0, to: buffer.count, by: 8) {
      buffer.storeBytes(of: page.tag, toByteOffset: at, as: UInt64.self)
    }
  }

  /// What is wrong with a store that should hold exactly the fixture's pages.
  func faults(_ store: Store) throws -> [String] {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    let wanted = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    defer {
      page.deallocate()
      wanted.deallocate()
    }
    var faults: [String] = []
    var found: Set<UInt64> = []
    try store.forEachPage { found.insert($0.handle.rawValue) }
    if found != Set(pages.map(\.handle)) { faults.append("\(found.count) pages are there, not these \(pages.count)") }
    for expected in pages {
      let tag = try store.peek(Handle(rawValue: expected.handle), into: page)
      Self.fill(wanted, expected)
      if tag != expected.tag || memcmp(page.baseAddress!, wanted.baseAddress!, 4096) != 0 {
        faults.append("page \(expected.handle) is another")
      }
    }
    return faults
  }
}
