// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine

/// What a persistent backing keeps.
enum BackingKeepingChecks {
  static let all = [reopen, kill, openTwice]

  static let reopen = Check(
    "backing-reopen", .backing, scope: .persistentBackings, needs: ["backing-model", "backing-sync"],
    proves: "What was written and synced is there after close and open.",
    advice: "open must find what an earlier instance left at the same place, and its slots where they were."
  ) { run in
    let loaded = try run.load()
    var versions: [Int: Int] = [:]
    for round in 1...run.times(4) where !run.isLate || round <= 2 {
      let bench = try BackingBench(try openPersistent(loaded))
      for (slot, version) in versions { try bench.expect(slot, [version], "before the \(round - 1). close") }
      for _ in 0..<50 {
        let slot = run.random.below(bench.slots)
        try bench.write(slot, [round])
        versions[slot] = round
      }
      try bench.sync()
      bench.close()
    }
    let bench = try BackingBench(try openPersistent(loaded))
    for (slot, version) in versions { try bench.expect(slot, [version], "after the last close") }
    bench.close()
  }

  static func openPersistent(_ loaded: LoadedTier) throws -> OpenTier {
    guard try loaded.table().lifetime == .persistent else {
      throw loaded.run.notApplicable("it is for persistent backings")
    }
    return try loaded.open(.backing)
  }

  static let kill = Check(
    "backing-kill", .backing, scope: .persistentBackings, needs: ["backing-reopen"],
    proves: "What was synced is there after the process was killed.",
    advice: "sync must bring everything out of the process, and more: nothing may wait for close."
  ) { run in
    for round in 1...run.times(4) where !run.isLate || round == 1 {
      let slots = (0..<64).map { $0 * 3 + round }
      let child = try ForkedChild(run) { side in
        let bench = try BackingBench(try openPersistent(try run.load()))
        for slot in slots where slot < bench.slots { try bench.write(slot, [round]) }
        try bench.sync()
        side.send([ForkedChild.ready])
        // Work goes on until the end comes.
        for version in 1... { try bench.write(0, [version]) }
      }
      try child.waitUntilReady()
      usleep(UInt32(run.random.below(5000)))
      _ = child.kill()
      let reader = try ForkedChild(run) { _ in
        let bench = try BackingBench(try openPersistent(try run.load()))
        for slot in slots where slot < bench.slots {
          try bench.expect(slot, [round], "synced, and then the process was killed")
        }
        bench.close()
      }
      try reader.finish()
      try run.expect(true, "")
    }
  }

  static let openTwice = Check(
    "backing-open-twice", .backing, scope: .persistentBackings, needs: ["backing-reopen"],
    proves: "A second instance at the same place is refused, or does no harm to the first.",
    advice: "Lock what you open, and change nothing before you have the lock."
  ) { run in
    let loaded = try run.load()
    let bench = try BackingBench(try openPersistent(loaded))
    for slot in 0..<min(bench.slots, 64) { try bench.write(slot, [1]) }
    try bench.sync()
    let table = try loaded.table()
    let (code, second) = try OpenArguments(run, table).open(loaded, table)
    if let second {
      run.notes.note(.close)
      bench.tier.raw.close(second)
    }
    run.summary = second == nil ? "refused: \(TierResult.name(code))" : "a second one opens beside it"
    for slot in 0..<min(bench.slots, 64) {
      try bench.expect(slot, [1], "a second instance was opened at the same place")
    }
    for slot in 0..<min(bench.slots, 64) { try bench.write(slot, [2]) }
    for slot in 0..<min(bench.slots, 64) {
      try bench.expect(slot, [2], "a second instance had been opened at the same place")
    }
    bench.close()
    let again = try BackingBench(try openPersistent(loaded))
    try again.expect(0, [2], "a second instance had been opened at the same place")
    again.close()
  }
}
