// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport

/// Makes the session files that are kept.
enum SessionFixtureMaker {
  /// One of each kind.
  static let kinds: [SessionFixture] = [
    SessionFixture(name: "plain", about: "a swap file alone: raw frames", tiers: []),
    SessionFixture(
      name: "packed", about: "lz4 above zstd, which packs", tiers: [
        .init(plugin: "lz4", limit: 64 << 10), .init(plugin: "zstd", numbers: ["level": 5]),
      ]),
    SessionFixture(
      name: "key-file", about: "zstd and aes-gcm with a key file",
      tiers: [.init(plugin: "zstd"), .init(plugin: "aes-gcm")],
      keyFile: "key", attributes: ["kernel": "6.1.0", "program": "1.0"]),
    SessionFixture(
      name: "passphrase", about: "lz4 and aes-gcm with a passphrase",
      tiers: [.init(plugin: "lz4"), .init(plugin: "aes-gcm")],
      passphrase: "correct horse battery staple"),
    SessionFixture(
      name: "deltas", about: "a whole index and four deltas, of a store that was not suspended",
      tiers: [.init(plugin: "brotli")]),
    SessionFixture(
      name: "sums", about: "with end-to-end checksums", tiers: [.init(plugin: "lz4")], checksEndToEnd: true),
    SessionFixture(
      name: "once", about: "to be resumed once", tiers: [.init(plugin: "zstd")],
      attributes: ["kernel": "6.1.0"], isOnce: true),
  ]

  /// Makes one in a folder: NAME.swap, and what it holds.
  static func make(_ kind: SessionFixture, in folder: URL) throws -> SessionFixture {
    var fixture = kind
    let keys = try TemporaryFolder()
    let path = folder.appendingPathComponent("\(kind.name).swap").path
    try? FileManager.default.removeItem(atPath: path)
    let store = try kind.open(path, .create(replacing: false), "create", keys: keys)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    defer { buffer.deallocate() }
    func put(_ versions: Range<UInt64>) throws {
      for version in versions {
        var page = SessionFixture.Page(handle: 0, tag: version &* 0x1_0001, version: version % 9 == 0 ? 0 : version)
        SessionFixture.fill(buffer, page)
        page.handle = try store.put(UnsafeRawBufferPointer(buffer), tag: page.tag).rawValue
        fixture.pages.append(page)
      }
    }
    try put(1..<60)
    // Handles that ended, too.
    for _ in 0..<12 { try store.discard(Handle(rawValue: fixture.pages.remove(at: fixture.pages.count / 2).handle)) }
    if kind.name == "deltas" {
      for round in UInt64(0)..<5 {
        try store.checkpoint()
        try put(100 + round * 10..<105 + round * 10)
        try store.discard(Handle(rawValue: fixture.pages.removeFirst().handle))
      }
      fixture.sequence = try store.checkpoint().sequence
      store.close()
    } else {
      fixture.sequence = try store.suspend().sequence
    }
    return fixture
  }

  /// Makes all of them, each with its description beside it.
  static func makeAll(in folder: URL) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for kind in kinds {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      let text = String(decoding: try encoder.encode(try make(kind, in: folder)), as: UTF8.self)
      // A page a line.
      let lines = text.replacingOccurrences(of: "},{\"handle\"", with: "},\n{\"handle\"")
      try Data((lines + "\n").utf8).write(to: folder.appendingPathComponent("\(kind.name).json"))
    }
  }
}
