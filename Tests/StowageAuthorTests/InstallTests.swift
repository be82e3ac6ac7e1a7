// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// `make install`, and what an author finds after it.
@Suite struct InstallTests {
  /// A BIN folder as `make build` leaves it, with one tier.
  private func bin(in folder: TemporaryFolder) throws -> String {
    let plugins = folder.file("bin/plugins")
    try FileManager.default.createDirectory(at: plugins, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: Command.stowage, toPath: folder.file("bin/stowage").path)
    try TierCompiler.compile("bad-tiers/good.c", into: plugins)
    return folder.file("bin").path
  }

  private func install(_ bin: String, prefix: String, destination: String) throws -> Command.Outcome {
    try Command.run(
      TierCompiler.checkout.appendingPathComponent("scripts/install").path, [bin],
      environment: ["PREFIX": prefix, "DESTDIR": destination])
  }

  @Test("DESTDIR goes in front of what is written, and into no file")
  func destination() throws {
    let folder = try TemporaryFolder()
    let outcome = try install(try bin(in: folder), prefix: "/opt/shelf", destination: folder.file("package").path)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let root = folder.file("package/opt/shelf")
    let files = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { path in
      ((try? root.appendingPathComponent(path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory) != true
    }
    #expect(
      Set(files) == [
        "bin/stowage", "lib/stowage/plugins/good.tier.so", "include/stowage/tier.h", "include/stowage/tier-helpers.h",
        "include/stowage/extensions.h", "share/stowage/tier.map", "lib/pkgconfig/stowage-tier.pc",
      ])
    let described = try String(
      contentsOf: root.appendingPathComponent("lib/pkgconfig/stowage-tier.pc"), encoding: .utf8)
    #expect(described.contains("prefix=/opt/shelf\n"))
    #expect(!described.contains(folder.path))
  }

  @Test("installed, its own plug-ins are found, and pkg-config is enough to build another")
  func use() throws {
    let folder = try TemporaryFolder()
    let prefix = folder.file("there").path
    #expect(try install(try bin(in: folder), prefix: prefix, destination: "").status == 0)
    // Once more, over itself.
    #expect(try install(folder.file("bin").path, prefix: prefix, destination: "").status == 0)
    let source = TierCompiler.checkout.appendingPathComponent("plugin-sdk/Examples/C/pass.c").path
    let built = try Workshop.run(
      """
      set -eu
      export PKG_CONFIG_PATH=\(prefix)/lib/pkgconfig
      cc -std=c11 -shared -fPIC $(pkg-config --cflags stowage-tier) \(source) $(pkg-config --libs stowage-tier) -o pass.tier.so
      nm -D --defined-only pass.tier.so
      install -m 755 pass.tier.so $(pkg-config --variable=plugindir stowage-tier)
      \(prefix)/bin/stowage plugins list
      """, in: folder.url, home: "/nonexistent")
    #expect(built.status == 0, "\(built.errors)")
    let lines = built.output.split(separator: "\n")
    #expect(lines.first?.hasSuffix(" T stowage_tier_entry") == true && lines.count > 4)
    #expect(lines.contains { $0.hasPrefix("pass ") && $0.contains(" ok ") })
    #expect(lines.contains { $0.hasPrefix("good ") })
    #expect(built.output.contains("\(prefix)/lib/stowage/plugins\n"))
  }

  @Test("the kit in the checkout is found by pkg-config, too")
  func checkout() throws {
    let sdk = TierCompiler.checkout.appendingPathComponent("plugin-sdk").path
    let folder = try TemporaryFolder()
    let flags = try Workshop.run("PKG_CONFIG_PATH=\(sdk) pkg-config --cflags --libs stowage-tier", in: folder.url)
    #expect(flags.output.contains("-I\(sdk)/include"), "\(flags.errors)")
    #expect(flags.output.contains("--version-script=\(sdk)/tier.map"))
  }

  @Test("what cannot be installed is said")
  func refused() throws {
    let folder = try TemporaryFolder()
    #expect(
      try install(folder.path, prefix: "/opt", destination: folder.path).errors.contains("run 'make build' first"))
    #expect(try install(try bin(in: folder), prefix: "opt", destination: folder.path).status == 2)
  }
}
