// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import StowageTrial

@Suite struct ProcessPagesTests {
  /// A shell that holds four million times the letter P in its memory.
  private static func holder() throws -> ChildProcess {
    try ChildProcess(shell: "x=$(head -c 4000000 /dev/zero | tr '\\0' P); echo ready; read y; echo $x")
  }

  private static func read(
    _ source: ProcessPages, _ positions: [UInt64], pageSize: Int
  ) -> [[UInt8]?] {
    var bytes = [UInt8](repeating: 0, count: positions.count * pageSize)
    var present = [Bool](repeating: false, count: positions.count)
    positions.withUnsafeBufferPointer { positions in
      bytes.withUnsafeMutableBytes { bytes in
        present.withUnsafeMutableBufferPointer { source.read(positions, into: bytes, present: $0) }
      }
    }
    return positions.indices.map { present[$0] ? Array(bytes[$0 * pageSize..<($0 + 1) * pageSize]) : nil }
  }

  private static func positions(_ pages: PageRuns) -> [UInt64] {
    var positions: [UInt64] = []
    pages.forEachEvenly(pages.count) { positions.append($0) }
    return positions
  }

  @Test(.timeLimit(.minutes(1)), arguments: [4096, 16384])
  func findsAndReadsTheMemoryOfAChild(pageSize: Int) throws {
    let holder = try Self.holder()
    let pid = holder.pid
    let (source, pages) = try ProcessPages.plan(pid: pid, pageSize: pageSize)
    let positions = Self.positions(pages)
    let pattern = [UInt8](repeating: UInt8(ascii: "P"), count: pageSize)
    let found = Self.read(source, positions, pageSize: pageSize)
    #expect(found.allSatisfy { $0 != nil })
    // One copy of the text at least, the pages at its ends and those across larger pages aside.
    #expect(found.count { $0 == pattern } >= 4_000_000 / pageSize - 8)
    #expect(source.name.hasPrefix("process \(pid) ("))
    #expect(source.describe(2) == "\(source.name), address 0x" + String(2 * pageSize, radix: 16))

    holder.end()
    #expect(Self.read(source, Array(positions.prefix(10)), pageSize: pageSize).allSatisfy { $0 == nil })
  }

  @Test func saysWhatIsWrongWithAProcess() {
    #expect(throws: TrialError.input("there is no process 2147483646; 'ps' lists those that run")) {
      try ProcessPages.plan(pid: 2_147_483_646, pageSize: 4096)
    }
    let denied = ProcessPages.explain(Errno(EACCES), pid: 7)
    #expect(denied.contains("process 7") && denied.contains("root"))
    #expect(denied.contains(geteuid() == 0 ? "CAP_SYS_PTRACE" : "ptrace_scope"))
  }

  @Test func readsMappings() throws {
    let text = """
      55d0c0e00000-55d0c0e21000 rw-p 00000000 00:00 0                          [heap]
      Size:                132 kB
      Anonymous:            64 kB
      AnonHugePages:         0 kB
      7f0000000000-7f0000001000 r--s 00000000 fe:00 123   /usr/lib/a file
      Anonymous:             0 kB
      ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
      """
    let mappings = MemoryMapping.all(in: text)
    try #require(mappings.count == 3)
    #expect(mappings[0].addresses == 0x55d0_c0e0_0000..<0x55d0_c0e2_1000)
    #expect(mappings[0].isReadable && mappings[0].isPrivate && mappings[0].anonymousBytes == 65536)
    #expect(mappings[1].isReadable && !mappings[1].isPrivate)
    #expect(!mappings[2].isReadable)
  }

  @Test func listsProcessesLargestFirst() throws {
    let holder = try Self.holder()
    let list = ProcessList.largestFirst(leastAge: 0)
    #expect(list.contains { $0.pid == holder.pid && $0.anonymousBytes > 3_000_000 })
    #expect(!list.contains { $0.pid == getpid() })
    #expect(zip(list, list.dropFirst()).allSatisfy { $0.anonymousBytes >= $1.anonymousBytes })
    #expect(ProcessList.anonymousBytes(inStatus: "Name:\tx\nRssAnon:\t     112 kB\nVmLck: 3 kB\n") == 114_688)
    #expect(ProcessList.anonymousBytes(inStatus: "Name:\tkthread\n") == nil)
  }

  @Test(.timeLimit(.minutes(1))) func aHelperThatFailsIsNoticed() throws {
    let helper = try DataHolderProcess(bytes: 1, seed: 0, program: "/bin/true")
    #expect(try helper.waitUntilReady() == false)
  }
}
