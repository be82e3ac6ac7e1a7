// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// Flushing while others put.
  @Suite struct FlushTests {
    @Test("a flush ends when what was there at its beginning is down, however much comes in meanwhile",
      arguments: [true, false])
    func whilePutting(_ hasPack: Bool) throws {
      let (first, upper) = faultyBacking("faulty-transient", slots: 3000)
      let (second, _) = faultyBacking(slots: 20000)
      // Slow enough to never be empty.
      upper[.readDelay] = 100
      let pack = hasPack ? [faultyTransform("pack", limit: 128 << 10).tier] : []
      let rig = try Rig(pack + [first, second], isManual: false)
      try rig.put(600)
      rig.settle()
      let before = Set(rig.handles)
      let store = rig.store
      let stop = Atomic<Bool>(false)
      let putter = Background {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { page.deallocate() }
        var recent: [Handle] = []
        var number: UInt64 = 1 << 40
        while !stop.load(ordering: .relaxed) {
          page.initializeMemory(as: UInt8.self, repeating: 3)
          page.storeBytes(of: number, as: UInt64.self)
          number += 1
          // Those from before go, so that the backings do not fill.
          if let handle = try? store.put(UnsafeRawBufferPointer(page), tag: number) { recent.append(handle) }
          guard recent.count == 2000 else { continue }
          for handle in recent[..<1000] { try? store.discard(handle) }
          recent.removeFirst(1000)
        }
      }
      defer {
        stop.store(true, ordering: .relaxed)
        putter.join()
      }
      sleepBriefly(milliseconds: 50)
      let took = try milliseconds { try store.flush(timeout: .seconds(10)) }
      #expect(took < 8000, "\(took) ms")
      #expect(store.statistics().levels[hasPack ? 3 : 2].pages >= before.count, "\(rig.whereabouts)")
      rig.expectAllRight()
    }

    @Test("a flush into a full backing says so soon, though others keep the engine busy")
    func intoFull() throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 256 << 10)
      let (disk, _) = faultyBacking(slots: 60)
      let rig = try Rig([squeeze, disk], isManual: false)
      guard case .full = rig.putUntilFull() else { Issue.record("never full"); return }
      let store = rig.store
      let stop = Atomic<Bool>(false)
      // One page fewer and one more, over and over.
      let last = rig.handles[rig.handles.count - 1]
      let busy = Background {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { page.deallocate() }
        var handle = last
        while !stop.load(ordering: .relaxed) {
          _ = try? store.take(handle, into: page)
          if let next = try? store.put(UnsafeRawBufferPointer(page), tag: 0) { handle = next }
        }
      }
      defer {
        stop.store(true, ordering: .relaxed)
        busy.join()
      }
      let took = milliseconds {
        do throws(StoreError) {
          try store.flush(timeout: .seconds(10))
          Issue.record("flush succeeded")
        } catch { #expect({ if case .full = error { true } else { false } }(), "\(error)") }
      }
      #expect(took < 5000, "\(took) ms")
    }
  }
}
