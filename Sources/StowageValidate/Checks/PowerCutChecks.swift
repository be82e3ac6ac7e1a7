// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine
internal import StowagePlugins
internal import Synchronization

/// What a persistent backing keeps when the power is cut, on a device that loses what was not synced.
enum PowerCutChecks {
  static let all = [data, root]

  /// Opens the tier over simulated storage. Where it does not ask for it, nothing is known of power cuts, which is
  /// something else than a check that does not apply.
  private static func open(_ run: CheckRun) throws -> OpenTier {
    let folder = run.order.folder
    CheckStorage.state.withLock { $0.folder = folder }
    let tier = try BackingKeepingChecks.openPersistent(try run.load(.init(hasStorage: true)))
    guard CheckStorage.state.withLock({ $0.isAsked }) else {
      throw run.notRun("its storage cannot be replaced: it does not ask for \(STOWAGE_EXTENSION_STORAGE)")
    }
    return tier
  }

  /// Lets the body use the tier in a process of its own, and cuts the power some time after it said that it is ready.
  /// - Returns: how often the body had said so.
  private static func cut(_ run: CheckRun, _ body: (ForkedChild.Side) throws -> Void) throws -> Int {
    let child = try ForkedChild(run, body)
    try child.waitUntilReady()
    usleep(UInt32(run.random.below(5000)))
    let ready = 1 + child.kill().count
    CheckStorage.cutPower(in: run.order.folder, &run.random)
    return ready
  }

  static let data = Check(
    "backing-power-cut", .backing, scope: .persistentBackings, needs: ["backing-reopen"],
    proves: "What was synced is there after a power cut, whatever became of later writes.",
    advice: "Let sync wait until the device has confirmed what was written (fdatasync), and answer its error."
  ) { run in
    for round in 1...run.times(6) where !run.isLate || round <= 2 {
      let slots = (0..<64).map { $0 * 3 + round }
      _ = try cut(run) { side in
        let bench = try BackingBench(try open(run))
        for slot in slots where slot < bench.slots { try bench.write(slot, [round]) }
        try bench.sync()
        side.send([ForkedChild.ready])
        // Work goes on, on other slots, until the end comes.
        for version in 1... { try bench.write(min(3 * (version % 64) + round + 1, bench.slots - 1), [version]) }
      }
      let reader = try ForkedChild(run) { _ in
        let bench = try BackingBench(try open(run))
        for slot in slots where slot < bench.slots - 1 {
          try bench.expect(slot, [round], "synced, and then the power was cut")
        }
        bench.close()
      }
      try reader.finish()
      try run.expect(true, "")
    }
  }

  static let root = Check(
    "backing-root-power-cut", .backing, scope: .persistentBackings, needs: ["backing-root-reopen"],
    proves: "After a power cut there is the old root or the new one, whole, and none that was confirmed is lost.",
    advice: "Write the new root beside the old one and sync it before root_swap answers OK."
  ) { run in
    var first = 0
    for round in 0..<run.times(6) where !run.isLate || round < 2 {
      let answered = first + (try cut(run) { try BackingRootChecks.swap(try open(run), after: first, $0) })
      let reader = try ForkedChild(run) { _ in
        let tier = try open(run)
        try BackingRootChecks.expectWhole(tier, atLeast: answered, after: "a power cut")
        tier.close()
      }
      try reader.finish()
      try run.expect(true, "")
      first = answered + 1
    }
  }
}
