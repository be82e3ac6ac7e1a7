// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

@testable import StowageNBD

extension NBDTests {
  /// Mixed load while clients vanish at random moments. STOWAGE_TEST_SECONDS is how long (10).
  @Suite struct ChaosTests {
    @Test("nothing is left behind, and nothing is wrong", .timeLimit(.minutes(30)))
    func clientsVanish() throws {
      let seconds = ProcessInfo.processInfo.environment["STOWAGE_TEST_SECONDS"].flatMap { Int($0) } ?? 10
      let folder = try TemporaryFolder()
      var swap = ChainTier(try TierLibrary.shipped("swapfile"))
      swap.options = ["path": .text(folder.file("swap").path), "size": .number(256 << 20)]
      let rig = try ServerRig(memory: 12 << 20, tiers: [swap])
      // Threads and descriptors that a first client brings about are not left behind.
      try rig.client().send(RawClient.request(NBD.Command.disconnect))
      try rig.waitUntilIdle()
      let before = ProcessFigures.now
      let seed = TestSeed.value
      let end = ContinuousClock.now + .seconds(seconds)
      let failures = Locked<[String]>([])
      let runs = Locked(0)
      // Two know what they wrote to their own quarters; the others write to the rest, and go in the middle of something.
      let known = (0..<2).map { number in
        let path = rig.path
        return Background {
          var round: UInt64 = 0
          while ContinuousClock.now < end, failures.withLock({ $0.isEmpty }) {
            do {
              let client = try RawClient(path)
              try client.enter("disk", structured: number == 0)
              try client.ask(NBD.Command.trim, offset: number * (16 << 20), length: 16 << 20)
              try RequestTests.compareWithModel(
                client, at: number * (16 << 20), bytes: 16 << 20, seed: seed &+ round * 2 &+ UInt64(number))
            } catch {
              failures.withLock { $0.append("client \(number), round \(round): \(error)") }
            }
            round += 1
          }
        }
      }
      let wild = (0..<4).map { number in
        let path = rig.path
        return Background {
          var generator = SeededRandom(seed: seed &+ 100 &+ UInt64(number))
          while ContinuousClock.now < end {
            guard let client = try? RawClient(path, patience: 1),
              (try? client.enter("disk", structured: generator.below(2) == 0)) != nil
            else { continue }
            // One that takes too little in is not served any further; it goes then, too.
            for _ in 0..<generator.below(60) { guard Self.throwSomething(client, &generator) else { break } }
            runs.withLock { $0 += 1 }
          }
        }
      }
      for thread in known + wild { thread.join(within: seconds + 120) }
      #expect(failures.withLock { $0 } == [])
      #expect(runs.withLock { $0 } > seconds)
      try rig.waitUntilIdle()
      #expect(before.isReachedAgain(), "before \(before), now \(ProcessFigures.now)")
      let client = try rig.client()
      #expect(rig.store.statistics().pages == rig.exports.usedBlocks, "pages that no block names")
      #expect(try client.ask(NBD.Command.trim, length: 64 << 20).status == 0)
      #expect(rig.store.statistics().pages == 0)
    }

    /// A request to the second half of the disk, cut short now and then; answers are not waited for.
    private static func throwSomething(_ client: RawClient, _ generator: inout SeededRandom) -> Bool {
      let command = [NBD.Command.read, NBD.Command.write, NBD.Command.trim, NBD.Command.writeZeroes][generator.below(4)]
      let length = [4096, generator.below(20_000), 65536][generator.below(3)]
      let offset = (32 << 20) + generator.below((32 << 20) - length)
      var bytes = RawClient.request(command, cookie: generator.next(), offset: UInt64(offset), length: UInt32(length))
      if command == NBD.Command.write {
        bytes += [UInt8](repeating: UInt8(truncatingIfNeeded: generator.next()), count: length)
      }
      if generator.below(30) == 0 { bytes.removeLast(generator.below(bytes.count)) }
      guard client.trySend(bytes) else { return false }
      if generator.below(3) > 0 {
        var answers = [UInt8](repeating: 0, count: 1 << 18)
        _ = recv(client.descriptor, &answers, answers.count, Int32(MSG_DONTWAIT))
      }
      return true
    }
  }
}
