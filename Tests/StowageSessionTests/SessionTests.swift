// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// Sessions as their users meet them: the shipped tiers over a real file, or a disk in memory that can be damaged.
@Suite(.serialized) struct SessionTests {
  /// A store with a session, and pages that are known.
  private struct Rig {
    let folder: TemporaryFolder
    var size: Int64 = 64 << 20
    var keyFile: String?
    var cipher = true
    var zstdLevel: Int64 = 1
    var memory = 8 << 20

    init() throws {
      folder = try TemporaryFolder()
      let key = folder.file("key")
      try Data((0..<32).map { UInt8(truncatingIfNeeded: $0 &* 11 &+ 3) }).write(to: key)
      chmod(key.path, 0o600)
      keyFile = key.path
    }

    var fileName = "swap"
    var workers = 2
    var file: String { folder.file(fileName).path }

    func chain() throws -> [ChainTier] {
      var lz4 = ChainTier(try TierLibrary.shipped("lz4"))
      lz4.limit = 1 << 20
      var zstd = ChainTier(try TierLibrary.shipped("zstd"))
      zstd.options["level"] = .number(zstdLevel)
      var chain = [lz4, zstd, ChainTier(try TierLibrary.shipped("brotli"))]
      if cipher {
        var aes = ChainTier(try TierLibrary.shipped("aes-gcm"))
        if let keyFile { aes.options["key-file"] = .text(keyFile) }
        chain.append(aes)
      }
      var swap = ChainTier(try TierLibrary.shipped("swapfile"))
      swap.options = ["path": .text(file), "size": .number(size)]
      return chain + [swap]
    }

    func open(
      _ start: SessionConfiguration.Start, name: String = "test", attributes: [String: String] = ["kernel": "6.1"],
      isOnce: Bool = false, destructor: Destructor? = nil
    ) throws -> Store {
      var configuration = StoreConfiguration(memoryLimit: memory)
      configuration.workers = workers
      configuration.session = SessionConfiguration(name: name, attributes: attributes, isOnce: isOnce, start: start)
      return try Store(configuration: configuration, chain: try chain(), destructor: destructor)
    }
  }

  private func put(_ store: Store, _ versions: Range<UInt64>, kind: PageKind = .persistent) throws -> [Handle: UInt64] {
    let page = PageBuffer()
    var pages: [Handle: UInt64] = [:]
    for version in versions {
      ChurnJournal.fill(page.bytes, version: version)
      pages[try store.put(page.read, tag: version, kind: kind)] = version
    }
    return pages
  }

  private func check(_ store: Store, _ pages: [Handle: UInt64]) throws {
    let (page, wanted) = (PageBuffer(), PageBuffer())
    var wrong = 0
    for (handle, version) in pages {
      let tag = try store.peek(handle, into: page.bytes)
      ChurnJournal.fill(wanted.bytes, version: version)
      if memcmp(page.bytes.baseAddress!, wanted.bytes.baseAddress!, 4096) != 0 || tag & 0xFFFF_FFFF != tag {
        wrong += 1
      }
    }
    #expect(wrong == 0, "\(wrong) of \(pages.count) pages are wrong")
    var count = 0
    try store.forEachPage { _ in count += 1 }
    #expect(count == pages.count)
  }

  private func fault(_ body: () throws -> Void) -> SessionFault? {
    do { try body() } catch StoreError.session(let fault, let text) {
      #expect(!text.isEmpty)
      return fault
    } catch { Issue.record("\(error)") }
    return nil
  }

