// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageTestSupport
import Testing

extension FaultTests {
  /// aes-gcm: states that are damaged or made up.
  @Suite struct KeyDamageTests {
    private let folder: TemporaryFolder
    private let known: SavedStates.Case

    init() throws {
      folder = try TemporaryFolder()
      known = try SavedStates.named("a key file")
    }

    /// What loading answers; with an instance that loaded it, no object of the true state may come back wrong.
    private func load(_ state: [UInt8], _ known: SavedStates.Case) throws -> TierAnswer? {
      let tier = try known.open(epoch: 77, folder)
      return TierAnswer.of { try tier.loadState(state) }
    }

    /// A state with its checksum made right again.
    private func repaired(_ state: [UInt8]) -> [UInt8] {
      let body = Array(state.dropLast(16))
      return body + sha256(body).prefix(16)
    }

    @Test("the repair itself makes the same state") func repair() {
      #expect(repaired(known.savedState) == known.savedState)
    }

    @Test("every flipped bit is damage, and said to be")
    func flips() throws {
      let state = known.savedState
      for place in state.indices {
        for bit in 0..<8 {
          var flipped = state
          flipped[place] ^= 1 << UInt8(bit)
          let answer = try load(flipped, known)
          #expect(answer?.code == STOWAGE_CORRUPT, "byte \(place), bit \(bit): \(String(describing: answer))")
          #expect(answer?.text.contains("damaged") == true)
        }
      }
    }

    @Test("every length but its own is damage")
    func lengths() throws {
      let state = known.savedState
      for count in 0..<state.count { #expect(try load(Array(state.prefix(count)), known)?.code == STOWAGE_CORRUPT) }
      for more in [1, 16, 56, 1 << 20] {
        let longer = state + [UInt8](repeating: 0, count: more)
        #expect(try load(longer, known)?.code == STOWAGE_CORRUPT)
        #expect(try load(repaired(longer), known)?.code == STOWAGE_CORRUPT)
      }
    }

    @Test("a bit that is changed on purpose, the checksum with it, never opens the state")
    func forgeries() throws {
      let state = known.savedState
      var codes: [Int32: Int] = [:]
      for place in 0..<state.count - 16 {
        for bit in 0..<8 {
          var forged = state
          forged[place] ^= 1 << UInt8(bit)
          let answer = try load(repaired(forged), known)
          codes[answer?.code ?? STOWAGE_OK, default: 0] += 1
          let expected: [Int32] =
            switch place {
            case 8..<12: [STOWAGE_UNSUPPORTED]
            case 0..<32: [STOWAGE_CORRUPT, STOWAGE_INVALID]
            default: [STOWAGE_AUTH]
            }
          let isExpected = expected.contains(answer?.code ?? STOWAGE_OK)
          #expect(isExpected, "byte \(place), bit \(bit): \(String(describing: answer))")
        }
      }
      #expect(codes[STOWAGE_OK] == nil)
    }

    @Test(
      "scrypt with numbers that would take too much memory or time is refused at once",
      arguments: [
        (63, 8, 1), (21, 8, 1), (20, 64, 64), (15, 0xFFFF_FFFF, 1), (15, 8, 0xFFFF_FFFF), (17, 8, 64), (9, 8, 3),
        (15, 0, 3), (15, 8, 33), (15, 8, 0), (0, 0, 0), (18, 8, 1), (0xFFFF_FFFF, 1, 1),
      ] as [(UInt32, UInt32, UInt32)])
    func absurd(_ cost: UInt32, _ blockSize: UInt32, _ passes: UInt32) throws {
      let phrase = try SavedStates.named("a passphrase")
      var state = phrase.savedState
      for (place, number) in [(20, cost), (24, blockSize), (28, passes)] {
        for byte in 0..<4 { state[place + byte] = UInt8(truncatingIfNeeded: number >> (8 * UInt32(byte))) }
      }
      let start = ContinuousClock.now
      let answer = try load(repaired(state), phrase)
      #expect(answer?.code == STOWAGE_CORRUPT, "\(String(describing: answer))")
      #expect(ContinuousClock.now - start < .milliseconds(200))
    }

    @Test("scrypt with other numbers within bounds is taken: they are the state's")
    func otherNumbers() throws {
      let phrase = try SavedStates.named("a passphrase")
      var state = phrase.savedState
      // Half the memory: another key comes of it, so it is the passphrase that seems wrong.
      state[20] = 14
      let answer = try load(repaired(state), phrase)
      #expect(answer?.code == STOWAGE_AUTH && answer?.text.contains("passphrase") == true)
      #expect(try load(phrase.savedState, phrase) == nil)
    }
  }

  /// aes-gcm: where secrets lie, and that they go.
  @Suite struct KeyMemoryTests {
    @Test(
      "secrets lie only where no core dump has them, and are gone when the instance is closed",
      arguments: ["memory with a key file", "memory with a passphrase"])
    func secrets(_ name: String) throws {
      let folder = try TemporaryFolder()
      let known = try SavedStates.named(name)
      let secrets = [known.sessionKey, known.wrappingKey, known.master] + known.subkeys
      let search = MemorySearch(hex: secrets)
      let tier = try known.open(epoch: 99, folder)
      let early = try search.run()
      #expect(early[2].hidden > 0, "the search finds what is there")
      #expect(early.allSatisfy { $0.dumped == 0 }, "\(early)")
      try tier.loadState(known.savedState)
      let context = try tier.context()
      let object = known.objects[1].sealed
      #expect(try tier.decode(object, context) == object.plain)
      _ = try tier.saveState()
      let open = try search.run()
      #expect(open[0].hidden > 0)
      #expect(open[1] == .nowhere, "the wrapping key is not needed any more")
      #expect(open[2] == .nowhere, "what the user gave is not needed any more")
      // The subkey itself and the expanded one, which begins with it.
      #expect(open[3].hidden >= 2)
      #expect(open.allSatisfy { $0.dumped == 0 }, "\(open)")
      tier.close()
      let closed = try search.run()
      #expect(closed.allSatisfy { $0 == .nowhere }, "\(closed)")
    }

    @Test("a refused state leaves nothing behind")
    func refused() throws {
      let folder = try TemporaryFolder()
      let known = try SavedStates.named("memory with a key file")
      let search = MemorySearch(hex: [known.sessionKey, known.wrappingKey, known.master] + known.subkeys)
      var state = known.savedState
      // An epoch's salt: the key fits, the state does not.
      state[140] ^= 1
      let body = Array(state.dropLast(16))
      let tier = try known.open(epoch: 99, folder)
      let answer = TierAnswer.of { try tier.loadState(body + sha256(body).prefix(16)) }
      #expect(answer?.code == STOWAGE_AUTH && answer?.text.contains("altered") == true)
      let found = try search.run()
      #expect(found[2].hidden > 0 && found.allSatisfy { $0.dumped == 0 }, "\(found)")
      #expect(found[0] == .nowhere && found[1] == .nowhere)
      tier.close()
      #expect(try search.run().allSatisfy { $0 == .nowhere })
    }
  }
}
