// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// The memory limit, as the store counts it and as the kernel does.
  @Suite struct MemoryLimitTests {
    /// Anonymous memory of this process that is present.
    private func anonymousBytes() -> Int {
      let file = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      return withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 1) { buffer in
        let count = max(0, read(file, buffer.baseAddress, buffer.count))
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }) else { return 0 }
        return (Int(line.filter(\.isNumber)) ?? 0) * 1024
      }
    }

    /// Puts, takes and replaces at random, and gives the most that the process grew by.
    private func churn(_ store: Store, pages: Int, _ before: Int) -> Int {
      let handles = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: pages)
      handles.initialize(repeating: 0)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
      defer {
        handles.deallocate()
        buffer.deallocate()
      }
      var most = 0
      var word: UInt64 = 88172645463325252
      func next() -> Int {
        word ^= word << 13
        word ^= word >> 7
        word ^= word << 17
        return Int(word >> 16)
      }
      for index in 0..<pages {
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        for offset in stride(from: 0, to: 600 + next() % 2000, by: 8) {
          buffer.storeBytes(of: UInt64(next()), toByteOffset: offset & ~7, as: UInt64.self)
        }
        do throws(StoreError) {
          let page = UnsafeRawBufferPointer(buffer)
          handles[index] = try store.put(page, tag: UInt64(index), kind: index % 5 == 0 ? .discardable : .persistent)
            .rawValue
          if index % 3 == 1 { try store.replace(Handle(rawValue: handles[next() % index]), with: page) }
          if index % 2 == 1 { try store.take(Handle(rawValue: handles[next() % index]), into: buffer) }
        } catch { if case .full = error { break } }
        if index % 500 == 0 { most = max(most, anonymousBytes() - before) }
      }
      return max(most, anonymousBytes() - before)
    }

    @Test("what the process grows by stays within the limit and agrees with the statistics", arguments: [6, 24, 64])
    func resident(_ megabytes: Int) throws {
      let (squeeze, _) = faultyTransform("squeeze")
      let (pack, knobs) = faultyTransform("pack")
      knobs[.contextBytes] = 60_000
      let (cipher, _) = faultyTransform("cipher")
      let (backing, _) = faultyBacking(slots: 60000)
      var configuration = StoreConfiguration(memoryLimit: megabytes << 20)
      configuration.workers = 2
      trimHeap()
      let before = anonymousBytes()
      let store = try Store(configuration: configuration, chain: [squeeze, pack, cipher, backing])
      let grown = churn(store, pages: 4000 + megabytes * 700, before)
      let now = store.statistics()
      #expect(now.ramPeakBytes <= now.memoryLimit + now.memoryLimit / 25, "\(now.ramPeakBytes) of \(now.memoryLimit)")
      #expect(now.ramPeakBytes >= now.memoryLimit * 7 / 10, "the run was too small: \(now.ramPeakBytes)")
      #expect(grown <= now.memoryLimit * 110 / 100, "grown by \(grown), limit \(now.memoryLimit)")
      let least = now.ramPeakBytes * 90 / 100
      let most = now.ramPeakBytes * 110 / 100 + 512 * 1024
      #expect((least...most).contains(grown), "grown by \(grown), statistics say \(now.ramPeakBytes)")
      store.close()
      let left = { () -> Int in
        trimHeap()
        return anonymousBytes() - before
      }
      _ = consume store
      #expect(left() < grown / 4 + (1 << 20), "\(left()) bytes are left after closing")
    }

    @Test("contexts of many calling threads are within the limit", arguments: [100_000, 400_000])
    func callersContexts(_ contextBytes: Int) throws {
      let (squeeze, knobs) = faultyTransform("squeeze")
      knobs[.contextBytes] = contextBytes
      let (backing, _) = faultyBacking(slots: 20000)
      let rig = try Rig([squeeze, backing], memory: 12 << 20, store: nil, isManual: false)
      try rig.put(6000)
      rig.settle()
      let store = rig.store
      let handles = rig.handles
      let wrong = Atomic<Int>(0)
      let threads = (0..<12).map { number in
        Background {
          let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
          defer { page.deallocate() }
          for round in 0..<300 {
            let handle = handles[(round * 31 + number * 97) % handles.count]
            if (try? store.peek(handle, into: page)) == nil { wrong.add(1, ordering: .relaxed) }
          }
        }
      }
      for thread in threads { thread.join() }
      rig.settle()
      #expect(wrong.load(ordering: .relaxed) == 0)
      let now = rig.statistics
      let isWithin = now.ramPeakBytes <= now.memoryLimit
      #expect(isWithin, "\(now.ramPeakBytes) of \(now.memoryLimit)")
      rig.expectTakesAll()
    }

    @Test("tables of same-filled pages count against the limit too")
    func sameFilled() throws {
      let rig = try Rig([], memory: 4 << 20, store: nil)
      var count = 0
      var refusal: StoreError?
      while count < 400_000, refusal == nil {
        do throws(StoreError) {
          _ = try rig.putWord(UInt64(count) &* 77)
          count += 1
        } catch { refusal = error }
      }
      guard case .full = refusal else { Issue.record("\(count) pages, \(String(describing: refusal))"); return }
      #expect(count > 50_000)
      #expect(rig.statistics.ramPeakBytes <= 4 << 20)
    }
  }
}