  @Test("suspended and resumed, again and again, with the five shipped tiers")
  func rounds() throws {
    let rig = try Rig()
    let dropped = Locked<[DropReason: Int]>([:])
    var store = try rig.open(.create(replacing: false), destructor: { page in
      dropped.withLock { $0[page.reason, default: 0] += 1 }
    })
    var pages = try put(store, 1..<6000)
    let discardable = try put(store, 100_000..<100_500, kind: .discardable)
    for round in 0..<3 {
      let report = try store.suspend()
      #expect(report.pages == pages.count)
      if round == 0 {
        let drops = dropped.withLock { $0 }
        #expect(drops.values.reduce(0, +) == discardable.count && (drops[.suspended] ?? 0) > 0, "\(drops)")
        #expect(drops[.closed] == nil)
      }
      let unused = PageBuffer()
      #expect(throws: StoreError.closed) { try store.put(unused.read, tag: 0) }
      store = try rig.open(.resume(force: false))
      try check(store, pages)
      for handle in discardable.keys.prefix(50) {
        #expect(throws: StoreError.staleHandle(handle)) { try store.discard(handle) }
      }
      // Some go, some come, some change.
      let page = PageBuffer()
      for handle in pages.keys.sorted(by: { $0.rawValue < $1.rawValue }).prefix(500) {
        try store.take(handle, into: page.bytes)
        pages[handle] = nil
      }
      for handle in pages.keys.sorted(by: { $0.rawValue < $1.rawValue }).prefix(500) {
        let version = UInt64(round + 10) * 10_000 + handle.rawValue & 0xFFFF
        ChurnJournal.fill(page.bytes, version: version)
        try store.replace(handle, with: page.read)
        pages[handle] = version
      }
      let base = UInt64(round + 1) * 20_000
      pages.merge(try put(store, base..<base + 700)) { old, _ in
        Issue.record("a handle was given twice")
        return old
      }
    }
    store.close()
  }

  @Test("a second checkpoint after one page in a hundred has changed writes less than 3 % of the first")
  func incremental() throws {
    var rig = try Rig()
    // All of it in RAM, so that the first checkpoint writes everything.
    rig.memory = 160 << 20
    let store = try rig.open(.create(replacing: false))
    let pages = try put(store, 1..<20_001)
    let first = try store.checkpoint()
    let nothing = try store.checkpoint()
    let page = PageBuffer()
    for (number, handle) in pages.keys.enumerated() where number % 100 == 0 {
      ChurnJournal.fill(page.bytes, version: 500_000 + UInt64(number))
      try store.replace(handle, with: page.read)
    }
    let second = try store.checkpoint()
    print("checkpoints: first \(first.bytesWritten), unchanged \(nothing.bytesWritten), 1 % \(second.bytesWritten)")
    #expect(first.isWhole && !second.isWhole)
    #expect(second.pagesWritten == 200)
    #expect(Double(second.bytesWritten) < 0.03 * Double(first.bytesWritten))
    #expect(nothing.bytesWritten <= 16 * 4096)
    store.close()
  }

  @Test("pages written in pairs are in step in every checkpoint, while others write")
  func consistentCut() throws {
    let rig = try Rig()
    let store = try rig.open(.create(replacing: false))
    _ = try put(store, 1..<3000)
    let page = PageBuffer()
    var pairs: [(Handle, Handle)] = []
    for _ in 0..<8 {
      ChurnJournal.fill(page.bytes, version: 1 << 20)
      let first = try store.put(page.read, tag: 0)
      pairs.append((first, try store.put(page.read, tag: 0)))
    }
    let stops = Locked(false)
    let known = pairs
    let ended = DispatchSemaphore(value: 0)
    for worker in 0..<2 {
      Thread {
        let page = PageBuffer()
        var round: UInt64 = 1 << 20
        while !stops.withLock({ $0 }) {
          round += 1
          for (first, second) in known[worker * 4..<worker * 4 + 4] {
            ChurnJournal.fill(page.bytes, version: round)
            try? store.replace(first, with: page.read)
            try? store.replace(second, with: page.read)
          }
        }
        ended.signal()
      }.start()
    }
    for _ in 0..<12 { try store.checkpoint() }
    stops.withLock { $0 = true }
    for _ in 0..<2 { ended.wait() }
    store.close()
    let resumed = try rig.open(.resume(force: false))
    for (first, second) in pairs {
      try resumed.peek(first, into: page.bytes)
      let one = ChurnJournal.version(of: page.read)
      try resumed.peek(second, into: page.bytes)
      let two = ChurnJournal.version(of: page.read)
      #expect(one == two || one == two + 1, "\(one) and \(two)")
    }
    resumed.close()
  }

