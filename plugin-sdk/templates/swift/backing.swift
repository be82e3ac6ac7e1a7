// SPDX-License-Identifier: Apache-2.0
//
// @NAME@: a backing that keeps its slots in memory. Put your own storage into read and write, and say in `about` what it
// is.
public import StowageTier

/// Yours to fill in: an SPDX expression, such as "MIT".
private let licence: StaticString = "LicenseRef-fill-in"

struct SlotsTier: BackingTier {
  static let about = TierDescription(
    name: "@NAME@", version: "0.1.0", summary: "Slots in memory.", priority: 850,
    // Calls may run side by side: two slots have no byte in common.
    threads: .parallel, optional: [.swapSafe],
    options: [.bytes("size", "how much memory to hold, in bytes", default: 16 << 20, in: 65536...(1 << 40))],
    licence: licence)

  let host: TierHost
  let slots: UnsafeMutableRawBufferPointer
  let slotSize: Int

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    slotSize = arguments.pageSize
    // Pages may be anybody's: memory that stays out of core dumps and is wiped when it is freed.
    slots = try host.allocate(try arguments.number("size") / slotSize * slotSize, alignment: 4096, .secret)
  }

  mutating func close() { host.free(slots, .secret) }

  func slotCount() -> UInt64 { UInt64(slots.count / slotSize) }

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _: inout NoContext) throws(TierError) {
    buffer.copyMemory(from: UnsafeRawBufferPointer(try bytes(of: run)))
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _: inout NoContext) throws(TierError) {
    try bytes(of: run).copyMemory(from: buffer)
  }

  /// The bytes of a run of slots; throws when it is not all there.
  private func bytes(of run: SlotRun) throws(TierError) -> UnsafeMutableRawBufferPointer {
    guard run.first < slotCount(), UInt64(run.count) <= slotCount() - run.first else {
      throw host.fail(.gone, "there is no such slot")
    }
    return UnsafeMutableRawBufferPointer(rebasing: slots[run.offset..<run.offset + run.byteCount])
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { SlotsTier.entry(host) { SlotsTier.open($0, $1) } }
