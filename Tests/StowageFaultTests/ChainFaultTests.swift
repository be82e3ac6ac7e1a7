// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// Changes of the chain that go wrong, or come at a bad moment.
  @Suite struct ChainFaultTests {
    private func rig(_ chain: [ChainTier], destructor: Destructor? = nil) throws -> Rig {
      try Rig(chain, isManual: false, { $0.isChainChangeable = true }, destructor: destructor)
    }

    private func refusal(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return "nothing was thrown"
    }

    @Test("a backing leaves while a call of it hangs: it is not closed, and the late end comes to its own port",
      arguments: ["faulty", "faulty-async"], [BackingKnob.hangTrim, .hangWrite])
    func hangingCallStays(_ form: String, _ hang: BackingKnob) throws {
      let (old, knobs) = faultyBacking(form, slots: 600)
      let (next, _) = faultyBacking()
      let rig = try rig([old])
      knobs[hang] = 1
      // Nothing is to hang on when this ends early.
      defer { knobs[hang] = 0 }
      if hang == .hangWrite { knobs[.hangSlot] = 5 }
      _ = rig.putUntilFull(most: 300)
      #expect(rig.wait(seconds: 8) { rig.level(1).pages > 50 || rig.putUntilFull(most: 20) != nil })
      try rig.store.addTier(next)
      #expect(try rig.store.removeTier(named: knobs.name, timeout: .seconds(20)) == .removed)
      #expect(rig.store.levelNames == ["store", next.name])
      // What it held went down, and its slots were trimmed, which hangs too.
      #expect(rig.wait { knobs[.hanging] > 0 })
      #expect(knobs[.opens] == 1 && knobs[.closes] == 0)
      try rig.put(200)
      rig.settle()
      rig.expectAllRight()

      knobs[hang] = 0
      #expect(rig.wait { knobs[.hanging] == 0 && knobs[.inside] == 0 })
      sleepBriefly(milliseconds: 50)
      try rig.put(200)
      rig.settle()
      rig.expectTakesAll()
      // Nothing stays pinned: not the segment that the late write was made from either.
      #expect(rig.wait { rig.store.waitUntilSettled(timeout: .seconds(1)) && rig.level(0).poolBytes <= 128 << 10 })
      #expect(knobs[.violations] == 0)
      #expect(rig.drops.all.isEmpty)
    }

    @Test("a backing that is refused when its port was made leaves nothing behind, and comes in later",
      arguments: [true, false])
    func refusedLate(_ forMemory: Bool) throws {
      let (squeeze, _) = faultyTransform("squeeze")
      let (disk, knobs) = faultyBacking("faulty-context")
      let rig = try rig([squeeze])
      try rig.put(50)
      rig.settle()
      let roomy = rig.statistics.memoryLimit
      if forMemory {
        let words = refusal { try rig.store.setMemoryLimit(1) }.split(separator: " ")
        try rig.store.setMemoryLimit(try #require(words.compactMap { Int($0) }.last))
      } else {
        knobs[.refusal] = Code.io
      }
      let before = rig.statistics
      let reason = refusal { try rig.store.addTier(disk) }
      #expect(reason.contains(forMemory ? "too little for this chain" : "told to fail opening a context"), "\(reason)")
      #expect(knobs[.opens] == 1 && knobs[.closes] == 1 && knobs[.contextsOpen] == 0 && knobs[.violations] == 0)
      #expect(rig.store.levelNames == ["store", squeeze.name])
      #expect(rig.statistics.workspaceBytes == before.workspaceBytes)
      #expect(rig.wait { callingThreads(of: disk.name) == 0 })
      rig.expectAllRight()

      if forMemory { try rig.store.setMemoryLimit(roomy) } else { knobs[.refusal] = 0 }
      try rig.store.addTier(disk)
      #expect(rig.store.levelNames == ["store", squeeze.name, disk.name])
      #expect(callingThreads(of: disk.name) > 0)
      try rig.put(1500, payload: 4000)
      rig.settle()
      #expect(rig.level(2).pages > 0, "\(rig.whereabouts)")
      rig.expectTakesAll()
      #expect(knobs[.violations] == 0 && knobs[.contextsOpen] > 0)
    }

    @Test("a transform that gives no context leaves nothing behind, and comes in later") func refusedContext() throws {
      let (disk, _) = faultyBacking()
      let (squeeze, knobs) = faultyTransform("squeeze")
      let rig = try rig([disk])
      try rig.put(200)
      knobs[.contextCode] = Code.io
      knobs[.contextCharges] = -1
      #expect(refusal { try rig.store.addTier(squeeze) }.contains("told to fail opening a context"))
      #expect(knobs[.opened] == 1 && knobs[.closed] == 1 && knobs[.contexts] == 0 && knobs[.callsWhenClosed] == 0)
      #expect(rig.store.levelNames == ["store", disk.name])
      knobs[.contextCode] = 0
      try rig.store.addTier(squeeze)
      try rig.put(400)
      rig.settle()
      #expect(rig.level(1).pagesEntered > 0)
      rig.expectTakesAll()
      #expect(knobs[.callsWhenClosed] == 0)
    }

    @Test("a destructor that reads from the store and a change of the chain do not wait for each other")
    func readingDestructor() throws {
      let (disk, knobs) = faultyBacking(slots: 20000)
      let target = Locked<(store: Store, handle: Handle)?>(nil)
      let reads = Atomic<Int>(0)
      let failures = Locked<[String]>([])
      let rig = try rig([faultyTransform("squeeze", limit: 128 << 10).tier, disk]) { page in
        guard page.reason == .discardPoint, let (store, handle) = target.withLock({ $0 }) else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { buffer.deallocate() }
        do throws(StoreError) {
          try store.peek(handle, into: buffer)
          reads.add(1, ordering: .relaxed)
        } catch { failures.withLock { $0.append("\(error)") } }
      }
      try rig.put(400)
      rig.settle()
      #expect(rig.level(2).pages > 0)
      knobs[.readDelay] = 3000
      let store = rig.store
      target.withLock { $0 = (store, rig.handles[0]) }
      let stop = Atomic<Bool>(false)
      let putter = Background { putDiscardable(store, until: stop) }
      let changes = Atomic<Int>(0)
      let changer = Background {
        for number in 1...12 {
          // Destructors are at work whenever the chain changes.
          while reads.load(ordering: .relaxed) < 5 * number {
            guard !stop.load(ordering: .relaxed) else { return }
            sleepBriefly()
          }
          let (tier, _) = faultyTransform("squeeze")
          do {
            try store.addTier(tier)
            _ = try store.removeTier(named: tier.name, timeout: .seconds(20))
          } catch { failures.withLock { $0.append("change: \(error)") } }
          changes.add(1, ordering: .relaxed)
        }
      }
      _ = rig.wait(seconds: 30) { changes.load(ordering: .relaxed) == 12 }
      let (made, read) = (changes.load(ordering: .relaxed), reads.load(ordering: .relaxed))
      #expect(made == 12, "after 30 s only so many changes were made, and \(read) pages read")
      stop.store(true, ordering: .relaxed)
      putter.join()
      changer.join()
      target.withLock { $0 = nil }
      knobs[.readDelay] = 0
      #expect(failures.withLock { $0 } == [])
      #expect(reads.load(ordering: .relaxed) > 50)
      rig.expectAllRight()
    }

    @Test("a replacement is one change: refused for a mandatory tier and during a flush, with nothing left behind")
    func replacementIsOneChange() throws {
      let (squeeze, old) = faultyTransform("squeeze")
      let (cipher, cipherKnobs) = faultyTransform("cipher")
      let (disk, diskKnobs) = faultyBacking()
      let rig = try rig([squeeze, cipher, disk])
      try rig.put(300)
      let names = rig.store.levelNames

      let (otherCipher, otherKnobs) = faultyTransform("cipher")
      #expect(refusal { try rig.store.replaceTier(named: cipher.name, with: otherCipher) }.contains("is mandatory"))
      #expect(rig.store.levelNames == names && otherKnobs[.opened] == otherKnobs[.closed])

      // A flush that cannot go on holds no context, so that only its being under way stands in the way.
      diskKnobs[.writeCode] = Code.retry
      diskKnobs[.writeCharges] = -1
      let store = rig.store
      let flushed = Locked<String?>(nil)
      let flush = Background {
        do throws(StoreError) {
          try store.flush(timeout: .seconds(30))
          flushed.withLock { $0 = "done" }
        } catch { flushed.withLock { $0 = "\(error)" } }
      }
      #expect(rig.wait { rig.level(3).degraded != nil })
      let (next, knobs) = faultyTransform("squeeze")
      #expect(refusal { try store.replaceTier(named: squeeze.name, with: next) }.contains("a flush is under way"))
      #expect(flushed.withLock { $0 } == nil, "the flush has to be under way still")
      #expect(rig.store.levelNames == names && knobs[.opened] == 1 && knobs[.closed] == 1 && knobs[.contexts] == 0)
      // Nor is the one that was to be replaced on its way out.
      let entered = rig.level(1).pagesEntered
      diskKnobs[.writeCode] = 0
      flush.join()
      #expect(flushed.withLock { $0 } == "done")
      try rig.put(300)
      rig.settle()
      #expect(rig.level(1).pagesEntered > entered)

      try store.replaceTier(named: squeeze.name, with: next)
      try rig.put(300)
      rig.expectTakesAll()
      // Nothing is left that the old one encoded.
      #expect(try store.removeTier(named: squeeze.name) == .removed)
      #expect(store.levelNames == ["store", next.name, cipher.name, disk.name])
      #expect(old[.opened] == 1 && old[.closed] == 1 && old[.callsWhenClosed] == 0 && cipherKnobs[.opened] == 1)
    }
  }
}

/// Puts pages that may be dropped, until told to stop.
private func putDiscardable(_ store: Store, until stop: borrowing Atomic<Bool>) {
  let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
  defer { page.deallocate() }
  var number: UInt64 = 1 << 40
  while !stop.load(ordering: .relaxed) {
    page.initializeMemory(as: UInt8.self, repeating: 3)
    page.storeBytes(of: number, as: UInt64.self)
    number += 1
    _ = try? store.put(UnsafeRawBufferPointer(page), tag: number, kind: .discardable)
  }
}
