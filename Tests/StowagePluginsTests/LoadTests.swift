// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

@Suite struct LoadTests {
  /// A copy of the good tier under a name of its own, as a file is loaded once per process.
  private func freshTier(_ name: String, _ folder: TemporaryFolder) throws -> URL {
    try TierCompiler.compile("bad-tiers/good.c", into: folder.url, name: name)
  }

  @Test("what was probed is loaded, and once")
  func load() throws {
    let folder = try TemporaryFolder()
    let record = try prober().probe([try freshTier("load-once", folder).path])[0]
    let table = try PluginLoader.load(record)
    #expect(table.name == "load-once")
    #expect(table.role == .transform)
    #expect(TierDescription(table) == record.description)
    #expect(record.hash?.hasPrefix("xxh3-128:") == true)
    #expect(record.hash?.count == "xxh3-128:".count + 32)
    #expect(try PluginLoader.load(record).name == table.name)
  }

  @Test("a file that has changed since it was probed is refused")
  func changed() throws {
    let folder = try TemporaryFolder()
    let file = try freshTier("load-changed", folder)
    let record = try prober().probe([file.path])[0]
    // Bytes behind an ELF file's end change nothing but the hash.
    let handle = try FileHandle(forUpdating: file)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([0]))
    try handle.close()
    let error = #expect(throws: PluginError.self) { try PluginLoader.load(record) }
    #expect(error?.description.contains("has changed since it was probed") == true)
    #expect(error?.description.contains(file.path) == true)
  }

  @Test("a file written over after it was loaded is refused")
  func writtenOver() throws {
    let folder = try TemporaryFolder()
    let file = try freshTier("load-over", folder)
    _ = try PluginLoader.load(try prober().probe([file.path])[0])
    let handle = try FileHandle(forUpdating: file)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([0]))
    try handle.close()
    let again = try prober().probe([file.path])[0]
    #expect(again.status == .ok)
    let error = #expect(throws: PluginError.self) { try PluginLoader.load(again) }
    #expect(error?.description.contains("after this process had loaded it") == true)
  }

  @Test("what is refused or crashed is never loaded", arguments: ["crash-constructor", "abi-major", "text"])
  func unusable(_ name: String) throws {
    let record = try prober().probe([try BadTiers.file(name)])[0]
    let error = #expect(throws: PluginError.self) { try PluginLoader.load(record) }
    #expect(error?.description.contains(name) == true)
  }

  @Test("the loader has the same checks as the helper")
  func loaderChecks() throws {
    let folder = try TemporaryFolder()
    let file = try freshTier("load-open", folder)
    let record = try prober().probe([file.path])[0]
    #expect(chmod(file.path, 0o777) == 0)
    let error = #expect(throws: PluginError.self) { try PluginLoader.load(record) }
    #expect(error?.description.contains("can be written by") == true)
    #expect(try PluginLoader.load(record, trust: .anyone).name == "load-open")
  }
}
