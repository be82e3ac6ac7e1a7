// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// Exports over sessions: maps that are rebuilt, pages that are lost, settings that cannot be.
  @Suite struct ExportTests {
    private final class World {
      let disk: SimulatedDisk
      let drops = Locked<ExportSet?>(nil)

      init(_ number: Int) throws { disk = try SimulatedDisk(number, slots: 4096, seed: 1) }

      func open(_ start: SessionConfiguration.Start) throws -> Store {
        var configuration = StoreConfiguration(memoryLimit: 8 << 20)
        configuration.session = SessionConfiguration(name: "exports", start: start)
        return try Store(configuration: configuration, chain: [ChainTier(try TierLibrary.shipped("lz4")), disk.tier()])
        {
          [drops] page in drops.withLock { $0 }?.noteDrop(page)
        }
      }

      func exports(_ settings: [ExportSettings], _ store: Store, wasSuspended: Bool = true, forgets: Bool = false)
        throws
        -> ExportSet
      {
        let set = try ExportSet(settings, store: store, wasSuspended: wasSuspended, forgets: forgets)
        drops.withLock { $0 = set }
        return set
      }
    }

    private func settings(_ name: String, _ durability: Durability = .volatile) -> ExportSettings {
      var settings = ExportSettings(name: name, size: 8 << 20)
      settings.durability = durability
      return settings
    }

    private func write(_ export: Export, _ block: Int, _ byte: UInt8) {
      let page = [UInt8](repeating: byte, count: 4000) + [UInt8](0..<96)
      #expect(page.withUnsafeBytes { export.writeBlock(block, $0) } == .ok)
    }

    private func read(_ export: Export, _ block: Int) -> (NBDStatus, UInt8) {
      var page = [UInt8](repeating: 0xEE, count: 4096)
      let status = page.withUnsafeMutableBytes { export.readBlock(block, into: $0) }
      return (status, page[0])
    }

    @Test func mapsAreRebuilt() throws {
      let world = try World(0)
      do {
        let store = try world.open(.create(replacing: false))
        let set = try world.exports([settings("a"), settings("b", .durable)], store)
        for block in 0..<300 { write(set.exports[0], block * 3, UInt8(block & 127)) }
        for block in 0..<300 { write(set.exports[1], block, 200) }
        set.exports[0].trim(0..<4096)
        try store.suspend()
      }
      // In another order, and with a new one.
      let store = try world.open(.resume(force: false))
      let set = try world.exports([settings("c"), settings("b", .durable), settings("a")], store)
      for block in 1..<300 { #expect(read(set.exports[2], block * 3) == (.ok, UInt8(block & 127))) }
      #expect(read(set.exports[2], 0) == (.ok, 0) && read(set.exports[2], 1) == (.ok, 0))
      for block in 0..<300 { #expect(read(set.exports[1], block) == (.ok, 200)) }
      #expect(set.exports[0].usedBytes == 0)
      store.close()
    }

    @Test func afterACrashVolatileOnesAreEmpty() throws {
      let world = try World(1)
      do {
        let store = try world.open(.create(replacing: false))
        let set = try world.exports([settings("a"), settings("b", .durable)], store)
        for block in 0..<50 {
          write(set.exports[0], block, 1)
          write(set.exports[1], block, 2)
        }
        #expect(set.exports[1].commit() == .ok)
        store.close()
      }
      let store = try world.open(.resume(force: false))
      let set = try world.exports([settings("a"), settings("b", .durable)], store, wasSuspended: false)
      #expect(set.exports[0].usedBytes == 0 && set.notes.count == 1)
      for block in 0..<50 { #expect(read(set.exports[1], block) == (.ok, 2)) }
      store.close()
    }

    @Test func exportsThatAreMissing() throws {
      let world = try World(2)
      let store = try world.open(.create(replacing: false))
      let first = try world.exports([settings("a"), settings("b")], store)
      write(first.exports[1], 7, 1)
      do {
        _ = try world.exports([settings("a")], store)
        Issue.record("pages of 'b' were given up without a word")
      } catch let error as ExportError {
        #expect(error.description.contains("'b'") && error.description.contains("--discard"))
      }
      var short = settings("b")
      short.size = 4 * 4096
      #expect(throws: ExportError.self) { try world.exports([settings("a"), short], store) }
      let rest = try world.exports([settings("a")], store, forgets: true)
      #expect(rest.notes.count == 1)
      store.close()
    }

    @Test func lostBlocksAreErrorsUntilTheyAreWritten() throws {
      let world = try World(3)
      var store = try world.open(.create(replacing: false))
      var set = try world.exports([settings("a")], store)
      for block in 0..<200 { write(set.exports[0], block, UInt8(block)) }
      try store.flush()
      // What is on the disk is damaged, but for what names the export.
      for index in 0..<4096 {
        let slot = try world.disk.slot(index)
        if Data(slot).range(of: Data("stowage export".utf8)) == nil { slot[100] ^= 1 }
      }
      let statuses = (0..<200).map { read(set.exports[0], $0) }
      let lost = (0..<200).filter { statuses[$0].0 == .io }
      #expect(lost.count > 0)
      for block in 0..<200 where statuses[block].0 == .ok { #expect(statuses[block].1 == UInt8(block)) }
      // Destructors run on the engine's threads.
      for _ in 0..<500 where !lost.allSatisfy({ set.exports[0].map.load($0).isLost }) { usleep(10_000) }
      #expect(lost.allSatisfy { set.exports[0].map.load($0).isLost })
      for block in lost { #expect(read(set.exports[0], block).0 == .io) }
      write(set.exports[0], lost[0], 77)
      try store.suspend()
      // Nor is it zeros in the next run.
      store = try world.open(.resume(force: false))
      set = try world.exports([settings("a")], store)
      #expect(read(set.exports[0], lost[0]) == (.ok, 77))
      for block in lost.dropFirst() { #expect(read(set.exports[0], block).0 == .io) }
      set.exports[0].trim(0..<8 << 20)
      #expect(read(set.exports[0], lost[1]) == (.ok, 0))
      store.close()
    }

    @Test func settingsThatCannotBe() throws {
      let rig = try ServerRig()
      func refusal(_ settings: [ExportSettings]) -> String {
        do {
          _ = try ExportSet(settings, store: rig.store)
          return ""
        } catch { return "\(error)" }
      }
      #expect(refusal([]).contains("--export"))
      #expect(refusal([settings("a"), settings("a")]).contains("two exports are named 'a'"))
      #expect(refusal([ExportSettings(name: "a", size: 5000)]).contains("no multiple"))
      #expect(refusal([settings("a", .durable)]).contains("no session"))
      var reserved = settings("a")
      reserved.isReserved = true
      #expect(refusal([reserved]).contains("does not end in a backing"))
    }
  }
}
