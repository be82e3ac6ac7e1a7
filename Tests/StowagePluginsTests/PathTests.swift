// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowagePlugins

@Suite struct PathTests {
  @Test("the folders, in order")
  func order() {
    let list = PluginPath.list(
      explicit: ["/a:/b", "c"], only: false, environment: "/e::/f", executable: "/x/bin/stowage", home: "/home/u")
    #expect(
      list == [
        "/a", "/b", "c", "/e", "/f", "/x/bin/plugins", "/x/lib/stowage/plugins",
        "/usr/local/lib/stowage/plugins", "/usr/lib/stowage/plugins", "/home/u/.local/lib/stowage/plugins",
      ])
    #expect(
      PluginPath.list(explicit: ["/a"], only: true, environment: "/e", executable: "/x/stowage", home: "/h") == ["/a"])
    #expect(
      PluginPath.list(explicit: [], only: false, environment: nil, executable: nil, home: nil)
        == ["/usr/local/lib/stowage/plugins", "/usr/lib/stowage/plugins"])
  }

  @Test("folders are absolute, each once")
  func absolute() {
    #expect(PluginPath(folders: ["/a/./b/", "/a/b", "/a/x/../b"]).folders == ["/a/b"])
    #expect(FilePaths.absolute("../up", from: "/one/two") == "/one/up")
    #expect(FilePaths.absolute("/../..", from: "/one") == "/")
    #expect(FilePaths.folder(of: "/file") == "/")
    #expect(FilePaths.folder(of: "/a/file") == "/a")
  }

  @Test("the first file of a name wins, shadowed ones are said, missing folders end nothing")
  func shadowing() throws {
    let (first, second) = (try TemporaryFolder(), try TemporaryFolder())
    try TierCompiler.compile("bad-tiers/good.c", into: second.url)
    try TierCompiler.compile("bad-tiers/good.c", into: second.url, name: "more")
    // Even a bad one: the user put it first.
    try first.write("no library", to: "good.tier.so")
    let finder = PluginFinder(
      path: PluginPath(folders: ["/nonexistent/one", first.path, "/nonexistent/two", second.path, second.path + "/."]),
      prober: prober())
    let catalog = try finder.catalog()
    #expect(catalog.plugins.map(\.name) == ["more", "good"])
    #expect(catalog.plugins.map(\.status) == [.ok, .refused])
    #expect(catalog.plugins[1].file == first.file("good.tier.so").path)
    #expect(catalog.searched.map(\.state) == [.missing, .read, .missing, .read])
    #expect(catalog.notes.count == 1)
    #expect(catalog.notes[0].contains("\(second.path)/good.tier.so is shadowed by \(first.path)/good.tier.so"))
  }

  @Test("only files with the name of a tier are looked at")
  func names() throws {
    #expect(PluginFile.name(of: "lz4.tier.so") == "lz4")
    for name in ["lz4.so", ".tier.so", ".lz4.tier.so", "lz4.tier.so.1", "tier.so"] {
      #expect(PluginFile.name(of: name) == nil)
    }
    let finder = PluginFinder(path: PluginPath(folders: [try BadTiers.folder.get().path]), prober: prober())
    #expect(!finder.names().contains("hidden"))
    #expect(finder.names().contains("good"))
  }

  @Test("an unknown name finds its neighbours, without probing them")
  func near() throws {
    let finder = PluginFinder(path: PluginPath(folders: [try BadTiers.folder.get().path]), prober: prober())
    let catalog = try finder.catalog(names: ["goood"])
    #expect(catalog.plugins.isEmpty)
    let error = #expect(throws: PluginError.self) { try catalog.plugin(named: "goood") }
    #expect(error?.description.contains("did you mean 'good'?") == true)
  }

  @Test("near names", arguments: [("lz5", ["lz4"]), ("ztsd", ["zstd"]), ("swap", ["swapfile"]), ("x", [])])
  func nearNames(_ wanted: String, _ expected: [String]) {
    #expect(NearNames.of(wanted, in: ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"]) == expected)
  }

  @Test("control characters never reach the terminal")
  func plainText() {
    #expect(DisplayText.plain("a\u{1B}[2Jb\nc\u{202E}") == "a\\u{1b}[2Jb\\u{a}c\\u{202e}")
    #expect(DisplayText.plain("prüfen ✓") == "prüfen ✓")
  }
}
