// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine
internal import Synchronization

/// The root of a persistent backing: a few bytes that are replaced as one.
enum BackingRootChecks {
  static let all = [swap, compare, lengths, room, reopen, kill, race]

  /// A root that tells its number, and whether it is whole.
  private static func root(_ number: Int, length: Int = 200) -> [UInt8] {
    var random = SeededRandom(seed: UInt64(number) ^ 0x726F_6F74)
    return (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
      + (0..<max(0, length - 4)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private static func number(_ root: [UInt8]) -> Int {
    root.prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
  }

  private static func open(_ run: CheckRun) throws -> OpenTier {
    try BackingKeepingChecks.openPersistent(try run.load())
  }

  private static func expectSwap(_ tier: OpenTier, _ expected: [UInt8], _ new: [UInt8]) throws {
    let code = tier.swapRoot(expected, new)
    guard code == STOWAGE_OK else {
      throw tier.run.fail("root_swap from \(expected.count) to \(new.count) bytes answered \(OpenTier.said(code))")
    }
    let now = try tier.root()
    try tier.run.expect(
      now == new, "root_read after root_swap to \(new.count) bytes gives another root, of \(now.count) bytes")
  }

  /// Swaps numbered roots of 64 to 4063 bytes until the end comes, and says each time that it is done.
  static func swap(_ tier: OpenTier, after first: Int, _ side: ForkedChild.Side) throws {
    var last = try tier.root()
    for number in (first + 1)... {
      let next = root(number, length: 64 + number % 4000)
      try expectSwap(tier, last, next)
      last = next
      side.send([ForkedChild.ready])
    }
  }

  /// Expects one of these, by its number the last that was confirmed or a later one.
  static func expectWhole(_ tier: OpenTier, atLeast answered: Int, after what: String) throws {
    let (run, now) = (tier.run, try tier.root())
    guard !now.isEmpty else { throw run.fail("root_swap answered OK, and after \(what) there is no root") }
    let found = number(now)
    guard now == root(found, length: 64 + found % 4000) else { throw run.fail("the root is not whole after \(what)") }
    guard found >= answered else {
      throw run.fail("root_swap to number \(answered) answered OK; after \(what) there is number \(found)")
    }
  }

  static let swap = Check(
    "backing-root", .backing, scope: .persistentBackings, needs: ["backing-read-write"],
    proves: "There is no root at first; root_swap sets and replaces it, and root_read gives it.",
    advice:
      "root_read of a new place answers OK with a length of 0; root_swap with expected_length 0 sets the first root."
  ) { run in
    let tier = try open(run)
    let first = try tier.root()
    try run.expect(first.isEmpty, "a new place has a root of \(first.count) bytes already")
    var last: [UInt8] = []
    for number in 1...run.times(20) where !run.isLate || number < 3 {
      let next = root(number, length: 100 + 37 * (number % 20))
      try expectSwap(tier, last, next)
      last = next
    }
    tier.close()
  }

  static let compare = Check(
    "backing-root-compare", .backing, scope: .persistentBackings, needs: ["backing-root"],
    proves: "root_swap that expects another root than there is answers GONE and changes nothing.",
    advice: "Compare the length and every byte of expected with the root, and only then write."
  ) { run in
    let tier = try open(run)
    func expectRefused(_ expected: [UInt8], now: [UInt8], _ words: String) throws {
      let code = tier.swapRoot(expected, root(99))
      try run.expect(
        code == STOWAGE_GONE,
        "root_swap that expects \(words) answered \(OpenTier.said(code)), expected \(TierResult.name(STOWAGE_GONE))")
      try run.expect(try tier.root() == now, "root_swap that expected \(words) changed the root")
    }
    try expectRefused(root(1), now: [], "a root where there is none")
    try expectSwap(tier, [], root(1))
    try expectRefused([], now: root(1), "none where there is one")
    try expectRefused(root(2), now: root(1), "another root")
    try expectRefused(Array(root(1).dropLast()), now: root(1), "a shorter root")
    try expectRefused(root(1) + [0], now: root(1), "a longer root")
    var flipped = root(1)
    flipped[flipped.count - 1] ^= 0x80
    try expectRefused(flipped, now: root(1), "a root that differs in the last bit")
    try expectSwap(tier, root(1), root(3))
    tier.close()
  }

  static let lengths = Check(
    "backing-root-lengths", .backing, scope: .persistentBackings, needs: ["backing-root"],
    proves: "Roots of 1 to 4096 bytes are kept, and longer ones are refused.",
    advice: "Keep up to STOWAGE_ROOT_BYTES_MAX bytes as they are; answer STOWAGE_INVALID to more."
  ) { run in
    let tier = try open(run)
    let most = Int(STOWAGE_ROOT_BYTES_MAX)
    var last: [UInt8] = []
    for length in [4, 1, 2, most - 1, most, 512, 4095, 7] {
      let next = Array(root(length, length: length).prefix(length))
      try expectSwap(tier, last, next)
      last = next
    }
    for length in [most + 1, most + 4096] {
      let code = tier.swapRoot(last, root(1, length: length))
      try run.expect(code != STOWAGE_OK, "root_swap to \(length) bytes answered OK, at most \(most) are allowed")
      try run.expect(try tier.root() == last, "root_swap to \(length) bytes was refused and changed the root")
    }
    tier.close()
  }

  static let room = Check(
    "backing-root-room", .backing, scope: .persistentBackings, needs: ["backing-root"],
    proves: "root_read with too little room answers an error and writes nothing past the room.",
    advice: "Compare room with the root's length first, and answer STOWAGE_TOO_BIG."
  ) { run in
    let tier = try open(run)
    try expectSwap(tier, [], root(1, length: 300))
    for room in [0, 1, 8, 64, 299] {
      let memory = PlainRoom(512)
      _ = memory.put([UInt8](repeating: 0xA5, count: 512))
      let (code, _) = tier.readRoot(memory.base, room: room)
      try run.expect(code != STOWAGE_OK, "root_read of 300 bytes into a room of \(room) answered OK")
      let after = memory.bytes(512)[room...].firstIndex { $0 != 0xA5 }
      try run.expect(after == nil, "root_read into a room of \(room) wrote to byte \(after ?? 0)")
    }
    tier.close()
  }

  static let reopen = Check(
    "backing-root-reopen", .backing, scope: .persistentBackings, needs: ["backing-root"],
    proves: "The root is there after close and open.",
    advice: "Keep the root where the slots are, and read it in open."
  ) { run in
    let loaded = try run.load()
    var last: [UInt8] = []
    for number in 1...max(3, run.times(6)) where !run.isLate || number <= 3 {
      let tier = try BackingKeepingChecks.openPersistent(loaded)
      let now = try tier.root()
      try run.expect(
        now == last,
        "after \(number - 1) times of close and open the root has \(now.count) bytes, not \(last.count), or other ones")
      for step in 0..<(number % 3) {
        let next = root(number * 10 + step, length: 50 * number)
        try expectSwap(tier, last, next)
        last = next
      }
      tier.close()
    }
  }

  static let kill = Check(
    "backing-root-kill", .backing, scope: .persistentBackings, needs: ["backing-root-reopen"],
    proves: "When the process is killed at any moment there is the old root or the new one, whole, and none is lost.",
    advice: "Write the new root beside the old one and bring it out of the process before root_swap answers OK."
  ) { run in
    var first = 0
    for round in 0..<run.times(6) where !run.isLate || round < 2 {
      let child = try ForkedChild(run) { side in
        try swap(try open(run), after: first, side)
      }
      try child.waitUntilReady()
      usleep(UInt32(run.random.below(10_000)))
      let answered = first + 1 + child.kill().count
      let reader = try ForkedChild(run) { _ in try expectWhole(try open(run), atLeast: answered, after: "a kill") }
      try reader.finish()
      try run.expect(true, "")
      first = answered + 1
    }
  }

  static let race = Check(
    "backing-root-race", .backing, scope: .persistentBackings, needs: ["backing-root-compare"],
    proves: "Of root_swap calls side by side that expect the same root exactly one succeeds.",
    advice: "Hold a lock from the comparison to the write; only a tier of STOWAGE_THREADS_PARALLEL is called so."
  ) { run in
    let tier = try open(run)
    guard tier.table.threadModel == .parallel else { throw run.notApplicable("the tier takes one call at a time") }
    var last: [UInt8] = []
    for turn in 1...run.times(40) where !run.isLate || turn < 4 {
      let wins = Mutex<[Int]>([])
      let expected = last
      let waiting = Atomic<Int>(0)
      try CheckThreads.run(4) { thread in
        waiting.add(1, ordering: .sequentiallyConsistent)
        while waiting.load(ordering: .sequentiallyConsistent) < 4 {}
        let code = tier.swapRoot(expected, root(turn * 10 + thread))
        if code == STOWAGE_OK { wins.withLock { $0.append(thread) } }
      }
      let winners = wins.withLock { $0 }
      try run.expect(
        winners.count == 1, "of 4 root_swap calls side by side that expect the same root \(winners.count) succeeded")
      last = root(turn * 10 + winners[0])
      try run.expect(try tier.root() == last, "the root is not that of the one root_swap that succeeded")
    }
    tier.close()
  }
}
