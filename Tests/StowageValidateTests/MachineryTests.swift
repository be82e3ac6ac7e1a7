// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageTestSupport
import Testing

@testable import StowageValidate

/// What checks are made of must see what it is there to see.
@Suite struct MachineryTests {
  private func checkRun(_ file: String, _ folder: TemporaryFolder) throws -> CheckRun {
    let order = CheckOrder(file: file, check: "threads-serialised", level: 2, seed: 1, folder: folder.path)
    return CheckRun(order: order, check: try #require(CheckList.check(order.check)), notes: .local)
  }

  @Test("calls side by side are seen") func sideBySide() throws {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("good-tiers/transform.c", into: folder.url)
    let loaded = try checkRun(file.path, folder).load()
    let watched = WatchedTransform(CallWatch.between(loaded.raw).pointee.transform!.pointee)
    let tier = try OpenTier(loaded, try loaded.table())
    try CheckThreads.run(4) { thread in
      let context = try tier.context()
      let (input, output) = (PlainRoom(4096), PlainRoom(8192))
      for round in 0..<2000 {
        var (object, length) = (tier.object(UInt64(thread * 10_000 + round + 1), length: 4096), 0)
        let code = watched.table.encode(
          tier.instance, context, &object, input.base.assumingMemoryBound(to: UInt8.self),
          output.base.assumingMemoryBound(to: UInt8.self), 8192, &length, nil)
        guard code == STOWAGE_OK else { throw TestFailure("encode answered \(code)") }
      }
      tier.end(context)
    }
    tier.close()
    #expect(CallWatch.seen.count == 8000)
    #expect(CallWatch.seen.most > 1)
  }

  private struct WatchedTransform: @unchecked Sendable {
    let table: stowage_transform
    init(_ table: stowage_transform) { self.table = table }
  }

  /// In a process of its own, as no other thread may be at work when one forks.
  @Test("the end of a second process is told apart") func secondProcess() async throws {
    await #expect(processExitsWith: .success) {
      let tests = MachineryTests()
      let run = try tests.checkRun("/nowhere", try TemporaryFolder())
      try ForkedChild(run) { _ in }.finish()
      let failing = try ForkedChild(run) { _ in throw run.fail("that was wrong") }
      try #require(tests.end { try failing.finish() } == "failed: in a second process: that was wrong")
      let missing = try ForkedChild(run) { _ in throw run.notRun("not there") }
      try #require(tests.end { try missing.finish() } == "not run: not there")
      let crashing = try ForkedChild(run) { _ in kill(getpid(), SIGKILL) }
      let crash = tests.end { try crashing.finish() }
      try #require(crash.hasPrefix("failed: a second process with the tier: it was ended by SIGKILL"))
      let working = try ForkedChild(run) { side in
        side.send([1, 2, ForkedChild.ready])
        side.waitForEnd()
      }
      try #require(working.receive(2) == [1, 2])
      try working.waitUntilReady()
      try #require(working.kill().isEmpty)
    }
  }

  private func end(_ body: () throws -> Void) -> String {
    do { try body() } catch CheckEnd.failed(let text) { return "failed: \(text)" } catch CheckEnd.notRun(let text) {
      return "not run: \(text)"
    } catch { return "\(error)" }
    return "done"
  }

  @Test("growth that goes on is a leak, a cache that fills is none") func growth() throws {
    let run = try checkRun("/nowhere", try TemporaryFolder())
    final class Counter { var value = 0, turns = 0 }
    func watch(_ counter: Counter) -> GrowthWatch {
      GrowthWatch(run: run, what: "bytes", measure: { counter.value }, allowed: 4)
    }
    let leaking = Counter()
    #expect(
      end { try watch(leaking).expectNone(800, "A turn") { leaking.value += 16 } }.hasPrefix(
        "failed: A turn leaves 16.0 bytes"))
    let filling = Counter()
    try watch(filling).expectNone(800, "A turn") {
      filling.turns += 1
      if filling.turns < 500 { filling.value += 16 }
    }
  }
}
