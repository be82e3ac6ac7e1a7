// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// Rules 1 to 3: what put, take, peek, touch, discard and limits mean.
  @Suite struct PageRuleTests {
    @Test("rule 1: a page comes back with its tag, under a handle of its own")
    func tags() throws {
      let rig = try Rig([])
      try rig.put(30)
      #expect(Set(rig.handles).count == 30)
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { page.deallocate() }
      for handle in rig.handles {
        #expect(try rig.store.peek(handle, into: page) == rig.seed(handle))
        #expect(try rig.store.take(handle, into: page) == rig.seed(handle))
      }
      let word = try rig.putWord(.max)
      #expect(try rig.store.take(word, into: page) == .max)
    }

    @Test("rule 1: replace gives new contents under the same handle and tag, at every level")
    func replace() throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (backing, _) = faultyBacking()
      let rig = try Rig([pack, backing])
      try rig.put(600)
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { page.deallocate() }
      for handle in rig.handles where handle.rawValue % 3 == 0 {
        let tag = try rig.store.peek(handle, into: page)
        try rig.replace(handle, payload: 700)
        #expect(try rig.store.peek(handle, into: page) == tag)
      }
      rig.settle()
      #expect(rig.statistics.replaces == 200)
      rig.expectTakesAll()
    }

    @Test("rule 1: who looks while a page is replaced sees the old contents or the new, whole")
    func replaceIsAtomic() throws {
      let rig = try Rig([faultyTransform("squeeze").tier], isManual: false)
      let store = rig.store
      func fill(_ page: UnsafeMutableRawBufferPointer, _ value: UInt8) {
        page.initializeMemory(as: UInt8.self, repeating: value)
        page[0] = 1
      }
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { page.deallocate() }
      fill(page, 2)
      let handle = try store.put(UnsafeRawBufferPointer(page), tag: 5)
      let torn = Atomic<Int>(0)
      let stop = Atomic<Bool>(false)
      let reader = Background {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
        defer { page.deallocate() }
        while !stop.load(ordering: .relaxed) {
          guard (try? store.peek(handle, into: page)) == 5 else {
            torn.add(1, ordering: .relaxed)
            continue
          }
          let value = page[1]
          if !page[1...].allSatisfy({ $0 == value }) { torn.add(1, ordering: .relaxed) }
        }
      }
      for round in 0..<3000 {
        fill(page, UInt8(truncatingIfNeeded: round))
        try store.replace(handle, with: UnsafeRawBufferPointer(page))
        if round % 5 == 0 { try rig.put() }
      }
      stop.store(true, ordering: .relaxed)
      reader.join()
      #expect(torn.load(ordering: .relaxed) == 0)
    }

    @Test("rule 1: a page of one repeated word costs no chunk")
    func sameFilled() throws {
      let (backing, disk) = faultyBacking()
      let rig = try Rig([backing])
      let words: [UInt64] = (0..<2000).map { $0 % 7 == 0 ? 0 : $0 &* 0x0123_4567_89AB_CDEF }
      let handles = try words.map { word throws(StoreError) in try rig.putWord(word) }
      #expect(rig.statistics.sameFilledPages == 2000)
      #expect(rig.statistics.pages == 2000)
      #expect(rig.statistics.levels.allSatisfy { $0.pages == 0 && $0.chunkBytes == 0 })
      #expect(disk[.writes] == 0)
      let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
      defer { page.deallocate() }
      for (handle, word) in zip(handles, words) {
        #expect(try rig.store.take(handle, into: page) == word)
        let right = page.bindMemory(to: UInt64.self).allSatisfy { $0 == word }
        #expect(right)
      }
      #expect(rig.statistics.sameFilledPages == 0)
      // One bit away from it: an ordinary page. Same-filled ones become ordinary and back.
      page.initializeMemory(as: UInt8.self, repeating: 0)
      page[4095] = 1
      let odd = try rig.store.put(UnsafeRawBufferPointer(page), tag: 0)
      #expect(rig.statistics.sameFilledPages == 0 && rig.level(0).pages == 1)
      page[4095] = 0
      try rig.store.replace(odd, with: UnsafeRawBufferPointer(page))
      #expect(rig.statistics.sameFilledPages == 1 && rig.level(0).pages == 0)
      try rig.replace(odd)
      #expect(rig.statistics.sameFilledPages == 0)
      #expect(rig.take(odd) == .right)
    }

    @Test("rule 2: take ends a handle; discard ends it unread; stale handles are refused for ever")
    func stale() throws {
      let rig = try Rig([])
      let first = try rig.put()
      #expect(rig.take(first) == .right)
      let second = try rig.put()
      try rig.store.discard(second)
      rig.forget([second])
      for _ in 0..<200 { try rig.put() ; #expect(rig.take(rig.handles[0]) == .right) }
      for handle in [first, second, Handle(rawValue: 0), Handle(rawValue: .max), Handle(rawValue: 77 << 32 | 9)] {
        #expect(rig.take(handle) == .failed(.staleHandle(handle)))
        #expect(rig.peek(handle) == .failed(.staleHandle(handle)))
        #expect(throws: StoreError.staleHandle(handle)) { try rig.store.touch(handle) }
        #expect(throws: StoreError.staleHandle(handle)) { try rig.store.discard(handle) }
        #expect(throws: StoreError.staleHandle(handle)) { try rig.replace(handle) }
      }
      #expect(rig.statistics.takes == 201 && rig.statistics.discards == 1)
      #expect(rig.drops.all.isEmpty)
    }

    @Test("rules 2 and 3: the oldest go down first; peek changes nothing, touch and replace make a page the youngest")
    func order() throws {
      let (backing, disk) = faultyBacking()
      let rig = try Rig([backing])
      try rig.put(40)
      #expect(rig.level(1).pages == 0)
      let early = rig.handles
      for handle in early[2...5] { #expect(rig.peek(handle) == .right) }
      try rig.store.touch(early[0])
      try rig.store.touch(early[1])
      try rig.replace(early[3])
      try rig.put(100)
      rig.settle()
      let moved: [Handle] = [early[0], early[1], early[3]]
      let order = early.filter { !moved.contains($0) } + moved + rig.handles[40...]
      let down = rig.slots(disk, of: 2000)
      #expect(down.count == rig.level(1).pages && down.count > 60)
      #expect(Set(down.keys) == Set(order.prefix(down.count)))
      // Slots are handed out in order: what is older stands before what is younger.
      let bySlot = down.sorted { $0.value < $1.value }.map(\.key)
      #expect(bySlot == Array(order.prefix(down.count)))
      // From below, touch brings a page back to the young end of the store.
      try rig.store.touch(order[5])
      #expect(rig.level(1).pages == down.count - 1)
      try rig.put(20)
      #expect(rig.slots(disk, of: 2000).count > down.count - 1)
      rig.expectTakesAll()
    }

    @Test("rule 3: nothing moves below the high watermark; above it, down to the low one")
    func watermarks() throws {
      let (backing, disk) = faultyBacking()
      let rig = try Rig([backing])
      var before = 0
      var jumps: [Int] = []
      for _ in 0..<300 {
        try rig.put()
        let now = rig.level(1).pages
        if now > before { jumps.append(now - before) }
        before = now
      }
      #expect(rig.level(0).ramBytes <= 256 << 10)
      #expect(jumps.count > 3)
      #expect(disk[.writes] >= jumps.count)
      rig.expectTakesAll()
    }

    @Test("rule 3: limits change while the store runs", arguments: [true, false])
    func changingLimits(_ isManual: Bool) throws {
      let (squeeze, _) = faultyTransform("squeeze", limit: 1 << 20)
      let (backing, _) = faultyBacking(slots: 5000)
      let rig = try Rig([squeeze, backing], memory: 12 << 20, store: 4 << 20, isManual: isManual)
      try rig.put(900)
      rig.settle()
      // 128 segments of 7 pages, drained from 120 down to 88, some of which takes and holes leave short.
      #expect((80 * 7...120 * 7).contains(rig.level(0).pages), "\(rig.level(0).pages)")
      try rig.store.setLimit(512 << 10, level: 0)
      rig.settle()
      #expect(rig.level(0).ramBytes <= 520 << 10)
      try rig.store.setLimit(0, level: 1)
      rig.settle()
      #expect(rig.level(1).pages == 0)
      try rig.store.setLimit(nil, level: 1)
      try rig.store.setLimit(nil, level: 0)
      try rig.put(300)
      rig.settle()
      try rig.store.setMemoryLimit(4 << 20)
      rig.settle()
      #expect(rig.statistics.memoryLimit == 4 << 20)
      #expect(rig.statistics.ramBytes <= 4 << 20, "\(rig.whereabouts)")
      try rig.put(200)
      rig.settle()
      #expect(rig.statistics.ramBytes <= 4 << 20)
      try rig.store.setMemoryLimit(16 << 20)
      try rig.put(200)
      rig.expectTakesAll()
    }
  }
}
