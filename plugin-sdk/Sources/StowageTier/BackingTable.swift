// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// The functions behind every backing's table; see `makeTransformTable`.
func makeBackingTable(offers: TierOffers, persistent: Bool) -> UnsafePointer<stowage_backing> {
  let table = UnsafeMutablePointer<stowage_backing>.allocate(capacity: 1)
  table.initialize(to: requiredBackingFunctions())
  if offers.contains(.trim) {
    table.pointee.trim = { instance, context, slot, count in
      let header = TierInstance.header(instance)
      return header.pointee.backing.unsafelyUnwrapped._trim(
        TierInstance.tier(instance), context, header.pointee.run(slot, count))
    }
  }
  if offers.contains(.submit) {
    table.pointee.submit = { instance, context, requests, count, taken in
      TierInstance.header(instance).pointee.backing.unsafelyUnwrapped._submit(
        TierInstance.tier(instance), context, SlotRequests(start: requests, count: Int(count)), taken)
    }
  }
  if offers.contains(.map) {
    table.pointee.map = { instance, slot in
      TierInstance.header(instance).pointee.backing.unsafelyUnwrapped._map(TierInstance.tier(instance), slot)?
        .assumingMemoryBound(to: UInt8.self)
    }
  }
  if persistent { addDurability(to: table) }
  return UnsafePointer(table)
}

private func requiredBackingFunctions() -> stowage_backing {
  stowage_backing(
    struct_size: UInt32(MemoryLayout<stowage_backing>.stride), reserved: 0,
    capacity: { instance, capacity in
      code { () throws(TierError) in
        guard Int(capacity.pointee.struct_size) >= MemoryLayout<stowage_capacity>.size else { throw .invalid }
        capacity.pointee.slots_total = try TierInstance.header(instance).pointee.backing.unsafelyUnwrapped
          ._slotCount(TierInstance.tier(instance))
      }
    },
    read: { instance, context, slot, count, buffer, _ in
      let header = TierInstance.header(instance)
      let run = header.pointee.run(slot, count)
      return header.pointee.backing.unsafelyUnwrapped._read(
        TierInstance.tier(instance), context, run,
        UnsafeMutableRawBufferPointer(start: buffer, count: run.byteCount))
    },
    write: { instance, context, slot, count, buffer, _ in
      let header = TierInstance.header(instance)
      let run = header.pointee.run(slot, count)
      return header.pointee.backing.unsafelyUnwrapped._write(
        TierInstance.tier(instance), context, run, UnsafeRawBufferPointer(start: buffer, count: run.byteCount))
    },
    trim: nil, sync: nil, submit: nil, map: nil, root_read: nil, root_swap: nil)
}

/// `sync` and the root, which persistent tiers have.
private func addDurability(to table: UnsafeMutablePointer<stowage_backing>) {
  table.pointee.sync = { instance, context in
    TierInstance.header(instance).pointee.backing.unsafelyUnwrapped._sync(TierInstance.tier(instance), context)
  }
  table.pointee.root_read = { instance, root, room, length in
    code { () throws(TierError) in
      length.pointee = try TierInstance.header(instance).pointee.backing.unsafelyUnwrapped._readRoot(
        TierInstance.tier(instance), UnsafeMutableRawBufferPointer(start: root, count: room))
    }
  }
  table.pointee.root_swap = { instance, expected, expectedLength, root, length in
    code { () throws(TierError) in
      try TierInstance.header(instance).pointee.backing.unsafelyUnwrapped._swapRoot(
        TierInstance.tier(instance),
        UnsafeRawBufferPointer(start: expected, count: expected == nil ? 0 : expectedLength),
        UnsafeRawBufferPointer(start: root, count: length))
    }
  }
}

/// Runs a body that may throw and gives the code for the host.
@inline(__always)
func code(_ body: () throws(TierError) -> Void) -> Int32 {
  do throws(TierError) {
    try body()
    return STOWAGE_OK
  } catch {
    return error.rawValue
  }
}
