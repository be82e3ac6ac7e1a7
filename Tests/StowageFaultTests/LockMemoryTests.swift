// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization
import Testing

extension FaultTests {
  /// `locksMemory` where the system does not let us.
  @Suite struct LockMemoryTests {
    /// Takes the right to lock memory from this thread, and the room for it from the process, while `body` runs.
    private func withoutLocking(_ body: () throws -> Void) throws {
      var before = rlimit()
      let memlock = __rlimit_resource_t(8)
      getrlimit(memlock, &before)
      var none = rlimit(rlim_cur: 0, rlim_max: before.rlim_max)
      try #require(setrlimit(memlock, &none) == 0)
      defer { setrlimit(memlock, &before) }
      let rights = try Rights()
      rights.drop(bit: 14)  // CAP_IPC_LOCK
      defer { rights.restore() }
      try body()
    }

    /// This thread's capabilities, by the system calls' own structures.
    private struct Rights {
      private typealias Call = @convention(c) (UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>) -> Int32
      private let get: Call
      private let set: Call
      private var before = [UInt32](repeating: 0, count: 6)

      init() throws {
        get = unsafeBitCast(try #require(dlsym(nil, "capget")), to: Call.self)
        set = unsafeBitCast(try #require(dlsym(nil, "capset")), to: Call.self)
        var header: [UInt32] = [0x2008_0522, 0]
        try #require(get(&header, &before) == 0)
      }

      func drop(bit: UInt32) { apply { $0[0] &= ~(1 << bit) } }
      func restore() { apply { _ in } }

      /// Effective, permitted and inheritable bits, low words first.
      private func apply(_ change: (inout [UInt32]) -> Void) {
        var header: [UInt32] = [0x2008_0522, 0]
        var sets = before
        change(&sets)
        #expect(set(&header, &sets) == 0)
      }
    }

    @Test("memory that cannot be locked is said once, with what to do")
    func refused() throws {
      let said = Locked<[String]>([])
      HostTable.logger.withLock { $0 = { level, text in said.withLock { $0.append("\(level) \(text)") } } }
      defer { HostTable.logger.withLock { $0 = nil } }
      try withoutLocking {
        let rig = try Rig([faultyBacking().tier], drops: DropLog()) { $0.locksMemory = true }
        try rig.put(100)
        let about = rig.store.warnings.filter { $0.contains("lock") }
        #expect(about.count == 1, "\(rig.store.warnings)")
        #expect(about.allSatisfy { $0.contains("RLIMIT_MEMLOCK") }, "\(about)")
        try rig.put(400)
        #expect(said.withLock { $0.filter { $0.contains("lock") } }.count == 1, "\(said.withLock { $0 })")
        rig.expectTakesAll()
      }
    }

    @Test("memory that is locked is no warning, and so is none that need not be")
    func granted() throws {
      for locks in [true, false] {
        let rig = try Rig([faultyBacking().tier]) { $0.locksMemory = locks }
        try rig.put(100)
        #expect(!rig.store.warnings.contains { $0.contains("RLIMIT_MEMLOCK") } || locks && getuid() != 0)
        rig.expectTakesAll()
      }
    }
  }
}
