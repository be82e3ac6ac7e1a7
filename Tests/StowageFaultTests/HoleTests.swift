// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// What pages that come and go leave behind in the pool, and stores that have nothing but RAM.
@Suite(.serialized) struct HoleTests {
  /// A store of one level in RAM, and what is in it.
  private final class Churn {
    let store: Store
    var handles: [Handle] = []
    private var versions: [UInt64] = []
    private var version: UInt64 = 0
    private var random: SeededRandom
    private let page = PageBuffer()
    private let wanted = PageBuffer()

    init(pages count: Int, memory: Int) throws {
      random = SeededRandom(TestSeed.value, "holes")
      var configuration = StoreConfiguration(memoryLimit: memory)
      configuration.storeLimit = 0
      var lz4 = ChainTier(try TierLibrary.shipped("lz4"))
      lz4.limit = memory
      store = try Store(configuration: configuration, chain: [lz4])
      for _ in 0..<count { try put(at: nil) }
    }

    private func put(at place: Int?) throws {
      version += 1
      ChurnJournal.fill(page.bytes, version: version)
      let handle = try store.put(page.read, tag: version)
      if let place {
        (handles[place], versions[place]) = (handle, version)
      } else {
        handles.append(handle)
        versions.append(version)
      }
    }

    /// Takes pages at random, and puts others in their place.
    func run(_ rounds: Int) throws {
      for _ in 0..<rounds {
        let place = Int.random(in: 0..<handles.count, using: &random)
        let tag = try store.take(handles[place], into: page.bytes)
        ChurnJournal.fill(wanted.bytes, version: versions[place])
        guard tag == versions[place], memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) == 0 else {
          throw TestFailure("page \(place) is wrong")
        }
        try put(at: place)
      }
    }

    var packing: Double {
      let level = store.statistics().levels[1]
      return Double(level.chunkBytes) / Double(max(1, level.poolBytes))
    }
  }

  @Test("what taken pages leave behind is squeezed out when nothing else is done")
  func leisure() throws {
    let churn = try Churn(pages: 30_000, memory: 256 << 20)
    defer { churn.store.close() }
    // All but one in three are gone: 12 MiB are left, of which a segment that is half full is 1 %.
    try churn.run(10_000)
    for place in churn.handles.indices where place % 3 != 0 { try churn.store.discard(churn.handles[place]) }
    let before = churn.packing
    var after = before
    for _ in 0..<100 where after < 0.95 {
      usleep(50_000)
      after = churn.packing
    }
    print("packed: \(before) before, \(after) after")
    #expect(before < 0.6 && after >= 0.95, "\(before), \(after)")
  }

  @Test("a put is not refused while holes would make room for it")
  func tight() throws {
    let churn = try Churn(pages: 20_000, memory: 256 << 20)
    defer { churn.store.close() }
    _ = churn.store.waitUntilSettled(timeout: .seconds(10))
    let statistics = churn.store.statistics()
    try churn.store.setMemoryLimit(statistics.ramBytes + max(6 << 20, statistics.levels[1].poolBytes / 10))
    try churn.run(40_000)
  }

  @Test("where RAM is all there is, rapid growth waits for the compressors")
  func onlyMemory() throws {
    var configuration = StoreConfiguration(memoryLimit: 48 << 20)
    configuration.workers = 2
    let chain = try ["lz4", "zstd", "brotli", "aes-gcm"].map { ChainTier(try TierLibrary.shipped($0)) }
    let store = try Store(configuration: configuration, chain: chain)
    defer { store.close() }
    let page = PageBuffer()
    var count = 0
    // Ends with an error when it is full.
    let outcome = Result { () throws(StoreError) in
      while count < 60_000 {
        ChurnJournal.fill(page.bytes, version: UInt64(count) * 4 + 2)
        _ = try store.put(page.read, tag: 0)
        count += 1
      }
    }
    let statistics = store.statistics()
    print("only memory: \(count) pages, \(statistics.ramBytes) bytes, \(statistics.skips) skips; \(outcome)")
    for level in statistics.levels {
      print("  \(level.name): \(level.pages) pages, \(level.pagesEntered) entered, \(level.pagesDemoted) demoted, pool \(level.poolBytes), chunks \(level.chunkBytes), limit \(level.limitBytes)")
    }
    // What is under the cipher has been packed: raw pages would take as much of it as in front of the compressors.
    let (packer, cipher) = (statistics.levels[3], statistics.levels[4])
    #expect(cipher.pagesEntered == packer.pagesDemoted && cipher.pages * 1024 >= cipher.chunkBytes)
    #expect(count * 4096 > 2 * statistics.ramBytes)
  }
}
