// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

extension FaultTests {
  /// The shipped swap file, cut short or altered under a running store.
  @Suite struct SwapfileTests {
    private static let image = Result {
      let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      return try FaultyTier.load(own.deletingLastPathComponent().appendingPathComponent("libswapfile-tier.so"))
    }
    private static let firstSlot = 65536

    private func opened(_ io: String, above: [ChainTier] = [], pages: Int = 400) throws -> (
      Rig, TemporaryFolder, String
    ) {
      let folder = try TemporaryFolder()
      let path = folder.file("swap").path
      var (tier, _) = (ChainTier(try Self.image.get().table, name: "swap"), 0)
      tier.options = ["path": .text(path), "size": .number(4 << 20), "io": .text(io)]
      let rig = try Rig(above + [tier], isManual: false) { $0.deadline = .seconds(5) }
      try rig.put(pages)
      rig.settle()
      return (rig, folder, path)
    }

    /// The pages in the file by their slots, as our pages begin with their numbers.
    private func slots(_ path: String, _ rig: Rig) throws -> [Handle: Int] {
      let file = try Data(contentsOf: URL(fileURLWithPath: path))
      var bySeed: [UInt64: Handle] = [:]
      for handle in rig.handles { bySeed[rig.seed(handle) | 0x5EED << 48] = handle }
      var found: [Handle: Int] = [:]
      var offset = Self.firstSlot
      while offset + 4096 <= file.count {
        let word = file.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        if let handle = bySeed[word] { found[handle] = (offset - Self.firstSlot) / 4096 }
        offset += 4096
      }
      return found
    }

    private func change(_ path: String, _ body: (Int32) -> Void) {
      let file = open(path, O_RDWR | O_CLOEXEC)
      #expect(file >= 0)
      body(file)
      fsync(file)
      close(file)
    }

    private func flip(_ file: Int32, slot: Int, byte: Int) {
      var value: UInt8 = 0
      let at = Self.firstSlot + slot * 4096 + byte
      pread(file, &value, 1, at)
      value ^= 0x10
      pwrite(file, &value, 1, at)
    }