  @Test("under another name or other attributes it is refused with both sides named; force overrides")
  func foreign() throws {
    let rig = try Rig()
    try { try rig.open(.create(replacing: false)) }().close()
    #expect(fault { _ = try rig.open(.resume(force: false)) } == SessionFault.none)
    let store = try rig.open(.create(replacing: false), isOnce: true)
    let pages = try put(store, 1..<300)
    try store.suspend()
    #expect(fault { _ = try rig.open(.create(replacing: false)) } == .exists)
    do { _ = try rig.open(.resume(force: false), attributes: ["kernel": "6.2"]) } catch {
      #expect("\(error)".contains("'6.1'") && "\(error)".contains("'6.2'"), "\(error)")
    }
    #expect(fault { _ = try rig.open(.resume(force: false), attributes: ["kernel": "6.2"]) } == .foreign)
    #expect(fault { _ = try rig.open(.resume(force: false), attributes: [:]) } == .foreign)
    #expect(fault { _ = try rig.open(.resume(force: false), name: "other") } == .foreign)
    let once = try rig.open(.resume(force: false))
    try check(once, pages)
    once.close()
    #expect(fault { _ = try rig.open(.resume(force: false)) } == .used)
    let forced = try rig.open(.resume(force: true), name: "other")
    try check(forced, pages)
    forced.close()
    let looked = try rig.open(.inspect, name: "whatever")
    try check(looked, pages)
    #expect(throws: StoreError.self) { try looked.checkpoint() }
    looked.close()
    let replaced = try rig.open(.create(replacing: true))
    replaced.close()
    #expect(fault { _ = try rig.open(.resume(force: true)) } == SessionFault.none)
  }

