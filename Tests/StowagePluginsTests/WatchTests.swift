// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

/// A folder in which plug-ins appear while a store is open.
@Suite(.serialized) struct WatchTests {
  private let folder: TemporaryFolder
  private let finder: PluginFinder

  init() throws {
    folder = try TemporaryFolder()
    finder = PluginFinder(
      path: PluginPath(folders: [folder.path]),
      prober: PluginProber(helper: Command.stowage, limits: .init(time: .seconds(20))))
  }

  /// Builds elsewhere and renames into the folder, as an installation does.
  private func drop(_ source: String, name: String, defines: [String] = []) throws {
    let elsewhere = try TemporaryFolder()
    let built = try TierCompiler.compile(source, into: elsewhere.url, name: name, defines: defines)
    let target = folder.file("\(name).tier.so")
    guard rename(built.path, target.path) == 0 else { throw TestFailure("rename: \(errno)") }
  }

  @Test func `a file is reported once it is whole, and again when it is another`() throws {
    try drop("bad-tiers/good.c", name: "there")
    let watch = try PluginWatch(finder)
    #expect(try watch.next(timeout: .milliseconds(50)).isEmpty)
    try drop("bad-tiers/good.c", name: "new")
    let records = try watch.next(timeout: .seconds(20))
    #expect(records.map(\.name) == ["new"] && records.map(\.status) == [.ok])
    #expect(try watch.next(timeout: .milliseconds(50)).isEmpty)
    try drop("bad-tiers/crash-entry.c", name: "crash-entry")
    #expect(try watch.next(timeout: .seconds(20)).map(\.status) == [.crashed])
    try drop("bad-tiers/good.c", name: "new", defines: ["ANOTHER"])
    #expect(try watch.next(timeout: .seconds(20)).map(\.name) == ["new"])
    try folder.write("no tier", to: "readme.txt")
    #expect(try watch.next(timeout: .milliseconds(50)).isEmpty)
  }

  @Test func `a watch that cannot be made closes its descriptor once`() throws {
    // Somebody else gets the number that was closed, and must keep what it stands for.
    let (hasEnded, lost) = (Locked(false), Locked(0))
    let other = Background {
      while !hasEnded.withLock({ $0 }) {
        let file = open("/dev/null", O_RDONLY | O_CLOEXEC)
        for _ in 0..<20 { sched_yield() }
        if close(file) != 0 { lost.withLock { $0 += 1 } }
      }
    }
    let nowhere = PluginFinder(path: PluginPath(folders: []), prober: finder.prober)
    for _ in 0..<2000 { #expect(throws: PluginError.self) { try PluginWatch(nowhere) } }
    hasEnded.withLock { $0 = true }
    other.join(within: 60)
    #expect(lost.withLock { $0 } == 0, "descriptors of others were closed")
  }

  @Test func `links count, and folders that are made later`() throws {
    let elsewhere = try TemporaryFolder()
    let built = try TierCompiler.compile("bad-tiers/good.c", into: elsewhere.url, name: "good")
    let later = folder.file("lib/plugins")
    let both = PluginFinder(path: PluginPath(folders: [folder.path, later.path]), prober: finder.prober)
    let watch = try PluginWatch(both)
    #expect(symlink(built.path, folder.file("good.tier.so").path) == 0)
    #expect(try watch.next(timeout: .seconds(20)).map(\.name) == ["good"])
    #expect(link(built.path, folder.file("hard.tier.so").path) == 0)
    #expect(try watch.next(timeout: .seconds(20)).count == 1)
    // As a first installation does it.
    try FileManager.default.createDirectory(
      at: later, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    try FileManager.default.copyItem(at: built, to: later.appendingPathComponent("later.tier.so"))
    var found: [PluginRecord] = []
    let until = ContinuousClock.now + .seconds(20)
    while found.isEmpty, ContinuousClock.now < until { found = try watch.next(timeout: .seconds(1)) }
    #expect(found.map(\.file) == [later.appendingPathComponent("later.tier.so").path])
    #expect(try watch.next(timeout: .milliseconds(50)).isEmpty)
  }

  @Test func `a running store takes in what was dropped, and a newer version of it`() throws {
    let watch = try PluginWatch(finder)
    var configuration = StoreConfiguration(memoryLimit: 8 << 20)
    configuration.storeLimit = 256 << 10
    configuration.isChainChangeable = true
    let store = try Store(configuration: configuration, chain: [])
    defer { store.close() }
    var pages: [(Handle, UInt8)] = []
    func put(_ count: Int) throws {
      for _ in 0..<count {
        let byte = UInt8(truncatingIfNeeded: pages.count)
        var page = [UInt8](repeating: byte, count: 4096)
        page[17] = byte &+ 1
        pages.append((try page.withUnsafeBytes { try store.put($0, tag: UInt64(byte)) }, byte))
      }
    }
    try put(40)
    try drop("tiers/lz.c", name: "lz", defines: ["ACCESS=STOWAGE_ACCESS_TERMINAL"])
    let record = try #require(try watch.next(timeout: .seconds(20)).first)
    try store.addTier(ChainTier(try PluginLoader.load(record, trust: .ownOnly)))
    #expect(store.levelNames == ["store", "lz"])
    try put(1500)
    #expect(store.waitUntilSettled(timeout: .seconds(20)))
    #expect(store.statistics().levels[1].pages > 1000)

    // Another build of the same plug-in, installed by rename while the first is in use.
    try drop("tiers/lz.c", name: "lz", defines: ["ACCESS=STOWAGE_ACCESS_TERMINAL", "PRIORITY=501"])
    let newer = try #require(try watch.next(timeout: .seconds(20)).first)
    try store.replaceTier(named: "lz", with: ChainTier(try PluginLoader.load(newer, trust: .ownOnly), name: "lz-new"))
    try put(500)
    #expect(try store.removeTier(named: "lz") == .removed)
    #expect(store.levelNames == ["store", "lz-new"])
    #expect(store.statistics().levels[1].pages > 1000)
    for (handle, byte) in pages {
      var page = [UInt8](repeating: 0, count: 4096)
      try page.withUnsafeMutableBytes { _ = try store.take(handle, into: $0) }
      #expect(page[17] == byte &+ 1 && page[0] == byte && page[4095] == byte)
    }
  }
}
