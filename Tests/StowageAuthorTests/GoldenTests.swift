// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

#if arch(x86_64)
  private let isGoldenMachine = true
#else
  private let isGoldenMachine = false
#endif

/// Tiers that were built once (Tests/Fixtures/golden) are loaded and used by this host.
@Suite(.enabled(if: isGoldenMachine, "they are built for x86-64")) struct GoldenTests {
  private static let folder = TierCompiler.fixtures.appendingPathComponent("golden")

  private static func file(_ path: String) -> String { folder.appendingPathComponent(path).path }

  static let files = [
    "golden-c.tier.so", "golden-memory.tier.so", "swift-1.0.0/golden-swift.tier.so", "swift-1.1.0/golden-swift.tier.so",
  ]

  @Test("every file there is one of these")
  func complete() throws {
    let found = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path).filter { $0.hasSuffix(".so") }
    #expect(Set(found) == Set(Self.files))
  }

  @Test("probed and loaded as a plug-in", arguments: files)
  func loads(_ path: String) throws {
    // A copy, whatever the umask at the checkout was.
    let folder = try TemporaryFolder()
    let copy = folder.file(String(path.split(separator: "/").last ?? ""))
    try FileManager.default.copyItem(atPath: Self.file(path), toPath: copy.path)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: copy.path)
    let prober = PluginProber(helper: Command.stowage, limits: .init(time: .seconds(30)))
    let record = try prober.probe([copy.path])[0]
    #expect(record.status == .ok, "\(record.reason ?? "")")
    #expect(try PluginLoader.load(record).name == record.name)
  }

  @Test("the one in C: options, contexts, sidecar, state and health")
  func c() throws {
    let tier = try LoadedTier(Self.file("golden-c.tier.so"))
    let (table, owner) = (tier.table.pointee, AuthorHost.newOwner())
    let instance = try tier.open(owner: owner, numbers: ["add": 3])
    var context: OpaquePointer?
    try #require(table.thread_open?(instance, STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE, &context) == STOWAGE_OK)
    var object = stowage_object(id: 9, epoch: 1, length: 4, flags: 0, reserved: 0)
    var (chunk, page, sidecar) = (
      [UInt8](repeating: 0, count: 4), [UInt8](repeating: 0, count: 4), [UInt8](repeating: 0, count: 4)
    )
    var length = 0
    let transform = try #require(tier.transform)
    #expect(transform.sidecar_length == 4)
    #expect(transform.encode(instance, context, &object, [1, 2, 3, 254], &chunk, 4, &length, &sidecar) == STOWAGE_OK)
    #expect(chunk == [4, 5, 6, 1] && length == 4)
    #expect(transform.encode(instance, context, &object, [1, 2, 3, 4], &page, 3, &length, &sidecar) == STOWAGE_TOO_BIG)
    #expect(transform.decode(instance, context, &object, chunk, 3, &page, sidecar) == STOWAGE_CORRUPT)
    #expect(AuthorHost.takeMessage() == "another length")
    sidecar[0] ^= 1
    #expect(transform.decode(instance, context, &object, chunk, 4, &page, sidecar) == STOWAGE_CORRUPT)
    sidecar[0] ^= 1
    var state: [UInt8] = [0]
    #expect(table.state_save?(instance, nil, 0, &length) == STOWAGE_TOO_BIG && length == 1)
    #expect(table.state_save?(instance, &state, 1, &length) == STOWAGE_OK && state == [3])
    // Another instance, with another option, decodes after it was given the state.
    let other = try tier.open(owner: owner, numbers: ["add": 100])
    #expect(table.state_load?(other, state, 1) == STOWAGE_OK)
    #expect(transform.decode(other, context, &object, chunk, 4, &page, sidecar) == STOWAGE_OK)
    #expect(page == [1, 2, 3, 254])
    var health = stowage_health()
    health.struct_size = UInt32(MemoryLayout<stowage_health>.size)
    #expect(table.health?(instance, &health) == STOWAGE_OK && health.state == STOWAGE_HEALTH_DEGRADED)
    table.thread_close?(instance, try #require(context))
    for instance in [instance, other] { table.close(instance) }
    #expect(AuthorHost.account(owner).bytes == 0)
    #expect(AuthorHost.account(owner).complaints == [])
  }

  @Test("the backing in C")
  func memory() throws { try TierChecks.all(Self.file("golden-memory.tier.so")) }

  @Test("two versions of one Swift tier in one process, each with its own code and types")
  func swift() throws {
    let tiers = try ["1.0.0", "1.1.0"].map { try LoadedTier(Self.file("swift-\($0)/golden-swift.tier.so")) }
    #expect(tiers.map { String(cString: $0.table.pointee.version) } == ["1.0.0", "1.1.0"])
    let owner = AuthorHost.newOwner()
    let instances = try tiers.map { try $0.open(owner: owner) }
    var contexts: [OpaquePointer?] = [nil, nil]
    for (index, tier) in tiers.enumerated() {
      #expect(tier.table.pointee.thread_open?(instances[index], 3, &contexts[index]) == STOWAGE_OK)
    }
    for _ in 0..<3 {
      for (index, tier) in tiers.enumerated() {
        var object = stowage_object(id: 1, epoch: 1, length: 3, flags: 0, reserved: 0)
        var (chunk, page, length) = ([UInt8](repeating: 0, count: 3), [UInt8](repeating: 0, count: 3), 0)
        let transform = try #require(tier.transform)
        #expect(
          transform.encode(instances[index], contexts[index], &object, [1, 2, 255], &chunk, 3, &length, nil)
            == STOWAGE_OK)
        let added = UInt8(index + 1)
        #expect(chunk == [1 + added, 2 + added, added - 1])
        #expect(transform.decode(instances[index], contexts[index], &object, chunk, 3, &page, nil) == STOWAGE_OK)
        #expect(page == [1, 2, 255])
        #expect(transform.decode(instances[index], contexts[index], &object, chunk, 2, &page, nil) == STOWAGE_CORRUPT)
        #expect(AuthorHost.takeMessage() == "another length")
      }
    }
    for (index, tier) in tiers.enumerated() {
      tier.table.pointee.thread_close?(instances[index], try #require(contexts[index]))
      tier.table.pointee.close(instances[index])
    }
    #expect(AuthorHost.account(owner).bytes == 0)
    #expect(AuthorHost.account(owner).complaints == [])
  }
}
