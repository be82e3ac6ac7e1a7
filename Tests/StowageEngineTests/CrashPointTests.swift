// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

extension SimulatedSessions {
  /// The power fails in every single call into the disk of a checkpoint, a suspend, a resume and a change of the key, one
  /// after the other; each time it comes back in several ways.
  @Suite(.serialized) struct CrashPointTests {
    /// Crashes over all seeds: STOWAGE_TEST_POINTS.
    private static let crashes = CrashMatrix.number("STOWAGE_TEST_POINTS") ?? 800
    /// One seed only: STOWAGE_TEST_POINT.
    private static let only = CrashMatrix.number("STOWAGE_TEST_POINT").map { UInt64($0) }

    enum Moment: String, CaseIterable { case checkpoint, suspend, resume, rekey }

    @Test("a crash in any call of a checkpoint, suspend, resume or rekey costs nothing that had completed")
    func everyCall() throws {
      var total = SessionCounts()
      var points = 0
      var seed = Self.only ?? TestSeed.value &* 1000
      let began = ContinuousClock.now
      repeat {
        for moment in Moment.allCases {
          let run = try CrashPoints(seed, moment)
          try run.enumerate()
          total.add(run.counts)
          points += run.points
          for failure in run.failures {
            Issue.record("\(moment), call \(run.points + 1): \(failure); repeat it with STOWAGE_TEST_POINT=\(seed)")
          }
          guard run.failures.isEmpty else { return }
        }
        seed &+= 1
        // Few crashes may be over before a profile has come that trims: then some seeds more, not for ever.
      } while Self.only == nil
        && (total.allCrashes < Self.crashes || (!Self.hasEveryCall(total) && total.allCrashes < Self.crashes + 20_000))
      print("points: \(points) calls in which the power failed")
      try CrashMatrix.report("points", total, since: began)
      guard Self.only == nil else { return }
      for moment in Moment.allCases { #expect(total.crashes.keys.contains { $0.moment == moment.rawValue }) }
      #expect(Self.hasEveryCall(total), "no crash in some call: \(total.crashes.keys.sorted())")
      #expect(total.resumes > total.allCrashes * 3 / 4)
    }

    /// Also, but for trims, which come later, of checkpoints that merge deltas.
    private static func hasEveryCall(_ counts: SessionCounts) -> Bool {
      SimulatedDisk.Call.allCases.allSatisfy { call in
        let moments = counts.crashes.keys.filter { $0.call == "in a \(call)" }.map(\.moment)
        return call == .trim ? !moments.isEmpty : moments.contains { $0.hasSuffix(CrashPoints.merging) }
      }
    }
  }
}

/// All crashes of one moment, in stores that are alike up to it.
private final class CrashPoints {
  /// How often the power comes back after each of them.
  private static let outcomes = 4
  /// Behind the moment's name, when the checkpoint that the crash ended was merging deltas.
  static let merging = ", merging deltas"

  private let seed: UInt64
  private let moment: SimulatedSessions.CrashPointTests.Moment
  private let profile: SessionProfile
  private let dead: SimulatedDisk
  private(set) var counts = SessionCounts()
  private(set) var failures: [String] = []
  /// Calls in which the power failed.
  private(set) var points = 0
  /// The checkpoint that the crash ended was merging deltas.
  private var wasMerging = false

  init(_ seed: UInt64, _ moment: SimulatedSessions.CrashPointTests.Moment) throws {
    (self.seed, self.moment) = (seed, moment)
    profile = try moment == .rekey ? SessionProfile(withKeys: seed) : SessionProfile(small: seed)
    dead = try SimulatedDisk(1, slots: 1, seed: 0)
  }

  func enumerate() throws {
    var hasMore = true
    while hasMore, failures.isEmpty {
      points += 1
      let world = try SessionWorld(seed, profile)
      try prepare(world)
      hasMore = try crash(world, in: points)
      world.close()
      counts.add(world.counts)
      failures += world.failures
    }
    points -= 1
  }

  /// Up to the moment: the same calls each time.
  private func prepare(_ world: SessionWorld) throws {
    try world.begin()
    guard let store = world.store else { return }
    if profile.passing > 0 { world.fill(store, profile.passing) }
    for _ in 0..<world.random.below(250) { world.step(store) }
    if seed % 4 != 0 { world.checkpoint(store) }
    for _ in 0..<world.random.below(120) { world.step(store) }
    if profile.passing > 0 { world.discard(store, but: 30) }
    guard moment == .resume || moment == .rekey else { return }
    if world.random.one(in: 2) || moment == .rekey {
      if !world.suspend(store) { world.fail("it cannot be suspended") }
    } else {
      world.checkpoint(store)
    }
    world.leave(store)
    try world.disk.crash()
  }

  /// False when the moment has fewer calls.
  private func crash(_ world: SessionWorld, in call: Int) throws -> Bool {
    try world.disk.dies(in: call)
    wasMerging = false
    switch moment {
    case .checkpoint: if let store = world.store { try checkpoint(world, store) }
    case .suspend:
      guard let store = world.store else { break }
      if try noteMerging(world, store, { world.suspend(store) }) { world.leave(store) }
    case .resume: world.store = try? world.open(.resume(force: false))
    case .rekey: rekey(world)
    }
    guard try world.disk.isDead else {
      if let store = world.store { world.leave(store) }
      return false
    }
    try world.die(world.store, during: moment.rawValue + (wasMerging ? Self.merging : ""), outcomes: Self.outcomes)
    try dead.copy(world.disk)
    let known = world.known
    for outcome in 0..<Self.outcomes where world.failures.isEmpty {
      try world.disk.copy(dead)
      try world.disk.crash(seed: seed &* 977 &+ UInt64(call * Self.outcomes + outcome))
      if moment == .rekey { try chooseKey(world) }
      try world.resume()
      if let store = world.store { world.leave(store) }
      world.known = known
    }
    return true
  }

  /// And what the store does with the slots that it made free.
  private func checkpoint(_ world: SessionWorld, _ store: Store) throws {
    _ = try noteMerging(world, store) { world.checkpoint(store) }
    for _ in 0..<40 { store.step() }
  }

  private func noteMerging(_ world: SessionWorld, _ store: Store, _ body: () -> Bool) throws -> Bool {
    let before = store.sessionSummary?.mergesFailed ?? 0
    let isDone = body()
    wasMerging = try world.disk.isDead && store.sessionSummary?.mergesFailed ?? 0 > before
    return isDone
  }

  private func rekey(_ world: SessionWorld) {
    guard let store = try? world.open(.resume(force: false)) else { return }
    world.store = store
    do {
      try store.rekey(tier: "aes-gcm", options: ["key-file": .text(profile.keys[1])])
    } catch { world.fail("\(error)") }
    if world.suspend(store) { world.leave(store) }
  }

  /// After a change of the key that was cut off exactly one of the two fits.
  private func chooseKey(_ world: SessionWorld) throws {
    let known = world.known
    let fitting = profile.keys.indices.filter { key in
      world.key = key
      guard let store = try? world.open(.inspect) else { return false }
      store.close()
      return true
    }
    world.known = known
    guard fitting.count == 1 else { return world.fail("keys \(fitting) fit after a change that was cut off") }
    world.key = fitting[0]
  }
}
