// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine

/// The asynchronous way: submit and complete.
enum BackingRequestChecks {
  static let all = [same, once, many, inside, pastEnd, deadline]

  static let same = Check(
    "backing-async", .backing, scope: .backings, needs: ["backing-model"],
    proves: "A request does what the plain call does: what one writes, the other reads.",
    advice: "Serve the whole run of a request, and complete it after the last byte is where it belongs."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    for version in 1...run.times(100) where !run.isLate {
      let count = 1 + run.random.below(min(bench.slots, BackingBench.longest))
      let slot = run.random.below(bench.slots - count + 1)
      let versions = [Int](repeating: version, count: count)
      try driver.perform([driver.write(slot, versions)])
      try bench.expect(slot, versions, "written by a request")
      try bench.write(slot, versions.map { $0 + 1000 })
      let read = driver.read(slot, count)
      try driver.perform([read])
      try driver.expect(read, versions.map { $0 + 1000 }, "read by a request")
      guard bench.tier.backing.pointee.trim != nil, version % 4 == 0, slot > 0 else { continue }
      try bench.write(slot - 1, [version])
      try driver.perform([driver.make(UInt32(STOWAGE_OPERATION_TRIM), slot: slot, count: count)])
      try bench.expect(slot - 1, [version], "the slots behind it were trimmed by a request")
    }
    bench.close()
  }

  static let once = Check(
    "backing-async-once", .backing, scope: .backings, needs: ["backing-async"],
    proves: "Each request that was taken is completed exactly once, a sync among others too.",
    advice: "Call complete once for each request taken, and touch neither it nor its buffer afterwards."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    var requests: [PendingRequest] = []
    for version in 1...run.times(40) where !run.isLate {
      let slot = run.random.below(bench.slots)
      var batch = [driver.write(slot, [version])]
      if bench.tier.backing.pointee.sync != nil, version % 8 == 1 {
        batch.append(driver.make(UInt32(STOWAGE_OPERATION_SYNC)))
      }
      try driver.perform(batch)
      requests += batch
    }
    // Time for what should not come.
    usleep(50_000)
    for pending in requests {
      let count = pending.completionCount
      try run.expect(
        count == 1, "a request (operation \(pending.request.pointee.operation)) was completed \(count) times")
    }
    bench.close()
  }

  static let many = Check(
    "backing-async-many", .backing, scope: .backings, needs: ["backing-async"], timeLimit: .seconds(40),
    proves: "Of very many requests at once as many are taken as there is room for, and all of those are completed.",
    advice:
      "Set *taken to what you took, answer STOWAGE_RETRY when there is no place left, and never block or drop one."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    for round in 1...run.times(2) where !run.isLate || round == 1 {
      let slots = (0..<min(bench.slots, 2000)).shuffled(using: &run.random)
      try driver.perform(slots.map { driver.write($0, [round]) })
      let reads = slots.map { driver.read($0, 1) }
      try driver.perform(reads)
      for read in reads { try driver.expect(read, [round], "\(slots.count) requests at once") }
    }
    bench.close()
  }

  static let inside = Check(
    "backing-async-inside", .backing, scope: .backings, needs: ["backing-async"],
    proves: "More can be submitted from inside of complete.",
    advice: "Hold no lock while you call complete."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    // Each one submits the next when it is done.
    let slots = (0..<min(bench.slots, 40)).map { $0 }
    let chain = slots.map { driver.write($0, [1]) }
    for (pending, next) in zip(chain, chain.dropFirst()) {
      pending.whenDone = { _ in
        while driver.offer([next]).code == STOWAGE_RETRY { usleep(100) }
      }
    }
    try driver.submit([chain[0]])
    let missing = driver.wait(chain)
    try run.expectInTime(
      missing == 0,
      "\(missing) of \(chain.count) requests, each submitted when the one before was completed, did not end")
    for slot in slots { try bench.expect(slot, [1], "submitted from inside of complete") }
    bench.close()
  }

  static let pastEnd = Check(
    "backing-async-past-end", .backing, scope: .backings, needs: ["backing-async", "backing-past-end"],
    proves: "Requests for slots past the end are not taken, or are completed with an error.",
    advice: "Compare slot and slot_count with slots_total in submit too, without a sum that can overflow."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    let total = try bench.tier.capacity()
    for (slot, count) in [(total, 1), (total - 1, 2), (1 << 40, 1), (Int.max / 4096, 1)] {
      for operation in [UInt32(STOWAGE_OPERATION_WRITE), UInt32(STOWAGE_OPERATION_READ)] {
        let pending = driver.make(operation, slot: slot, count: count)
        let (code, taken) = driver.offer([pending])
        guard taken == 1 else {
          try run.expect(code != STOWAGE_OK, "submit took nothing and answered OK")
          continue
        }
        let missing = driver.wait([pending])
        try run.expectInTime(missing == 0, "a request for slot \(slot) of \(total) was taken and never completed")
        try run.expect(
          pending.resultCode != STOWAGE_OK,
          "a request for \(count) slots from \(slot) on ended with OK; there are \(total)")
      }
    }
    let now = try bench.tier.capacity()
    try run.expect(now == total, "capacity said \(total) slots, and \(now) after slots past the end were refused")
    bench.close()
  }

  static let deadline = Check(
    "backing-async-deadline", .backing, scope: .backings, needs: ["backing-async"],
    proves: "A request is completed when its deadline has come, be it with STOWAGE_RETRY.",
    advice:
      "Give up by deadline_ns with STOWAGE_RETRY; a deadline that has passed already is no reason to forget a request."
  ) { run in
    let bench = try run.openBench()
    let driver = try RequestDriver(bench)
    for (index, time) in [Duration.zero, .microseconds(1), .milliseconds(1), .milliseconds(20)].enumerated() {
      let requests = (0..<min(bench.slots, 32)).map { slot in
        driver.make(UInt32(STOWAGE_OPERATION_READ), slot: slot, deadlineIn: time)
      }
      try driver.submit(requests)
      let missing = driver.wait(requests, atMost: time + .seconds(2))
      try run.expectInTime(
        missing == 0,
        "\(missing) of \(requests.count) requests with \(time) to go were not completed 2 s after their deadline")
      for pending in requests {
        let result = pending.resultCode
        try run.expect(
          result == STOWAGE_OK || result == STOWAGE_RETRY,
          "a request with \(time) to go ended with \(TierResult.name(result)) (round \(index + 1))")
      }
    }
    bench.close()
  }
}
