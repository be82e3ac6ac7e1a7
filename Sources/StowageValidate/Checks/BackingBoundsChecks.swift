// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// The ends of the slots, and of the buffers.
enum BackingBoundsChecks {
  static let all = [capacity, pastEnd, buffers, readOnly, objectsNull]

  static let capacity = Check(
    "backing-capacity", .backing, scope: .backings, needs: ["backing-model"],
    proves: "The last slot that capacity promises keeps a page, and the promise does not change by itself.",
    advice: "slots_total is how many slots there are now: every one of them must take a page."
  ) { run in
    let bench = try run.openBench()
    let total = try bench.tier.capacity()
    let count = min(total, 4)
    try bench.write(total - 1, [1])
    try bench.expect(total - 1, [1], "the last slot")
    try bench.write(total - count, [Int](repeating: 2, count: count))
    try bench.expect(total - count, [Int](repeating: 2, count: count), "a run up to the last slot")
    for _ in 0..<run.times(100) {
      let now = try bench.tier.capacity()
      try run.expect(now == total, "capacity said \(total) slots, and \(now) a moment later")
    }
    bench.close()
  }

  static let pastEnd = Check(
    "backing-past-end", .backing, scope: .backings, needs: ["backing-capacity"],
    proves: "Slots at or past the end are refused, and nothing is changed on the way.",
    advice: "Compare slot and slot_count with slots_total, without a sum that can overflow; answer STOWAGE_GONE."
  ) { run in
    let bench = try run.openBench()
    let total = UInt64(try bench.tier.capacity())
    let kept = Int(min(total, 8))
    try bench.write(0, [Int](repeating: 1, count: kept))
    try bench.write(Int(total) - kept, [Int](repeating: 1, count: kept))
    let byteSize = UInt64(bench.tier.pageSize)
    let slots = [total, total + 1, total * 2, 1 << 32, .max / byteSize, .max / byteSize + 1, 1 << 63, .max - 1, .max]
    let runs: [(UInt64, UInt32)] = slots.map { ($0, 1) } + [(total - 1, 2), (total - 1, 16), (total, 4), (.max - 1, 4)]
    for (slot, count) in runs {
      bench.prepare(7, [Int](repeating: 9, count: Int(count)))
      let written = bench.tier.writeRaw(bench.context, slot: slot, count: count, bench.room.base)
      try run.expect(written != STOWAGE_OK, "write of \(count) slots from \(slot) on answered OK; there are \(total)")
      let read = bench.tier.readRaw(bench.context, slot: slot, count: count, bench.room.base)
      try run.expect(read != STOWAGE_OK, "read of \(count) slots from \(slot) on answered OK; there are \(total)")
      bench.tier.trimRaw(bench.context, slot: slot, count: slot == total - 1 ? 2 : count)
    }
    try bench.expect(0, [Int](repeating: 1, count: kept), "slots past the end were written to")
    // The last slot was in a run that was refused, so it may hold anything.
    let last = [Int?](repeating: 1, count: kept - 1) + [nil]
    try bench.expect(Int(total) - kept, last, "slots past the end were written to")
    let now = try bench.tier.capacity()
    try run.expect(now == Int(total), "capacity said \(total) slots, and \(now) after slots past the end were refused")
    bench.close()
  }

  static let buffers = Check(
    "backing-buffer-bounds", .backing, scope: .backings, needs: ["backing-model"],
    proves: "read writes, and write reads, nothing beside the buffer.",
    advice: "The buffer is slot_count pages. A crash here is a step outside; the last call says in which call."
  ) { run in
    let bench = try run.openBench()
    for count in [1, 2, 3, BackingBench.longest] where count <= bench.slots {
      guard let buffer = GuardedBuffer(size: count * bench.tier.pageSize, at: .end) else {
        throw run.notRun("there is no memory between guards")
      }
      for version in 1...run.times(10) where !run.isLate {
        let slot = run.random.below(bench.slots - count + 1)
        for index in 0..<count {
          bench.fill(buffer.base + index * bench.tier.pageSize, slot: slot + index, version: version)
        }
        let written = bench.tier.write(bench.context, slot: slot, count: count, buffer.base)
        try run.expect(written == STOWAGE_OK, "write answered \(OpenTier.said(written))")
        let read = bench.tier.read(bench.context, slot: slot, count: count, buffer.base)
        try run.expect(read == STOWAGE_OK, "read answered \(OpenTier.said(read))")
      }
    }
    bench.close()
  }

  static let readOnly = Check(
    "backing-write-read-only", .backing, scope: .backings, needs: ["backing-model"],
    proves: "write takes pages from memory that cannot be written to.",
    advice: "Never work in place on the buffer of write, even if you put it back: it may be mapped read-only."
  ) { run in
    let bench = try run.openBench()
    // Far from the guards: the bounds are another check's.
    guard let buffer = GuardedBuffer(size: 6 * bench.tier.pageSize, at: .start) else {
      throw run.notRun("there is no memory between guards")
    }
    let memory = buffer.base + bench.tier.pageSize
    for count in 1...min(4, bench.slots) {
      for index in 0..<count { bench.fill(memory + index * bench.tier.pageSize, slot: index, version: count) }
      buffer.makeReadOnly()
      let written = bench.tier.write(bench.context, slot: 0, count: count, memory)
      buffer.makeWritable()
      try bench.expectOK(written, "write")
      try bench.expect(0, [Int](repeating: count, count: count), "written from memory that is read-only")
    }
    bench.close()
  }

  static let objectsNull = Check(
    "backing-objects-null", .backing, scope: .backings, needs: ["backing-model"],
    proves: "read and write do without objects.",
    advice: "objects may be null: look before you use them."
  ) { run in
    let bench = try run.openBench()
    for version in 1...run.times(10) {
      let slot = run.random.below(bench.slots)
      bench.prepare(slot, [version])
      try bench.expectOK(bench.tier.writeRaw(bench.context, slot: UInt64(slot), count: 1, bench.room.base), "write")
      bench.soil()
      try bench.expectOK(bench.tier.readRaw(bench.context, slot: UInt64(slot), count: 1, bench.room.base), "read")
      try bench.expectRoom(slot, [version], "written and read without objects")
    }
    bench.close()
  }
}
