// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import Synchronization

/// Stands between the engine and the tier of this process, and counts the data calls that are under way.
enum CallWatch {
  private static let underWay = Atomic<Int>(0)
  private static let most = Atomic<Int>(0)
  private static let count = Atomic<Int>(0)

  /// Most calls at one time, and all calls.
  static var seen: (most: Int, count: Int) { (most.load(ordering: .relaxed), count.load(ordering: .relaxed)) }

  /// Set once, before any call.
  nonisolated(unsafe) private static var transform = UnsafePointer<stowage_transform>(bitPattern: 0)
  nonisolated(unsafe) private static var backing = UnsafePointer<stowage_backing>(bitPattern: 0)

  /// A descriptor whose data calls go by here. It lives as long as the process, as all descriptors do.
  static func between(_ tier: UnsafePointer<stowage_tier>) -> UnsafePointer<stowage_tier> {
    let copy = Self.copy(tier, size: tier.pointee.struct_size)
    transform = tier.pointee.transform
    backing = tier.pointee.backing
    if let transform {
      copy.pointee.transform = UnsafePointer(watched(Self.copy(transform, size: transform.pointee.struct_size)))
    }
    if let backing {
      copy.pointee.backing = UnsafePointer(watched(Self.copy(backing, size: backing.pointee.struct_size)))
    }
    return UnsafePointer(copy)
  }

  /// Copies a table as far as this host knows it, as the engine does.
  private static func copy<Table>(_ source: UnsafePointer<Table>, size: UInt32) -> UnsafeMutablePointer<Table> {
    let own = MemoryLayout<Table>.size
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(own, Int(size)), alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: max(own, Int(size)))
    memory.copyMemory(from: source, byteCount: Int(size))
    return memory.bindMemory(to: Table.self, capacity: 1)
  }

  private static func call(_ body: () -> Int32) -> Int32 {
    let now = underWay.add(1, ordering: .sequentiallyConsistent).newValue
    _ = most.max(now, ordering: .relaxed)
    // Others get their chance to come in.
    if count.add(1, ordering: .relaxed).newValue % 8 == 0 { usleep(20) }
    defer { underWay.subtract(1, ordering: .sequentiallyConsistent) }
    return body()
  }

  private static func watched(_ table: UnsafeMutablePointer<stowage_transform>) -> UnsafeMutablePointer<
    stowage_transform
  > {
    table.pointee.encode = { instance, context, object, input, output, room, length, sidecar in
      CallWatch.call {
        CallWatch.transform!.pointee.encode(instance, context, object, input, output, room, length, sidecar)
      }
    }
    table.pointee.decode = { instance, context, object, input, length, output, sidecar in
      CallWatch.call {
        CallWatch.transform!.pointee.decode(instance, context, object, input, length, output, sidecar)
      }
    }
    return table
  }

  private static func watched(_ table: UnsafeMutablePointer<stowage_backing>) -> UnsafeMutablePointer<stowage_backing> {
    table.pointee.read = { instance, context, slot, count, buffer, objects in
      CallWatch.call { CallWatch.backing!.pointee.read(instance, context, slot, count, buffer, objects) }
    }
    table.pointee.write = { instance, context, slot, count, buffer, objects in
      CallWatch.call { CallWatch.backing!.pointee.write(instance, context, slot, count, buffer, objects) }
    }
    if table.pointee.trim != nil {
      table.pointee.trim = { instance, context, slot, count in
        CallWatch.call { CallWatch.backing!.pointee.trim!(instance, context, slot, count) }
      }
    }
    if table.pointee.sync != nil {
      table.pointee.sync = { instance, context in
        CallWatch.call { CallWatch.backing!.pointee.sync!(instance, context) }
      }
    }
    if table.pointee.submit != nil {
      table.pointee.submit = { instance, context, requests, count, taken in
        CallWatch.call { CallWatch.backing!.pointee.submit!(instance, context, requests, count, taken) }
      }
    }
    return table
  }
}