  @Test("a store without a session does not write over one")
  func noSession() throws {
    let rig = try Rig()
    let store = try rig.open(.create(replacing: false))
    _ = try put(store, 1..<300)
    try store.suspend()
    #expect(fault {
      _ = try Store(configuration: StoreConfiguration(memoryLimit: 8 << 20), chain: try rig.chain())
    } == .exists)
  }

  @Test("keys: ephemeral ones refuse with what to do; another key and another tier are named")
  func keys() throws {
    var rig = try Rig()
    let keyFile = rig.keyFile
    rig.keyFile = nil
    let ephemeral = try rig.open(.create(replacing: false))
    _ = try put(ephemeral, 1..<100)
    do {
      try ephemeral.suspend()
      Issue.record("it was suspended")
    } catch {
      #expect("\(error)".contains("key-file") && "\(error)".contains("aes-gcm"), "\(error)")
    }
    #expect(try put(ephemeral, 200..<210).count == 10)
    ephemeral.close()
    rig.keyFile = keyFile
    let store = try rig.open(.create(replacing: false))
    let pages = try put(store, 1..<2000)
    try store.suspend()
    let other = rig.folder.file("other")
    try Data(repeating: 9, count: 32).write(to: other)
    chmod(other.path, 0o600)
    rig.keyFile = other.path
    #expect(fault { _ = try rig.open(.resume(force: false)) } == .tier)
    rig.cipher = false
    #expect(fault { _ = try rig.open(.resume(force: false)) } == .tier)
    (rig.cipher, rig.keyFile) = (true, keyFile)
    let rekeyed = try rig.open(.resume(force: false))
    try rekeyed.rekey(tier: "aes-gcm", options: ["key-file": .text(other.path)])
    try rekeyed.suspend()
    #expect(fault { _ = try rig.open(.resume(force: false)) } == .tier)
    rig.keyFile = other.path
    let last = try rig.open(.resume(force: false))
    try check(last, pages)
    last.close()
  }

  @Test("pages are taken over to another session under the same handles; no handle is given twice")
  func adoption() throws {
    var rig = try Rig()
    let store = try rig.open(.create(replacing: false))
    var pages = try put(store, 1..<3000)
    let words = try (0..<40).map { number in
      let page = PageBuffer()
      page.bytes.initializeMemory(as: UInt8.self, repeating: UInt8(number))
      return try store.put(UnsafeRawBufferPointer(page.bytes), tag: 1_000_000 + UInt64(number))
    }
    // Some go, and the run ends without their being known: handles given then are known to nobody.
    let gone = Array(pages.keys.prefix(500))
    let page = PageBuffer()
    for handle in gone {
      try store.take(handle, into: page.bytes)
      pages[handle] = nil
    }
    try store.suspend()
    let source = try rig.open(.inspect)
    var target = rig
    target.size *= 2
    let folder = try TemporaryFolder()
    let other = folder.file("key")
    try Data((0..<32).map { UInt8($0) }).write(to: other)
    chmod(other.path, 0o600)
    target.keyFile = other.path
    target.fileName = "other"
    let copy = try target.open(.create(replacing: false))
    let adopted = try copy.adoptPages(of: source)
    #expect(Set(adopted.map(\.handle)) == Set(pages.keys).union(words))
    #expect(throws: StoreError.self) { try copy.adoptPages(of: source) }
    for summary in adopted {
      #expect(try copy.peek(summary.handle, into: page.bytes) == summary.tag)
      #expect(page.bytes.allSatisfy { $0 == 0 })
      try source.peek(summary.handle, into: page.bytes)
      try copy.replace(summary.handle, with: UnsafeRawBufferPointer(page.bytes))
    }
    source.close()
    try copy.suspend()
    let resumed = try target.open(.resume(force: false))
    for (number, handle) in words.enumerated() {
      #expect(try resumed.peek(handle, into: page.bytes) == 1_000_000 + UInt64(number))
      #expect(page.bytes.allSatisfy { $0 == UInt8(number) })
    }
    for handle in words { try resumed.discard(handle) }
    try check(resumed, pages)
    for handle in gone + words {
      #expect(throws: StoreError.staleHandle(handle)) { try resumed.peek(handle, into: page.bytes) }
    }
    let fresh = Set(try put(resumed, 50_000..<51_000).keys)
    #expect(fresh.count == 1000 && fresh.isDisjoint(with: pages.keys) && fresh.isDisjoint(with: gone))
    resumed.close()
    rig.keyFile = other.path
    #expect(fault { _ = try rig.open(.resume(force: false)) } == .tier)
  }

  @Test("changing how a session is kept uses nothing up: neither that it is suspended, nor its one use")
  func altering() throws {
    var rig = try Rig()
    let store = try rig.open(.create(replacing: false), isOnce: true)
    let pages = try put(store, 1..<500)
    try store.suspend()
    func description() throws -> SessionDescription {
      var tier = ChainTier(try TierLibrary.shipped("swapfile"))
      tier.options = ["path": .text(rig.file), "open": .text("read-only")]
      return try Store.describeSession(in: tier, pageSize: 4096)
    }
    // Ended before anything was changed.
    try rig.open(.alter, isOnce: true).close()
    #expect(try description().isSuspended && !description().isUsed)
    let other = rig.folder.file("other-key")
    try Data((0..<32).map { UInt8($0) }).write(to: other)
    chmod(other.path, 0o600)
    let altered = try rig.open(.alter, isOnce: true)
    try altered.rekey(tier: "aes-gcm", options: ["key-file": .text(other.path)])
    try altered.suspend()
    #expect(try description().isSuspended && description().isOnce && !description().isUsed)
    rig.keyFile = other.path
    let resumed = try rig.open(.resume(force: false), isOnce: true)
    try check(resumed, pages)
    resumed.close()
    #expect(try description().isUsed && !description().isSuspended)
    try rig.open(.alter, isOnce: true).suspend()
    #expect(try description().isUsed && !description().isSuspended)
  }

  /// Each request is held for a while: all of them are soon, and who has one must not wait for another.
  @Test("loading ahead with as many threads as requests ends as fast as the disk is")
  func manyWorkers() throws {
    let tier = try TestTier(.disk)
    var disk = ChainTier(tier.table)
    disk.options["slots"] = .number(8192)
    var configuration = StoreConfiguration(memoryLimit: 96 << 20)
    configuration.workers = 24
    configuration.deadline = .seconds(4)
    configuration.session = SessionConfiguration(name: "many", start: .create(replacing: false))
    let store = try Store(configuration: configuration, chain: [disk])
    // Nothing that compresses: each is a frame.
    var pages: [Handle: UInt64] = [:]
    for version in UInt64(0)..<6000 { pages.merge(try put(store, version * 4 + 3..<version * 4 + 4)) { old, _ in old } }
    for _ in 0..<8 {
      try store.flush()
      let reads = tier[.reads]
      tier.set(.delayMicroseconds, 1000)
      let report = try store.preload()
      tier.set(.delayMicroseconds, 0)
      #expect(report.pages == pages.count && report.pagesLeft == 0 && tier[.reads] - reads == pages.count)
      #expect(report.duration_ns < 4_000_000_000)
    }
    try check(store, pages)
    store.close()
  }

  @Test("a long index is written before a suspend stops everything, a short one with the one last checkpoint")
  func longIndex() throws {
    var rig = try Rig()
    (rig.cipher, rig.size, rig.memory) = (false, 256 << 20, 400 << 20)
    let page = PageBuffer()
    for count in [1000, 3_600_000] {
      let store = try rig.open(.create(replacing: count > 1000))
      // Of one word: 20 bytes of index each, and nothing else.
      page.bytes.initializeMemory(as: UInt8.self, repeating: 7)
      for tag in 0..<count { _ = try store.put(page.read, tag: UInt64(tag)) }
      let report = try store.suspend()
      #expect(report.sequence == (count > 1000 ? 2 : 1) && report.pages == count, "\(report)")
      #expect(report.indexBytes >= count * 20 && report.indexBytes < count * 21 + 131_072, "\(report)")
    }
    let resumed = try rig.open(.resume(force: false))
    var tags: UInt64 = 0
    try resumed.forEachPage { tags &+= $0.tag }
    #expect(tags == 3_600_000 * 3_599_999 / 2)
    resumed.close()
  }

  @Test("tiers may be configured otherwise when the session is resumed")
  func otherOptions() throws {
    var rig = try Rig()
    let store = try rig.open(.create(replacing: false))
    var pages = try put(store, 1..<3000)
    try store.suspend()
    for level in [3, 7] {
      rig.zstdLevel = Int64(level)
      rig.memory = level == 3 ? 12 << 20 : 7 << 20
      let resumed = try rig.open(.resume(force: false))
      try check(resumed, pages)
      pages.merge(try put(resumed, UInt64(level) * 10_000..<UInt64(level) * 10_000 + 1500)) { old, _ in old }
      try resumed.suspend()
    }
    let last = try rig.open(.resume(force: false))
    try check(last, pages)
    last.close()
  }

  @Test("a full disk refuses the checkpoint, and harms nothing")
  func fullDisk() throws {
    var rig = try Rig()
    rig.size = 2 << 20
    let store = try rig.open(.create(replacing: false))
    var pages: [Handle: UInt64] = [:]
    var version: UInt64 = 3
    do {
      while pages.count < 10_000 {
        // Nothing that compresses.
        pages.merge(try put(store, version..<version + 1)) { old, _ in old }
        version += 4
      }
    } catch StoreError.full { }
    switch Result(catching: { () throws(StoreError) in try store.checkpoint() }) {
    case .success: Issue.record("there was room for \(pages.count) pages")
    case .failure(.full(let reason)): #expect(reason.contains("swapfile"), "\(reason)")
    case .failure(let error): Issue.record("\(error)")
    }
    try check(store, pages)
    let page = PageBuffer()
    for handle in pages.keys.prefix(pages.count * 3 / 4) {
      try store.take(handle, into: page.bytes)
      pages[handle] = nil
    }
    try store.suspend()
    let resumed = try rig.open(.resume(force: false))
    try check(resumed, pages)
    resumed.close()
  }

  @Test("slots that only the last checkpoint needs become room before a put is refused")
  func roomFromCheckpoints() throws {
    var rig = try Rig()
    rig.size = 18 << 20
    let store = try rig.open(.create(replacing: false))
    var pages: [Handle: UInt64] = [:]
    var version: UInt64 = 3
    // As much as the disk and the RAM hold, some times over: what was stored is replaced all the time.
    let page = PageBuffer()
    var handles: [Handle] = []
    var random = SeededRandom(TestSeed.value, #function)
    for round in 0..<12_000 {
      ChurnJournal.fill(page.bytes, version: version)
      if round < 2500 {
        handles.append(try store.put(page.read, tag: version))
        pages[handles[round]] = version
      } else {
        let handle = handles[random.below(handles.count)]
        try store.replace(handle, with: page.read)
        pages[handle] = version
      }
      if round == 2500 { try store.checkpoint() }
      version += 4
    }
    #expect(try #require(store.sessionSummary).sequence > 1, "no checkpoint was made for room")
    try check(store, pages)
    try store.suspend()
    let resumed = try rig.open(.resume(force: false))
    try check(resumed, pages)
    resumed.close()
  }
}