    /// Takes every page: those in `damaged` are unreadable, named and dropped once, all others right.
    private func check(_ rig: Rig, damaged: Set<Handle>, contains texts: [String]) {
      var lost: Set<Handle> = []
      for handle in rig.handles {
        let outcome = rig.peek(handle)
        if outcome.isUnreadable {
          lost.insert(handle)
          for text in ["'swap'"] + texts { #expect(outcome.text.contains(text), "\(outcome.text)") }
        } else {
          #expect(outcome == .right)
        }
      }
      #expect(lost == damaged, "\(lost.count) instead of \(damaged.count)")
      #expect(rig.wait { rig.drops.all.count >= damaged.count })
      #expect(Set(rig.drops.all.map(\.handle)) == damaged)
      #expect(rig.drops.all.count == damaged.count)
      rig.forget(damaged)
    }

    @Test("a file that is cut short costs the pages past its end, named; the others stay, and the store goes on",
      arguments: ["plain", "auto"], [0, 70, 71])
    func cutShort(_ io: String, _ left: Int) throws {
      let (rig, folder, path) = try opened(io)
      let places = try slots(path, rig)
      #expect(places.count > 250)
      // In the middle of a slot, too.
      change(path) { file in _ = ftruncate(file, Self.firstSlot + left * 4096 + (left == 71 ? 1000 : 0)) }
      check(rig, damaged: Set(places.filter { $0.value >= left }.keys), contains: ["cut short", path])
      try rig.put(200)
      rig.settle()
      rig.expectTakesAll()
      _ = folder
    }

    @Test("altered bytes cost exactly their pages", arguments: ["plain", "auto"])
    func altered(_ io: String) throws {
      let (rig, folder, path) = try opened(io)
      let places = try slots(path, rig)
      var random = SeededRandom(TestSeed.value, #function)
      let chosen = places.sorted { $0.value < $1.value }.shuffled(using: &random).prefix(40)
      change(path) { file in
        for (_, slot) in chosen { flip(file, slot: slot, byte: random.below(4096)) }
      }
      check(rig, damaged: Set(chosen.map(\.key)), contains: ["checksum"])
      rig.expectTakesAll()
      _ = folder
    }

    @Test("two slots exchanged, or an older page in a slot: never another page's bytes", arguments: ["plain", "auto"])
    func exchanged(_ io: String) throws {
      let (rig, folder, path) = try opened(io)
      let places = try slots(path, rig)
      let two = Array(places.prefix(2))
      change(path) { file in
        var pages = [[UInt8]](repeating: [UInt8](repeating: 0, count: 4096), count: 2)
        for index in 0..<2 { pread(file, &pages[index], 4096, Self.firstSlot + two[index].value * 4096) }
        for index in 0..<2 { pwrite(file, pages[index], 4096, Self.firstSlot + two[1 - index].value * 4096) }
      }
      check(rig, damaged: Set(two.map(\.key)), contains: ["checksum"])
      rig.expectTakesAll()
      _ = folder
    }

    @Test("damage under packed and enciphered frames costs the pages of those frames", arguments: ["plain", "auto"])
    func damagedFrames(_ io: String) throws {
      let (pack, _) = faultyTransform("pack", limit: 128 << 10)
      let (cipher, _) = faultyTransform("cipher", limit: 0)
      let (rig, folder, path) = try opened(io, above: [pack, cipher], pages: 900)
      #expect(rig.level(3).pages > 300)
      change(path) { file in for slot in 10..<14 { flip(file, slot: slot, byte: 77) } }
      var unreadable = 0
      for handle in rig.handles {
        let outcome = rig.take(handle)
        if outcome.isUnreadable { unreadable += 1 } else { #expect(outcome == .right) }
      }
      #expect((4...16).contains(unreadable), "\(unreadable)")
      #expect(rig.wait { rig.drops.all.count == unreadable })
      _ = folder
    }

    @Test("a file that is removed under the store still serves it", arguments: ["plain", "auto"])
    func removed(_ io: String) throws {
      let (rig, folder, path) = try opened(io)
      unlink(path)
      try rig.put(200)
      rig.settle()
      try rig.store.flush(timeout: .seconds(5))
      rig.expectTakesAll()
      _ = folder
    }

    @Test(
      "a file that keeps changing under many takes: right bytes or an error, never a crash",
      arguments: ["plain", "auto"])
    func hostile(_ io: String) throws {
      let (rig, folder, path) = try opened(io)
      var random = SeededRandom(TestSeed.value, #function)
      for round in 0..<20 {
        change(path) { file in
          for _ in 0..<10 { flip(file, slot: random.below(400), byte: random.below(4096)) }
          if round % 7 == 6 { _ = ftruncate(file, Self.firstSlot + random.below(400) * 4096) }
        }
        for handle in rig.handles.shuffled(using: &random).prefix(30) {
          let outcome = rig.take(handle)
          #expect(outcome == .right || outcome.isUnreadable, "\(outcome)")
          rig.forget([handle])
        }
        try rig.put(20)
      }
      for handle in rig.handles { #expect(rig.peek(handle) != .wrong) }
      rig.store.close()
      #expect(Set(rig.drops.all.map(\.handle)).count == rig.drops.all.count)
      _ = folder
    }

    @Test("a missing folder, and a file of something else, are refused by name")
    func refused() throws {
      let folder = try TemporaryFolder()
      try folder.write("my thesis", to: "thesis")
      for (path, text) in [("/nonexistent/swap", "there is no folder"), (folder.file("thesis").path, "no swap file")] {
        var tier = ChainTier(try Self.image.get().table, name: "swap")
        tier.options = ["path": .text(path), "size": .number(1 << 20)]
        do {
          _ = try Rig([tier])
          Issue.record("\(path) was taken")
        } catch { #expect("\(error)".contains(path) && "\(error)".contains(text), "\(error)") }
      }
      #expect(try String(contentsOf: folder.file("thesis"), encoding: .utf8) == "my thesis")
      var tier = ChainTier(try Self.image.get().table, name: "swap")
      tier.options = [:]
      do {
        _ = try Rig([tier])
        Issue.record("opened without a path")
      } catch { #expect("\(error)".contains("'path'") && "\(error)".contains("'swap'")) }
    }
  }
}
