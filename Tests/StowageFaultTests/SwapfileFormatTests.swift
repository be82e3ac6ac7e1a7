// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

extension FaultTests {
  /// The swap file's first block and roots: damaged, torn, cut short; and the ways to open it.
  @Suite struct SwapfileFormatTests {
    private let folder: TemporaryFolder
    private let path: String

    /// Places in the file.
    private static let identity = 0..<56
    private static let roots = [8192, 16384]
    private static let rootLength = 8192
    private static let firstSlot = 65536

    init() throws {
      folder = try TemporaryFolder()
      path = folder.file("swap").path
    }

    private func open(_ mode: String = "create", size: Int64 = 1 << 20, io: String = "plain") throws -> OpenedTier {
      try OpenedTier("swapfile", ["path": .text(path), "open": .text(mode), "size": .number(size), "io": .text(io)])
    }

    private func root(_ mark: UInt8, _ count: Int = 100) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: $0) ^ mark }
    }

    /// A file with this many roots after one another; what it holds.
    @discardableResult private func make(roots: Int) throws -> [UInt8] {
      let tier = try open()
      try tier.write(3, 0x33)
      for mark in 0..<roots { try tier.swapRoot(to: root(UInt8(mark + 1))) }
      try tier.sync()
      tier.close()
      return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    private func put(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

    /// Only what is changed is written: the file is long.
    private func change(_ bytes: ArraySlice<UInt8>, at place: Int) {
      let file = Glibc.open(path, O_WRONLY | O_CLOEXEC)
      #expect(bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, place) } == bytes.count)
      Glibc.close(file)
    }

    private func expect(_ code: Int32, _ texts: [String], _ body: () throws -> Void) {
      let answer = TierAnswer.of(body)
      #expect(answer?.code == code, "\(String(describing: answer))")
      for text in texts + [path] { #expect(answer?.text.contains(text) == true, "\(String(describing: answer))") }
    }

    // MARK: Damage

    @Test("every bit of the first block counts: a flip is refused by name")
    func flippedIdentity() throws {
      let file = try make(roots: 1)
      for place in Self.identity {
        for bit in 0..<8 {
          change([file[place] ^ 1 << UInt8(bit)], at: place)
          let answer = TierAnswer.of { _ = try open("existing") }
          let expected = place < 16 ? STOWAGE_INVALID : STOWAGE_CORRUPT
          #expect(answer?.code == expected, "\(place): \(String(describing: answer))")
          #expect(answer?.text.contains(path) == true)
        }
        change([file[place]], at: place)
      }
      #expect(try open("existing").root() == root(1))
    }

    @Test("a flipped bit of a root costs nothing: the other copy says the same", arguments: [1, 2, 3])
    func flippedRoot(_ count: Int) throws {
      let file = try make(roots: count)
      for start in Self.roots {
        for place in start..<start + 64 + 100 {
          for bit in 0..<8 {
            change([file[place] ^ 1 << UInt8(bit)], at: place)
            let tier = try open("read-only")
            #expect(try tier.root() == root(UInt8(count)), "byte \(place), bit \(bit)")
          }
          change([file[place]], at: place)
        }
      }
    }

    @Test("with both copies damaged the file is refused, and with none yet it is new")
    func bothDamaged() throws {
      let file = try make(roots: 2)
      for start in Self.roots { change([file[start + 70] ^ 1], at: start + 70) }
      for mode in ["create", "existing", "read-only"] {
        expect(STOWAGE_CORRUPT, ["both copies of its root are damaged"]) { _ = try open(mode) }
      }
      for start in Self.roots { change([UInt8](repeating: 0, count: Self.rootLength)[...], at: start) }
      #expect(try open("existing").root() == [])
    }

    @Test("after damage to one copy the next root goes to that copy first, and both are whole again")
    func repaired() throws {
      for start in Self.roots {
        let file = try make(roots: 2)
        change([file[start + 30] ^ 4], at: start + 30)
        let tier = try open("existing")
        try tier.swapRoot(to: root(9))
        tier.close()
        let now = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(now[8192..<16384] == now[16384..<24576])
        #expect(try open("existing").root() == root(9))
        unlink(path)
      }
    }

    /// The file before its next root is swapped in, and after it.
    private func images(roots: Int, next: [UInt8]) throws -> (before: [UInt8], after: [UInt8]) {
      let before = try make(roots: roots)
      let tier = try open("existing")
      try tier.swapRoot(to: next)
      tier.close()
      return (before, Array(try Data(contentsOf: URL(fileURLWithPath: path))))
    }

    /// Writes some of a copy's sectors.
    private func copy(_ sectors: some Sequence<Int>, of image: [UInt8], at start: Int) {
      for sector in sectors {
        let place = start + 512 * sector
        change(image[place..<place + 512], at: place)
      }
    }

    @Test("a crash at any sector of a swap leaves the old root or the new one; the new one once it was acknowledged")
    func torn() throws {
      let (before, after) = try images(roots: 3, next: root(99, 4096))
      // The copy that is written first is the one that the loop finds; both orders are tried.
      var random = SeededRandom(TestSeed.value, #function)
      for (first, second) in [(Self.roots[0], Self.roots[1]), (Self.roots[1], Self.roots[0])] {
        for round in 0..<80 {
          // Sectors reach the disk in any order: a prefix first, later any subset.
          let written = (0..<16).filter { round < 17 ? $0 < round : random.one(in: 2) }
          for (isSecond, start) in [(false, first), (true, second)] {
            for other in Self.roots { copy(0..<16, of: before, at: other) }
            if isSecond { copy(0..<16, of: after, at: first) }
            copy(written, of: after, at: start)
            let found = try open("read-only").root()
            #expect(found == root(99, 4096) || (!isSecond && found == root(3)), "\(start), round \(round)")
          }
        }
      }
    }

    @Test("a crash in the very first swap leaves none or the first root")
    func tornFirst() throws {
      let (before, after) = try images(roots: 0, next: root(1, 4000))
      for start in Self.roots {
        for sectors in 0...16 {
          for other in Self.roots { copy(0..<16, of: before, at: other) }
          copy(0..<sectors, of: after, at: start)
          let found = try open("read-only").root()
          #expect(found == [] || found == root(1, 4000))
          #expect(sectors < 16 || found == root(1, 4000))
        }
      }
    }

    @Test("a root of another file, and one of before the file was made anew, are none of this one's")
    func foreignRoot() throws {
      let other = try make(roots: 5)
      unlink(path)
      try make(roots: 2)
      change(other[8192..<16384], at: 8192)
      #expect(try open("existing").root() == root(2))
      change(other[16384..<24576], at: 16384)
      expect(STOWAGE_CORRUPT, ["both copies"]) { _ = try open("existing") }
    }

    @Test(
      "a file that is cut short before its slots is refused, not made whole with an empty root",
      arguments: [true, false])
    func cutShort(_ creates: Bool) throws {
      try make(roots: 2)
      for length in [65535, 24576, 20000, 16384, 8192, 4096, 56] {
        truncate(path, off_t(length))
        expect(STOWAGE_CORRUPT, ["cut short"]) { _ = try open(creates ? "create" : "existing") }
      }
      truncate(path, 40)
      expect(STOWAGE_CORRUPT, ["first block"]) { _ = try open(creates ? "create" : "existing") }
    }

    @Test("a file of format 1, and one of a later format, are refused with what to do")
    func otherFormats() throws {
      var block = [UInt8](repeating: 0, count: 65536 + 4096)
      func fnv(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
      }
      func set(_ number: UInt64, _ count: Int, at place: Int) {
        for byte in 0..<count { block[place + byte] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(byte))) }
      }
      block.replaceSubrange(0..<16, with: "stowage swapfile".utf8)
      set(1, 4, at: 16)
      set(4096, 4, at: 20)
      set(fnv(block[0..<24]), 8, at: 24)
      try put(block)
      expect(STOWAGE_INVALID, ["format 1", "remove it"]) { _ = try open() }
      set(3, 4, at: 16)
      set(fnv(block[0..<48]), 8, at: 48)
      try put(block)
      expect(STOWAGE_INVALID, ["format 3", "format 2"]) { _ = try open() }
    }

    @Test("files have ids of their own")
    func ids() throws {
      var ids: Set<[UInt8]> = []
      for _ in 0..<8 {
        ids.insert(Array(try make(roots: 0)[24..<40]))
        unlink(path)
      }
      #expect(ids.count == 8)
    }

    // MARK: Ways to open

    @Test("existing: takes what is there as long as it is, and makes nothing", arguments: ["plain", "auto"])
    func existing(_ io: String) throws {
      expect(STOWAGE_GONE, ["does not exist"]) { _ = try open("existing", io: io) }
      #expect(!FileManager.default.fileExists(atPath: path))
      try put([])
      expect(STOWAGE_GONE, ["is empty"]) { _ = try open("existing", io: io) }
      #expect(FileManager.default.fileExists(atPath: path))
      unlink(path)
      let length = try make(roots: 1).count
      let tier = try open("existing", size: 1 << 24, io: io)
      #expect(tier.slotCount == (length - Self.firstSlot) / 4096)
      #expect(try tier.read(3) == 0x33)
      try tier.write(4, 0x44)
      #expect(try tier.read(4) == 0x44)
      tier.close()
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == length)
    }

    @Test("read-only: reads, changes nothing, and says so", arguments: ["plain", "auto"])
    func readOnly(_ io: String) throws {
      expect(STOWAGE_GONE, ["does not exist"]) { _ = try open("read-only", io: io) }
      #expect(!FileManager.default.fileExists(atPath: path))
      let before = try make(roots: 1)
      chmod(path, 0o444)
      let tier = try open("read-only", size: 1 << 24, io: io)
      #expect(try tier.read(3) == 0x33)
      #expect(try tier.root() == root(1))
      expect(STOWAGE_UNSUPPORTED, ["reading only"]) { try tier.write(3, 1) }
      expect(STOWAGE_UNSUPPORTED, ["reading only"]) { try tier.trim(3) }
      expect(STOWAGE_UNSUPPORTED, ["reading only"]) { try tier.swapRoot(to: root(2)) }
      try tier.sync()
      if io == "auto" {
        // Where the system has no io_uring there is nothing to submit to.
        try submits(tier)
      }
      tier.close()
      #expect(Array(try Data(contentsOf: URL(fileURLWithPath: path))) == before)
      var file = stat()
      #expect(stat(path, &file) == 0 && file.st_mode & 0o777 == 0o444)
    }

    private func submits(_ tier: OpenedTier) throws {
      if let answer = TierAnswer.of({ try tier.submit(STOWAGE_OPERATION_READ, slot: 3) }) {
        #expect(answer.code == STOWAGE_UNSUPPORTED)
        return
      }
      expect(STOWAGE_UNSUPPORTED, ["reading only"]) { try tier.submit(STOWAGE_OPERATION_WRITE, slot: 3) }
      expect(STOWAGE_UNSUPPORTED, ["reading only"]) { try tier.submit(STOWAGE_OPERATION_TRIM, slot: 3) }
      try tier.submit(STOWAGE_OPERATION_SYNC, slot: 0)
    }

    @Test("readers share the file; a store has it alone")
    func locks() throws {
      try make(roots: 1)
      let readers = try [open("read-only"), open("read-only")]
      for mode in ["create", "existing"] { expect(STOWAGE_RETRY, ["in use"]) { _ = try open(mode) } }
      for reader in readers { reader.close() }
      let store = try open("existing")
      expect(STOWAGE_RETRY, ["in use by a store"]) { _ = try open("read-only") }
      for mode in ["create", "existing"] { expect(STOWAGE_RETRY, ["another store"]) { _ = try open(mode) } }
      store.close()
      _ = try open("read-only")
    }

    // MARK: A disk that fails

    /// Puts something else behind the tier's descriptor, which cannot be synced, while the body runs.
    private func withBrokenDisk(_ body: () throws -> Void) throws {
      let name = try #require(
        FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").first {
          (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
        })
      let descriptor = try #require(Int32(name))
      let kept = dup(descriptor)
      var ends: [Int32] = [0, 0]
      pipe(&ends)
      dup2(ends[1], descriptor)
      defer {
        dup2(kept, descriptor)
        for file in ends + [kept] { Glibc.close(file) }
      }
      try body()
    }

    @Test(
      "a sync that failed stays failed: what was lost is not there at the second attempt", arguments: ["plain", "auto"])
    func failedSync(_ io: String) throws {
      try make(roots: 1)
      let tier = try open("existing", io: io)
      try withBrokenDisk {
        expect(STOWAGE_IO, ["could not bring it to the disk"]) { try tier.sync() }
      }
      // The disk is well again, but nobody knows what is on it.
      expect(STOWAGE_IO, ["before", "may be lost"]) { try tier.sync() }
      expect(STOWAGE_IO, ["may be lost"]) { try tier.swapRoot(to: root(2)) }
      if io == "auto" {
        let answer = TierAnswer.of { try tier.submit(STOWAGE_OPERATION_SYNC, slot: 0) }
        #expect([STOWAGE_IO, STOWAGE_UNSUPPORTED].contains(answer?.code ?? STOWAGE_OK))
      }
      #expect(try tier.root() == root(1))
      #expect(try tier.read(3) == 0x33)
      tier.close()
      let again = try open("existing", io: io)
      #expect(try again.root() == root(1))
      try again.swapRoot(to: root(2))
    }
  }
}
