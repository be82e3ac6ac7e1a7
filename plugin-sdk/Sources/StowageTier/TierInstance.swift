// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// What lies before the tier's own value in the memory of an instance, for the functions of the tables: they
/// are not generic (a C function cannot be), so the instance itself says which type it is of.
@usableFromInline
struct TierInstance {
  let type: any (Tier & ~Copyable).Type
  let transform: (any (TransformTier & ~Copyable).Type)?
  let backing: (any (BackingTier & ~Copyable).Type)?
  let host: TierHost
  let pageSize: Int
  let byteCount: Int

  /// Where the tier's own value begins.
  @usableFromInline static var tierOffset: Int { 128 }
  /// Of instances and contexts: a cache line, so that no two share one.
  @usableFromInline static var alignment: Int { 64 }

  /// The header of an instance; the host gives back the address that `create` made.
  @inline(__always)
  static func header(_ instance: OpaquePointer) -> UnsafePointer<TierInstance> {
    UnsafePointer(instance)
  }

  /// The tier's own value in an instance.
  @inline(__always)
  static func tier(_ instance: OpaquePointer) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(instance) + tierOffset
  }

  @inline(__always)
  func run(_ slot: UInt64, _ count: UInt32) -> SlotRun {
    SlotRun(first: slot, count: Int(count), slotSize: pageSize)
  }

  /// Makes an instance: the host's memory, the header and, through `initialize`, the tier's value.
  @usableFromInline
  static func create(
    _ raw: UnsafePointer<stowage_open>, _ description: TierDescription, size: Int,
    type: any (Tier & ~Copyable).Type, transform: (any (TransformTier & ~Copyable).Type)?,
    backing: (any (BackingTier & ~Copyable).Type)?,
    initialize: (TierArguments, UnsafeMutableRawPointer) throws(TierError) -> Void
  ) throws(TierError) -> OpaquePointer {
    precondition(MemoryLayout<TierInstance>.size <= tierOffset)
    // Nil only if `about` is made anew at each use; there is nobody to tell why.
    guard let table = description.host.pointee else { throw .invalid }
    let host = TierHost(table: table, owner: raw.pointee.owner)
    let arguments = TierArguments(copyPrefix(raw, size: Int(raw.pointee.struct_size)), host, description)
    let byteCount = tierOffset + size
    // Secret, as a tier may keep its keys among its fields.
    let memory = try host.allocate(byteCount, alignment: alignment, .secret)
    let address = memory.baseAddress.unsafelyUnwrapped
    do {
      try initialize(arguments, address + tierOffset)
    } catch {
      host.free(memory, .secret)
      throw error
    }
    address.initializeMemory(
      as: TierInstance.self,
      to: TierInstance(
        type: type, transform: transform, backing: backing, host: host, pageSize: arguments.pageSize,
        byteCount: byteCount))
    return OpaquePointer(address)
  }

  static func destroy(_ instance: OpaquePointer) {
    let header = header(instance).pointee
    header.type._close(tier(instance), header.host)
    header.host.free(
      UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(instance), count: header.byteCount), .secret)
  }
}

/// Copies a structure of the other side: the smaller of both sizes, the rest zero. For C structures only,
/// for which zeros are a value.
func copyPrefix<Structure: BitwiseCopyable>(_ source: UnsafePointer<Structure>, size: Int) -> Structure {
  withUnsafeTemporaryAllocation(of: Structure.self, capacity: 1) { buffer in
    let bytes = UnsafeMutableRawBufferPointer(buffer)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    bytes.copyMemory(
      from: UnsafeRawBufferPointer(start: source, count: min(size, MemoryLayout<Structure>.size)))
    return buffer[0]
  }
}
