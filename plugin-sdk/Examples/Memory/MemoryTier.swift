// SPDX-License-Identifier: Apache-2.0

// A backing that keeps its slots in memory.
public import StowageTier

struct MemoryTier: BackingTier {
  static let about = TierDescription(
    name: "memory", version: "1.0.0", summary: "Slots in memory.", priority: 850, threads: .parallel,
    optional: [.swapSafe], offers: [.map],
    options: [.bytes("size", "how much memory to hold, in bytes", default: 16 << 20, in: 65536...(1 << 40))])

  let host: TierHost
  let slots: UnsafeMutableRawBufferPointer
  let slotSize: Int

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    slotSize = arguments.pageSize
    slots = try host.allocate(try arguments.number("size"), alignment: 4096, .secret)
  }

  mutating func close() { host.free(slots, .secret) }
  func slotCount() -> UInt64 { UInt64(slots.count / slotSize) }

  func bytes(of run: SlotRun) throws(TierError) -> UnsafeMutableRawBufferPointer {
    guard run.first < slotCount(), UInt64(run.count) <= slotCount() - run.first else {
      throw host.fail(.gone, "there is no such slot")
    }
    return UnsafeMutableRawBufferPointer(rebasing: slots[run.offset..<run.offset + run.byteCount])
  }

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _: inout NoContext) throws(TierError) {
    buffer.copyMemory(from: UnsafeRawBufferPointer(try bytes(of: run)))
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _: inout NoContext) throws(TierError) {
    try bytes(of: run).copyMemory(from: buffer)
  }

  func map(_ slot: UInt64) -> UnsafeRawPointer? {
    slot < slotCount() ? slots.baseAddress.map { UnsafeRawPointer($0 + Int(slot) * slotSize) } : nil
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { MemoryTier.entry(host) { MemoryTier.open($0, $1) } }
