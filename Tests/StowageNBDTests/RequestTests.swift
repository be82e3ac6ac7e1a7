// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// Requests, one kind after the other, and all of them against a model.
  @Suite struct RequestTests {
    private static func noise(_ count: Int, seed: UInt64) -> [UInt8] {
      var generator = SeededRandom(seed: seed)
      // Some of it compresses.
      return (0..<count).map {
        $0 % 64 < 24 ? UInt8(truncatingIfNeeded: generator.next()) : UInt8(truncatingIfNeeded: seed)
      }
    }

    @Test(arguments: [true, false]) func readsWhatWasWritten(structured: Bool) throws {
      let rig = try ServerRig()
      let client = try rig.client(structured: structured)
      for (offset, count) in [(0, 4096), (5000, 10), (8190, 4), (12288, 65536), (100_001, 300_003), (1 << 20, 3 << 20)]
      {
        let data = Self.noise(count, seed: UInt64(offset))
        #expect(try client.ask(NBD.Command.write, offset: offset, payload: data).status == 0)
        #expect(try client.ask(NBD.Command.read, offset: offset, length: count).data == data)
      }
      // One that was written beside them is as it was.
      #expect(try client.ask(NBD.Command.read, offset: 4096, length: 904).data == [UInt8](repeating: 0, count: 904))
      #expect(try client.ask(NBD.Command.read, offset: 0, length: 0).status == 0)
    }

    @Test func holesCostNothing() throws {
      let rig = try ServerRig()
      let client = try rig.client()
      #expect(rig.store.statistics().pages == 0)
      let data = Self.noise(8192, seed: 7)
      try client.ask(NBD.Command.write, offset: 1 << 20, payload: data)
      let answer = try client.ask(NBD.Command.read, offset: 0, length: 2 << 20)
      #expect(answer.status == 0 && answer.dataChunks == 1 && answer.holeChunks == 2)
      #expect(answer.wireBytes < 8192 + 200)
      #expect(Array(answer.data[(1 << 20)..<(1 << 20) + 8192]) == data)
      let whole = try client.ask(NBD.Command.read, flags: NBD.CommandFlag.df, offset: 1 << 20, length: 65536)
      #expect(whole.dataChunks == 1 && whole.holeChunks == 0 && Array(whole.data[..<8192]) == data)
      let tooLong = try client.ask(NBD.Command.read, flags: NBD.CommandFlag.df, offset: 0, length: 2 << 20)
      #expect(tooLong.status == NBDStatus.overflow.rawValue)
      #expect(rig.store.statistics().pages == 2)
    }

    @Test func trimsAndZeroes() throws {
      let rig = try ServerRig()
      let client = try rig.client(contexts: ["base:allocation", "stowage:level"])
      let data = Self.noise(10 * 4096, seed: 3)
      try client.ask(NBD.Command.write, payload: data)
      #expect(try client.ask(NBD.Command.trim, offset: 4000, length: 8192 + 96).status == 0)
      // A trim takes whole blocks only.
      var expected = data
      expected.replaceSubrange(4096..<12288, with: repeatElement(0, count: 8192))
      #expect(try client.ask(NBD.Command.read, length: data.count).data == expected)
      #expect(rig.exports.usedBlocks == 8)
      try client.ask(NBD.Command.writeZeroes, offset: 12_300, length: 8_000)
      expected.replaceSubrange(12_300..<20_300, with: repeatElement(0, count: 8_000))
      #expect(try client.ask(NBD.Command.read, length: data.count).data == expected)
      try client.ask(
        NBD.Command.writeZeroes, flags: NBD.CommandFlag.noHole | NBD.CommandFlag.fastZero, offset: 20480, length: 4096)
      expected.replaceSubrange(20480..<24576, with: repeatElement(0, count: 4096))
      #expect(try client.ask(NBD.Command.read, length: data.count).data == expected)
      let status = try client.ask(NBD.Command.blockStatus, length: 64 << 20)
      #expect(status.blocks[1]?.map { "\($0.length) \($0.state)" } == [
        "4096 0", "8192 3", "28672 0", "\((64 << 20) - 40960) 3",
      ])
      #expect(status.blocks[2]?.map(\.state).contains(1) == true, "the kept zeros are a repeated word")
      let one = try client.ask(NBD.Command.blockStatus, flags: NBD.CommandFlag.reqOne, offset: 100, length: 8000)
      #expect(one.blocks[1]?.map(\.length) == [3996])
      #expect(try client.ask(NBD.Command.trim, length: 64 << 20).status == 0)
      #expect(rig.exports.usedBlocks == 0 && rig.store.statistics().pages == 0)
    }

    @Test(arguments: [true, false]) func refusesWhatIsWrong(structured: Bool) throws {
      var readOnly = ExportSettings(name: "fixed", size: 1 << 20)
      readOnly.isReadOnly = true
      var small = ExportSettings(name: "small", size: 64 << 20)
      small.quota = 8 * 4096
      let rig = try ServerRig([ExportSettings(name: "disk", size: 64 << 20), readOnly, small])
      let client = try rig.client(structured: structured)
      let size = 64 << 20
      func status(_ client: RawClient, _ command: UInt16, flags: UInt16 = 0, _ offset: Int, _ length: Int) throws
        -> NBDStatus?
      {
        let payload = command == NBD.Command.write ? Self.noise(length, seed: 1) : []
        return NBDStatus(
          rawValue: try client.ask(command, flags: flags, offset: offset, length: length, payload: payload).status)
      }
      #expect(try status(client, NBD.Command.read, size - 10, 11) == .invalid)
      #expect(try status(client, NBD.Command.read, Int.max, 4096) == .invalid)
      #expect(try status(client, NBD.Command.read, 0, (32 << 20) + 1) == .invalid)
      #expect(try status(client, NBD.Command.write, size - 10, 11) == .noSpace)
      #expect(try status(client, NBD.Command.write, Int.max - 5, 8192) == .noSpace)
      #expect(try status(client, NBD.Command.trim, size, 1) == .noSpace)
      #expect(try status(client, 99, 0, 0) == .invalid)
      #expect(try status(client, NBD.Command.read, flags: 1 << 9, 0, 4096) == .invalid)
      #expect(try status(client, NBD.Command.blockStatus, 0, 4096) == .invalid)
      #expect(try status(client, NBD.Command.flush, 0, 0) == .ok)
      #expect(try status(client, NBD.Command.cache, 0, 4096) == .ok)
      let fixed = try rig.client("fixed", structured: structured)
      for command in [NBD.Command.write, NBD.Command.trim, NBD.Command.writeZeroes] {
        #expect(try status(fixed, command, 0, 4096) == .notPermitted)
      }
      let limited = try rig.client("small", structured: structured)
      for block in 0..<8 { #expect(try status(limited, NBD.Command.write, block * 8192, 4096) == .ok) }
      #expect(try status(limited, NBD.Command.write, 4096, 4096) == .noSpace)
      #expect(try status(limited, NBD.Command.write, 8192, 4096) == .ok, "a block that is there is written again")
      #expect(try status(limited, NBD.Command.trim, 0, 4096) == .ok)
      #expect(try status(limited, NBD.Command.write, 4096, 4096) == .ok)
      // And nobody was hurt.
      #expect(try status(client, NBD.Command.write, 0, 4096) == .ok)
    }

    @Test func partsOfOneBlockByManyClients() throws {
      let rig = try ServerRig()
      let (blocks, rounds, parts) = (16, 60, 4)
      let threads = (0..<parts).map { part in
        let path = rig.path
        return Background {
          guard let client = try? RawClient(path), (try? client.enter("disk")) != nil else { return }
          for round in 0..<rounds {
            for block in 0..<blocks {
              let piece = [UInt8](repeating: UInt8(round + part * 64), count: 1024)
              _ = try? client.ask(NBD.Command.write, offset: block * 4096 + part * 1024, payload: piece)
            }
          }
        }
      }
      for thread in threads { thread.join() }
      let client = try rig.client()
      for block in 0..<blocks {
        let data = try client.ask(NBD.Command.read, offset: block * 4096, length: 4096).data
        for part in 0..<parts {
          #expect(data[part * 1024..<(part + 1) * 1024].allSatisfy { $0 == UInt8(rounds - 1 + part * 64) })
        }
      }
    }

    /// Each client has a part of the export to itself and knows what must be in it; the store has little RAM, so pages
    /// are on all levels, the disk too.
    @Test(arguments: [4096, 16384]) func manyClientsAgainstAModel(pageSize: Int) throws {
      let folder = try TemporaryFolder()
      var swap = ChainTier(try TierLibrary.shipped("swapfile"))
      swap.options = ["path": .text(folder.file("swap").path), "size": .number(256 << 20)]
      let rig = try ServerRig(
        memory: 10 << 20, pageSize: pageSize, tiers: [ChainTier(try TierLibrary.shipped("aes-gcm")), swap])
      let seed = TestSeed.value
      let failures = Locked<[String]>([])
      let part = 16 << 20
      let threads = (0..<4).map { number in
        let path = rig.path
        return Background {
          do {
            let client = try RawClient(path)
            try client.enter("disk", structured: number % 2 == 0)
            try Self.compareWithModel(client, at: number * part, bytes: part, seed: seed &+ UInt64(number))
          } catch {
            failures.withLock { $0.append("client \(number): \(error)") }
          }
        }
      }
      for thread in threads { thread.join() }
      #expect(failures.withLock { $0 } == [])
      let figures = rig.store.statistics()
      #expect(figures.levels.last.map { $0.pagesEntered > 0 } == true, "nothing came to the disk")
    }

    static func compareWithModel(_ client: RawClient, at base: Int, bytes: Int, seed: UInt64) throws {
      var generator = SeededRandom(seed: seed)
      var model = [UInt8](repeating: 0, count: bytes)
      for step in 0..<600 {
        let length = [generator.below(100), 4096, generator.below(20_000), 65536, generator.below(600_000)][
          generator.below(5)]
        let start = generator.below(2) == 0 ? generator.below(bytes - length) : generator.below(bytes - length) & ~4095
        let range = start..<start + length
        switch generator.below(8) {
        case 0...3:
          let data = noise(length, seed: generator.next())
          guard try client.ask(NBD.Command.write, offset: base + start, payload: data).status == 0 else {
            throw TestFailure("step \(step): a write failed")
          }
          model.replaceSubrange(range, with: data)
        case 4:
          try client.ask(NBD.Command.writeZeroes, flags: generator.below(2) == 0 ? 0 : NBD.CommandFlag.noHole,
            offset: base + start, length: length)
          model.replaceSubrange(range, with: repeatElement(0, count: length))
        default:
          let answer = try client.ask(NBD.Command.read, offset: base + start, length: length)
          guard answer.status == 0, answer.data == Array(model[range]) else {
            throw TestFailure("step \(step) of seed \(seed): bytes \(start) to \(start + length) are not as written")
          }
        }
      }
    }
  }
}
