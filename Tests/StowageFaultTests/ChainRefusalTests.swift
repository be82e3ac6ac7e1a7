// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Testing

extension FaultTests {
  /// Chains and settings that are refused, with one clear message; nothing stays open.
  @Suite struct ChainRefusalTests {
    private func refusal(_ chain: [ChainTier], _ change: (inout StoreConfiguration) -> Void = { _ in }) -> String {
      var configuration = StoreConfiguration(memoryLimit: 16 << 20)
      configuration.workers = 2
      change(&configuration)
      do throws(StoreError) {
        let store = try Store(configuration: configuration, chain: chain)
        store.close()
        return "accepted"
      } catch {
        guard case .configuration(let reason) = error else { return "another error: \(error)" }
        return reason
      }
    }

    @Test("a backing above a cipher") func backingAboveCipher() {
      let (backing, disk) = faultyBacking()
      let (cipher, knobs) = faultyTransform("cipher")
      #expect(
        refusal([backing, cipher])
          == "backing '\(disk.name)' stands above the cipher '\(knobs.name)', so pages would reach it in the clear; place the cipher (priority 500) above it"
      )
      #expect(disk[.opens] == 0 && knobs[.opened] == 0)
    }

    @Test("a lossy tier") func lossy() {
      let (tier, knobs) = faultyTransform("squeeze-lossy")
      #expect(
        refusal([tier])
          == "tier '\(knobs.name)' is lossy and may not hold the only copy of a page, as every tier of a chain does; take it out"
      )
    }

    @Test("two tiers of one name, or one named as the store") func names() {
      let (tier, knobs) = faultyTransform("squeeze")
      #expect(
        refusal([tier, tier]) == "two tiers of the chain are named '\(knobs.name)'; give one of them another name")
      var other = tier
      other.name = "store"
      #expect(refusal([other]).contains("'store'"))
    }

    @Test("the ninth transform of frames") func ninthTransform() {
      var chain: [ChainTier] = []
      for _ in 0..<8 { chain.append(faultyTransform("cipher").tier) }
      let (backing, _) = faultyBacking()
      #expect(refusal(chain + [backing]) == "accepted")
      let (ninth, knobs) = faultyTransform("cipher")
      chain.append(ninth)
      #expect(
        refusal(chain + [backing])
          == "tier '\(knobs.name)' is the ninth transform below the last compressor; at most 8 are possible")
    }

    @Test("a compressor that keeps bytes beside each object") func sidecar() {
      let (tier, knobs) = faultyTransform("squeeze-sidecar")
      let reason = refusal([tier])
      #expect(reason.hasPrefix("tier '\(knobs.name)' keeps 8 bytes beside each object"))
      #expect(reason.contains("must preserve length"))
    }

    @Test("page sizes", arguments: [0, -4096, 1, 2048, 4095, 5000, 12288, 131_072, Int.max, Int.min])
    func pageSize(_ size: Int) {
      #expect(
        refusal([]) { $0.pageSize = size } == "page size \(size) is not a power of two from 4096 to 65536")
    }

    @Test("every page size that is possible works", arguments: [4096, 8192, 16384, 32768, 65536])
    func goodPageSize(_ size: Int) throws {
      let (pack, _) = faultyTransform("pack", limit: 0)
      let (cipher, _) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([pack, cipher, backing], memory: 24 << 20, store: 2 << 20) { $0.pageSize = size }
      try rig.put((6 << 20) / size, payload: size / 3)
      rig.settle()
      #expect(rig.level(3).pages > 0)
      #expect(disk[.violations] == 0)
      rig.expectTakesAll()
    }

    @Test("too little memory, and what would do", arguments: [Int.min, -1, 0, 1, 65536, 1 << 20])
    func memory(_ bytes: Int) throws {
      let (squeeze, _) = faultyTransform("squeeze")
      let (backing, _) = faultyBacking()
      let reason = refusal([squeeze, backing]) { $0.memoryLimit = bytes }
      #expect(reason.hasPrefix("a memory limit of \(bytes) bytes is too little"))
      #expect(reason.contains("at least"))
    }

    @Test("a store opens with the memory that a refusal asks for, and holds pages then")
    func leastMemory() throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      let (backing, _) = faultyBacking()
      knobs[.contextBytes] = 500_000
      var limit = 1
      for _ in 0..<4 {
        let reason = refusal([squeeze, backing]) { $0.memoryLimit = limit }
        guard reason != "accepted" else { break }
        limit = try #require(reason.split(separator: " ").compactMap { Int($0) }.last)
      }
      #expect(knobs[.opened] == knobs[.closed])
      let rig = try Rig([squeeze, backing], memory: limit, store: nil, isManual: false)
      try rig.put(200)
      rig.settle()
      rig.expectTakesAll()
      #expect(rig.statistics.ramPeakBytes <= limit + limit / 50)
    }

    @Test("a memory limit beyond all bounds is no crash") func boundless() throws {
      for bytes in [Int.max, Int.max / 2 + 1, 1 << 60, 1 << 48] {
        let reason = refusal([]) { $0.memoryLimit = bytes }
        #expect(reason == "accepted" || reason.contains("memory limit"), "\(reason)")
      }
    }

    @Test("negative limits, by name") func negative() throws {
      let (squeeze, knobs) = faultyTransform("squeeze", limit: -1)
      #expect(refusal([squeeze]) == "the limit of '\(knobs.name)' is -1 bytes, it cannot be negative")
      #expect(refusal([]) { $0.storeLimit = -7 } == "the limit of 'store' is -7 bytes, it cannot be negative")
      let rig = try Rig([faultyTransform("squeeze").tier])
      #expect(throws: StoreError.self) { try rig.store.setLimit(-1, level: 0) }
      #expect(throws: StoreError.self) { try rig.store.setLimit(0, level: 2) }
      #expect(throws: StoreError.self) { try rig.store.setLimit(0, level: -1) }
      #expect(throws: StoreError.self) { try rig.store.setMemoryLimit(0) }
      #expect(throws: StoreError.self) { try rig.store.setMemoryLimit(-1) }
      #expect(throws: StoreError.self) { try rig.store.setMemoryLimit(.max) }
      try rig.put(300)
      rig.expectTakesAll()
    }

    @Test("workers and deadlines that make no sense") func otherSettings() {
      #expect(refusal([]) { $0.workers = 0 } == "0 workers are not possible, 1 to 64 are")
      #expect(refusal([]) { $0.workers = -3 }.contains("-3 workers"))
      #expect(refusal([]) { $0.workers = 65 }.contains("65 workers"))
      let (backing, _) = faultyBacking()
      // A call cannot end in no time: every one would count as failed.
      #expect(refusal([backing]) { $0.deadline = .zero }.contains("deadline"))
      #expect(refusal([backing]) { $0.deadline = .seconds(-1) }.contains("deadline"))
      var impatient = backing
      impatient.deadline = .zero
      #expect(refusal([impatient]).contains("deadline"))
    }

    @Test("buffers of another size than a page") func wrongSize() throws {
      let rig = try Rig([])
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 8)
      defer { page.deallocate() }
      page.initializeMemory(as: UInt8.self, repeating: 3)
      let handle = try rig.put()
      for count in [0, 1, 4095, 4097, 8192] {
        let part = UnsafeMutableRawBufferPointer(rebasing: page[0..<count])
        let expected = StoreError.wrongSize(given: count, pageSize: 4096)
        #expect(throws: expected) { try rig.store.put(UnsafeRawBufferPointer(part), tag: 0) }
        #expect(throws: expected) { try rig.store.replace(handle, with: UnsafeRawBufferPointer(part)) }
        #expect(throws: expected) { try rig.store.take(handle, into: part) }
        #expect(throws: expected) { try rig.store.peek(handle, into: part) }
      }
      #expect(throws: StoreError.wrongSize(given: 0, pageSize: 4096)) {
        try rig.store.put(UnsafeRawBufferPointer(start: nil, count: 0), tag: 0)
      }
      rig.expectTakesAll()
    }

    @Test("warnings: compressors below a cipher or a backing, a chain that ends in a transparent tier")
    func warnings() throws {
      let (cipher, cipherKnobs) = faultyTransform("cipher")
      let (late, lateKnobs) = faultyTransform("squeeze")
      let (backing, disk) = faultyBacking()
      let (last, lastKnobs) = faultyTransform("pack")
      let rig = try Rig([cipher, late, backing, last])
      #expect(
        rig.store.warnings == [
          "compressor '\(lateKnobs.name)' stands below '\(cipherKnobs.name)', where there is nothing left to compress: it is passed over; place it above",
          "compressor '\(lastKnobs.name)' stands below '\(disk.name)', where there is nothing left to compress: it is passed over; place it above",
        ])
      #expect(rig.level(2).note == "passed over: below '\(cipherKnobs.name)'")
      try rig.put(300)
      rig.settle()
      #expect(lateKnobs[.encodes] == 0 && lastKnobs[.encodes] == 0)
      rig.expectTakesAll()

      let (only, onlyKnobs) = faultyTransform("pack")
      let small = try Rig([only])
      #expect(small.store.warnings.count == 1)
      #expect(small.store.warnings.first?.contains("'\(onlyKnobs.name)'") == true)
    }
  }
}
