// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// What slots keep.
enum BackingChecks {
  static let all =
    [readWrite, runs, trim, model, pageSizes, map, sync, health, transformHealth]
    + BackingBoundsChecks.all + BackingRequestChecks.all + BackingKeepingChecks.all + BackingRootChecks.all
    + PowerCutChecks.all

  static let readWrite = Check(
    "backing-read-write", .backing, scope: .backings, needs: ["life-open"],
    proves: "What is written to a slot is read from it.",
    advice: "After STOWAGE_OK from write, read must give these bytes."
  ) { run in
    let bench = try run.openBench()
    let slots = (0..<bench.slots).shuffled(using: &run.random).prefix(run.times(200))
    for slot in slots where !run.isLate { try bench.write(slot, [1]) }
    for slot in slots where !run.isLate { try bench.expect(slot, [1], "written once") }
    run.summary = "\(try bench.tier.capacity()) slots"
    bench.close()
  }

  static let runs = Check(
    "backing-runs", .backing, scope: .backings, needs: ["backing-read-write"],
    proves: "A run of slots is the same as its slots one by one, for reading and for writing.",
    advice: "Slot + i of a run is at buffer + i * page_size."
  ) { run in
    let bench = try run.openBench()
    for count in 2...BackingBench.longest where count <= bench.slots && !run.isLate {
      let slot = run.random.below(bench.slots - count + 1)
      let (first, second) = ([Int](repeating: count, count: count), [Int](repeating: 100 + count, count: count))
      try bench.write(slot, first)
      for index in 0..<count { try bench.expect(slot + index, [count], "written in a run of \(count)") }
      for index in 0..<count { try bench.write(slot + index, [second[index]]) }
      try bench.expect(slot, second, "written one by one, read in a run of \(count)")
    }
    bench.close()
  }

  static let trim = Check(
    "backing-trim", .backing, scope: .backings, needs: ["backing-runs"],
    proves: "Trimmed slots and those never written can be read, and trimming touches no other slot.",
    advice: "Such a slot reads as anything, but the read must not fail; round a trim inwards, never outwards."
  ) { run in
    let bench = try run.openBench()
    try bench.expect(0, [Int?](repeating: nil, count: min(bench.slots, BackingBench.longest)), "")
    for version in 1...run.times(20) where bench.slots >= 3 && !run.isLate {
      let count = 3 + run.random.below(min(bench.slots, BackingBench.longest) - 2)
      let slot = run.random.below(bench.slots - count + 1)
      try bench.write(slot, [Int](repeating: version, count: count))
      try bench.trim(slot + 1, count - 2)
      let middle = [Int?](repeating: nil, count: count - 2)
      try bench.expect(slot, [version] + middle + [version], "the slots between were trimmed")
    }
    bench.close()
  }

  static let model = Check(
    "backing-model", .backing, scope: .backings, needs: ["backing-trim"], timeLimit: .seconds(20),
    proves: "Thousands of reads, writes and trims of runs in random order do what a model of them does.",
    advice: "Repeat with the same seed; the message names the slot, its last write is the one that was lost."
  ) { run in
    let bench = try run.openBench()
    let slots = min(bench.slots, 256)
    var versions = [Int?](repeating: nil, count: slots)
    var operations = 0
    for version in 1...run.times(4000) where !run.isLate {
      let count = 1 + run.random.below(min(slots, BackingBench.longest))
      let slot = run.random.below(slots - count + 1)
      switch run.random.below(10) {
      case 0:
        try bench.trim(slot, count)
        for index in slot..<slot + count { versions[index] = nil }
      case 1...5:
        try bench.write(slot, [Int](repeating: version, count: count))
        for index in slot..<slot + count { versions[index] = version }
      default:
        try bench.expect(slot, Array(versions[slot..<slot + count]), "operation \(version)")
      }
      operations = version
    }
    for slot in 0..<slots { try bench.expect(slot, [versions[slot]], "after \(operations) operations") }
    run.summary = "\(operations) operations on \(slots) slots"
    bench.close()
  }

  static let pageSizes = Check(
    "backing-page-sizes", .backing, scope: .backings, needs: ["backing-runs"],
    proves: "Slots of every page size up to 64 KiB keep what is written to them.",
    advice: "A slot is arguments->page_size long, which may be up to STOWAGE_PAGE_BYTES_MAX."
  ) { run in
    let loaded = try run.load()
    for shift in 12...16 {
      // Each size has a file of its own, as a file may be made for one.
      let bench = try BackingBench(try loaded.open(.backing, suffix: "-\(shift)") { $0.pageSize = 1 << shift })
      let count = min(bench.slots, BackingBench.longest)
      for first in [0, bench.slots / 2, bench.slots - count] where first + count <= bench.slots {
        try bench.write(first, [Int](repeating: shift, count: count))
      }
      try bench.expect(0, [Int](repeating: shift, count: count), "pages of \(1 << shift) bytes")
      try bench.expect(bench.slots - 1, [shift], "pages of \(1 << shift) bytes")
      bench.close()
    }
  }

  static let map = Check(
    "backing-map", .backing, scope: .backings, needs: ["backing-model"],
    proves: "A slot's page can be read in place where map says.",
    advice: "map gives the address of that slot's page, good until the slot is written or trimmed, or null."
  ) { run in
    let bench = try run.openBench()
    guard let map = bench.tier.backing.pointee.map else { throw run.notApplicable("the tier has no map") }
    var mapped = 0
    for version in 1...run.times(100) where !run.isLate {
      let slot = run.random.below(bench.slots)
      try bench.write(slot, [version])
      run.notes.note(.map, UInt64(slot))
      guard let address = map(bench.tier.instance, UInt64(slot)) else { continue }
      mapped += 1
      try run.expect(
        bench.holds(address, slot: slot, version: version), "map of slot \(slot) gives the address of something else")
    }
    guard mapped > 0 else { throw run.notRun("map gave no address for any slot") }
    bench.close()
  }

  static let sync = Check(
    "backing-sync", .backing, scope: .backings, needs: ["backing-read-write"],
    proves: "sync answers OK, with something to bring to safety and with nothing.",
    advice: "sync after no write at all is fine; tell with set_error why it cannot be done."
  ) { run in
    let bench = try run.openBench()
    guard bench.tier.backing.pointee.sync != nil else { throw run.notApplicable("the tier has no sync") }
    for round in 0..<3 {
      let code = bench.tier.sync(bench.context)
      try run.expect(code == STOWAGE_OK, "sync answered \(OpenTier.said(code))")
      if round > 0 { try bench.write(round, [1]) }
    }
    try bench.sync()
    try bench.expect(1, [1], "synced")
    bench.close()
  }

  static let health = Check(
    "backing-health", .backing, scope: .backings, needs: ["life-open"],
    proves: "health answers with a state that makes sense, and keeps to the size of the host's structure.",
    advice: "Set state to one of STOWAGE_HEALTH_*, end the message in a NUL, and fill no more than struct_size."
  ) { run in
    let tier = try run.open(.backing)
    try tier.expectHealth()
    tier.close()
  }

  static let transformHealth = Check(
    "transform-health", .transform, scope: .transforms, needs: ["life-open"],
    proves: health.proves, advice: health.advice
  ) { run in
    let tier = try run.open(.transform)
    try tier.expectHealth()
    tier.close()
  }
}
