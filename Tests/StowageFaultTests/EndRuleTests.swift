// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// Rules 8 to 11 and flush: how pages end, holes close, and what happens when all is full.
  @Suite struct EndRuleTests {
    @Test("rule 8: discardable pages end at the first cipher, persistent ones go on")
    func discardPointCipher() throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (cipher, knobs) = faultyTransform("cipher", limit: 0)
      let (backing, _) = faultyBacking()
      let rig = try Rig([squeeze, cipher, backing])
      for index in 0..<600 { try rig.put(kind: index % 2 == 0 ? .discardable : .persistent) }
      let drops = rig.drops.all
      #expect(drops.count > 100)
      #expect(drops.allSatisfy { $0.reason == .discardPoint && $0.kind == .discardable && $0.level <= 1 })
      #expect(rig.level(3).discardablePages == 0 && rig.level(3).pages > 100)
      // Raw frames: one cipher call for each page that went past.
      #expect(knobs[.encodes] == rig.level(3).pages)
      // The oldest are the ones that ended.
      let discardable = rig.handles.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
      #expect(Set(drops.map(\.handle)) == Set(discardable.prefix(drops.count)))
      rig.forget(drops.map(\.handle))
      rig.expectTakesAll()
      #expect(rig.drops.all.count == drops.count)
    }

    @Test("rule 8: without a cipher they end at the first backing, or where they are told to")
    func discardPoints() throws {
      let rig = try Rig([faultyBacking().tier])
      try rig.put(200, kind: .discardable)
      #expect(rig.level(1).pages == 0 && rig.drops.of(.discardPoint).count > 100)
      #expect(rig.drops.all.allSatisfy { $0.level == 0 })

      var (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      squeeze.isDiscardPoint = true
      let other = try Rig([squeeze, faultyBacking().tier])
      try other.put(200, kind: .discardable)
      #expect(other.level(1).pages == 0 && other.drops.of(.discardPoint).count > 100)
      for rig in [rig, other] {
        rig.forget(rig.drops.all.map(\.handle))
        rig.expectTakesAll()
      }
    }

    @Test(
      "rule 8: where nothing is a discard point they are kept, packed apart, and give way to others when all is full",
      arguments: [true, false])
    func noRoom(_ isManual: Bool) throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      var (backing, _) = faultyBacking(slots: 100)
      backing.isDiscardPoint = false
      let rig = try Rig([pack, backing], isManual: isManual)
      rig.isPaced = true
      for index in 0..<300 { try rig.put(payload: 900, kind: index % 2 == 0 ? .discardable : .persistent) }
      rig.settle()
      #expect(rig.drops.all.isEmpty)
      #expect(rig.level(2).discardablePages > 0 || !isManual)
      // Persistent pages push them out, the last resort; then it is full.
      guard case .full = rig.putUntilFull(most: 2000, payload: 900) else { Issue.record("never full"); return }
      #expect(rig.statistics.discardablePages == 0)
      #expect(rig.drops.all.count == 150)
      #expect(rig.drops.all.allSatisfy { $0.reason == .noRoom && $0.kind == .discardable })
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectTakesAll()
      #expect(rig.drops.all.count == 150)
    }

    @Test("rule 8: a store of discardable pages alone never refuses, and loses its oldest", arguments: [true, false])
    func endlessCache(_ isManual: Bool) throws {
      let rig = try Rig([], memory: 2 << 20, store: nil, isManual: isManual)
      try rig.put(2000, kind: .discardable)
      rig.settle()
      let dropped = rig.drops.all
      #expect(dropped.count > 1000 && dropped.count < 1950)
      #expect(dropped.allSatisfy { $0.reason == .noRoom && $0.level == 0 })
      #expect(Set(dropped.map(\.handle)) == Set(rig.handles.prefix(dropped.count)))
      rig.forget(dropped.map(\.handle))
      rig.expectTakesAll()
    }

    @Test("rule 8: half-dead frames of discardable pages in a full backing do not keep the engine busy for ever")
    func sparseDiscardable() throws {
      let (pack, _) = faultyTransform("pack", limit: 64 << 10)
      var (backing, _) = faultyBacking(slots: 60)
      backing.isDiscardPoint = false
      let rig = try Rig([pack, backing], memory: 2 << 20)
      _ = rig.putUntilFull(most: 330, payload: 900, kind: .discardable)
      for (index, handle) in rig.handles.enumerated() where index % 4 != 0 { _ = rig.take(handle) }
      rig.settle()
      _ = rig.putUntilFull(most: 400, payload: 900)
      rig.settle()
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectTakesAll()
    }

    @Test("rule 9: a destructor runs once, on a thread of the engine, with the handle dead; the store can be called")
    func destructor() throws {
      final class Inner: Sendable {
        let store = Locked<Store?>(nil)
        let stale = Atomic<Int>(0)
        let other = Atomic<Int>(0)
        let puts = Atomic<Int>(0)
        let onCaller = Atomic<Int>(0)
      }
      let inner = Inner()
      let caller = pthread_self()
      let (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      let rig = try Rig([squeeze, faultyBacking().tier], isManual: false) { _ in
      } destructor: { page in
        if pthread_equal(pthread_self(), caller) != 0 { inner.onCaller.add(1, ordering: .relaxed) }
        guard page.reason != .closed, let store = inner.store.withLock({ $0 }) else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { buffer.deallocate() }
        do { try store.take(page.handle, into: buffer) } catch {
          if (error as? StoreError) == .staleHandle(page.handle) {
            inner.stale.add(1, ordering: .relaxed)
          } else {
            inner.other.add(1, ordering: .relaxed)
          }
        }
        _ = store.statistics()
        buffer.initializeMemory(as: UInt8.self, repeating: 5)
        buffer[9] = 6
        if let handle = try? store.put(UnsafeRawBufferPointer(buffer), tag: 1) {
          inner.puts.add(1, ordering: .relaxed)
          try? store.discard(handle)
        }
        _ = store.waitUntilSettled(timeout: .milliseconds(1))
        do { try store.flush(timeout: .milliseconds(1)) } catch {}
      }
      inner.store.withLock { $0 = rig.store }
      var count = 800
      for index in 0..<count { try rig.put(kind: index % 2 == 0 ? .discardable : .persistent) }
      rig.settle()
      // While others put without a pause there may be no room for a destructor's own put: it is refused, as it cannot wait.
      // Pages that come one by one leave some.
      while inner.puts.load(ordering: .relaxed) == 0, count < 1600 {
        try rig.put(kind: .discardable)
        rig.settle()
        count += 1
      }
      inner.store.withLock { $0 = nil }
      let drops = rig.drops.all.count
      #expect(drops > 100)
      #expect(inner.stale.load(ordering: .relaxed) == drops)
      #expect(inner.other.load(ordering: .relaxed) == 0)
      #expect(inner.puts.load(ordering: .relaxed) > 0)
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectAllRight()
      rig.store.close()
      #expect(inner.onCaller.load(ordering: .relaxed) == 0)
      #expect(Set(rig.drops.all.map(\.handle)).count == count)
      #expect(rig.drops.all.count == count)
      #expect(rig.drops.of(.closed).count == count - drops)
    }

    @Test("rule 9: under manual scheduling a destructor that puts into a full store is refused, not stuck")
    func destructorPutsWhenFull() throws {
      final class Weak: Sendable { let store = Locked<Store?>(nil) }
      let weak = Weak()
      let rig = try Rig([], memory: 2 << 20, store: nil) { _ in
      } destructor: { page in
        guard page.reason == .noRoom, let store = weak.store.withLock({ $0 }) else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 5)
        buffer[9] = 6
        for _ in 0..<20 { _ = try? store.put(UnsafeRawBufferPointer(buffer), tag: 1) }
        _ = store.waitUntilSettled(timeout: .milliseconds(1))
      }
      rig.isPaced = false
      weak.store.withLock { $0 = rig.store }
      try rig.put(10, kind: .discardable)
      _ = rig.putUntilFull(most: 1000)
      #expect(rig.drops.of(.noRoom).count == 10)
      weak.store.withLock { $0 = nil }
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectAllRight()
    }

    @Test("rule 9: every page ends exactly once: taken, discarded, dropped or closed")
    func exactlyOnce() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 64 << 10)
      let (backing, knobs) = faultyBacking(slots: 150)
      let rig = try Rig([pack, cipher, backing], isManual: false)
      var ended = 0
      var unreadable = 0
      for round in 0..<900 {
        if (try? rig.put(payload: 600, kind: round % 3 == 0 ? .discardable : .persistent)) == nil { break }
        if round == 500 {
          knobs[.flipSlot] = 20
          knobs[.flipCharges] = -1
        }
        if round % 4 == 1 {
          let handle = rig.handles[(round * 7919) % rig.handles.count]
          let outcome = rig.take(handle)
          if outcome == .right { ended += 1 }
          if outcome.isUnreadable { unreadable += 1 }
          #expect(outcome != .wrong)
        }
        if round % 9 == 2, (try? rig.store.discard(rig.handles[0])) != nil { ended += 1 }
      }
      let puts = rig.statistics.puts
      rig.store.close()
      let drops = rig.drops.all
      #expect(Set(drops.map(\.handle)).count == drops.count)
      #expect(drops.count + ended == puts)
      #expect(drops.filter { $0.reason == .unreadable }.count >= unreadable)
    }

    @Test("rule 10: an empty frame gives its slot back at once; sparse ones are compacted to make room")
    func compaction() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 0)
      let (backing, disk) = faultyBacking(slots: 120)
      let rig = try Rig([pack, cipher, backing])
      guard case .full = rig.putUntilFull(most: 2000, payload: 900) else { Issue.record("never full"); return }
      let whole = rig.handles.count
      #expect(rig.level(3).diskBytes == 120 * 4096)
      #expect(whole > 500)
      // Three of four pages go: the frames stay, nearly empty.
      for (index, handle) in rig.handles.enumerated() where index % 4 != 0 { #expect(rig.take(handle) == .right) }
      rig.clock?.advance(60_000)
      rig.settle()
      let left = rig.handles.count
      _ = rig.putUntilFull(most: 2000, payload: 900)
      #expect(rig.statistics.framesCompacted > 0)
      #expect(rig.handles.count > whole * 9 / 10, "\(rig.handles.count) instead of \(whole) pages: \(rig.whereabouts)")
      #expect(left < whole / 3)
      #expect(disk[.violations] == 0)
      rig.expectTakesAll()
      rig.settle()
      #expect(rig.level(3).diskBytes == 0)
      #expect(rig.drops.all.isEmpty)
    }

    @Test("rule 11: full means full: put and replace refuse, nothing is harmed, take works, then put works again",
      arguments: [true, false])
    func full(_ isManual: Bool) throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 128 << 10)
      let (backing, disk) = faultyBacking(slots: 100)
      let rig = try Rig([squeeze, pack, cipher, backing], isManual: isManual)
      rig.isPaced = true
      for _ in 0..<3 {
        guard case .full(let reason) = rig.putUntilFull(most: 3000, payload: 900) else {
          Issue.record("never full")
          return
        }
        #expect(reason.contains("take or discard pages"))
        let count = rig.handles.count
        #expect(rig.statistics.pages == count)
        rig.expectAllRight()
        // Every third page goes, from all levels. Not as many fit again: frames of which less than half is dead are not
        // taken apart.
        for (index, handle) in rig.handles.enumerated() where index % 3 == 0 { #expect(rig.take(handle) == .right) }
        rig.clock?.advance(60_000)
        rig.settle()
        let left = rig.handles.count
        let refusal = rig.putUntilFull(most: (count - left) / 4, payload: 900)
        #expect(refusal == nil, "\(rig.handles.count - left) of \(count - left): \(rig.whereabouts)")
        rig.expectAllRight()
        #expect(rig.statistics.ramPeakBytes <= rig.statistics.memoryLimit)
      }
      #expect(disk[.violations] == 0)
      rig.expectTakesAll()
      #expect(rig.drops.all.isEmpty)
    }

    @Test("rule 10: frames in RAM are moved together when others have left holes between them")
    func holesOfFrames() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 512 << 10)
      let (backing, _) = faultyBacking(slots: 40)
      let rig = try Rig([pack, cipher, backing])
      guard case .full = rig.putUntilFull(most: 3000, payload: 900) else { Issue.record("never full"); return }
      let whole = rig.handles.count
      let frames = rig.level(2).ramBytes
      // Neighbours go together, so whole frames end, a few in every segment.
      for (index, handle) in rig.handles.enumerated() where index / 8 % 2 == 0 { #expect(rig.take(handle) == .right) }
      rig.clock?.advance(60_000)
      rig.settle()
      let left = rig.handles.count
      _ = rig.putUntilFull(most: 3000, payload: 900)
      print("holes: \(whole) pages, \(left) left, \(rig.handles.count) again; \(frames) bytes of frames in RAM; \(rig.whereabouts)")
      #expect(rig.handles.count > whole * 9 / 10, "\(rig.handles.count) instead of \(whole) pages: \(rig.whereabouts)")
      rig.expectTakesAll()
    }

    @Test("rule 11: without any tier a store refuses at its limit")
    func fullAlone() throws {
      let rig = try Rig([], memory: 2 << 20, store: nil)
      guard case .full = rig.putUntilFull() else { Issue.record("never full"); return }
      #expect(rig.handles.count > 200)
      let first = rig.handles[0]
      // Replacing needs room too; the old contents stay when there is none.
      do { try rig.replace(first) } catch { #expect({ if case .full = error { true } else { false } }()) }
      #expect(rig.peek(first) == .right)
      for handle in rig.handles.prefix(20) { #expect(rig.take(handle) == .right) }
      try rig.put(10)
      rig.expectTakesAll()
    }

    @Test("flush sends every persistent page down and goes on serving", arguments: [true, false])
    func flush(_ isManual: Bool) throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 128 << 10)
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 128 << 10)
      let (backing, disk) = faultyBacking()
      let rig = try Rig([squeeze, pack, cipher, backing], isManual: isManual)
      for index in 0..<500 { try rig.put(payload: 900, kind: index % 5 == 0 ? .discardable : .persistent) }
      _ = try rig.putWord(7)
      try rig.store.flush(timeout: .seconds(10))
      #expect(rig.level(4).pages == 400)
      #expect((0..<4).allSatisfy { rig.level($0).pages == rig.level($0).discardablePages })
      #expect(disk[.syncs] == 1)
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectAllRight()
      try rig.put(50)
      try rig.store.flush(timeout: .seconds(10))
      #expect(rig.level(4).pages == 450)
      rig.forget(rig.drops.all.map(\.handle))
      rig.expectAllRight()
    }

    @Test("flush without a persistent tier is unsupported; one that is too small fails and keeps everything")
    func flushWithout() throws {
      for chain in [[], [faultyTransform("squeeze").tier], [faultyBacking("faulty-transient").tier]] {
        let rig = try Rig(chain)
        try rig.put(20)
        do {
          try rig.store.flush()
          Issue.record("flush succeeded")
        } catch { #expect({ if case .unsupported = error { true } else { false } }(), "\(error)") }
        rig.expectTakesAll()
      }
      let (small, _) = faultyBacking(slots: 30)
      let (lower, _) = faultyBacking("faulty-transient")
      for chain in [[small], [small, lower]] {
        let rig = try Rig(chain)
        try rig.put(50)
        #expect(throws: StoreError.self) { try rig.store.flush(timeout: .seconds(1)) }
        rig.expectTakesAll()
      }
    }
  }
}
