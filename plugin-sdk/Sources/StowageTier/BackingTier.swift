// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// A tier that is an array of slots, each one page long, addressed by number.
///
/// The host decides which slot holds what, and never names a slot at or past `slotCount()`.
public protocol BackingTier: Tier, ~Copyable {
  /// How many slots there are now.
  func slotCount() throws(TierError) -> UInt64
  /// Fills the buffer from a run of slots.
  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _ context: inout Context) throws(TierError)
  /// Stores the buffer in a run of slots.
  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _ context: inout Context) throws(TierError)
  /// The contents of these slots are not needed any more: a hint. Needs `offers: .trim`.
  func trim(_ run: SlotRun, _ context: inout Context) throws(TierError)
  /// All writes answered before this call outlive the power when it returns. Persistent tiers.
  func sync(_ context: inout Context) throws(TierError)
  /// Takes requests in order, as many as it can, and says how many; must not block on the operations
  /// themselves. Needs `offers: .submit`.
  func submit(_ requests: SlotRequests, _ context: inout Context) throws(TierError) -> Int
  /// Where the slot's page can be read in place, or nil. Needs `offers: .map`.
  func map(_ slot: UInt64) -> UnsafeRawPointer?
  /// Copies the root into the room and says how long it is; 0 when there is none. Persistent tiers.
  func readRoot(into room: UnsafeMutableRawBufferPointer) throws(TierError) -> Int
  /// Replaces the root, atomically and durably, if it equals `expected` byte for byte, else throws `.gone`.
  /// Persistent tiers.
  func swapRoot(from expected: UnsafeRawBufferPointer, to root: UnsafeRawBufferPointer) throws(TierError)

  // The kit's own, as in `Tier`. Never implement these.
  static func _slotCount(_ tier: UnsafeMutableRawPointer) throws(TierError) -> UInt64
  static func _read(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun, _ buffer: UnsafeMutableRawBufferPointer
  ) -> Int32
  static func _write(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun, _ buffer: UnsafeRawBufferPointer
  ) -> Int32
  static func _trim(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun) -> Int32
  static func _sync(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?) -> Int32
  static func _submit(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ requests: SlotRequests,
    _ taken: UnsafeMutablePointer<UInt32>
  ) -> Int32
  static func _map(_ tier: UnsafeMutableRawPointer, _ slot: UInt64) -> UnsafeRawPointer?
  static func _readRoot(_ tier: UnsafeMutableRawPointer, _ room: UnsafeMutableRawBufferPointer)
    throws(TierError) -> Int
  static func _swapRoot(
    _ tier: UnsafeMutableRawPointer, _ expected: UnsafeRawBufferPointer, _ root: UnsafeRawBufferPointer
  ) throws(TierError)
}

/// The requests of one `submit`, in order. Those taken are the tier's until it calls `complete`.
public typealias SlotRequests = UnsafeBufferPointer<UnsafeMutablePointer<stowage_request>>

/// A run of slots.
public struct SlotRun: BitwiseCopyable, Sendable {
  /// The first slot.
  public let first: UInt64
  /// How many, at least 1.
  public let count: Int
  /// Bytes in a slot.
  public let slotSize: Int

  @inlinable
  public init(first: UInt64, count: Int, slotSize: Int) {
    self.first = first
    self.count = count
    self.slotSize = slotSize
  }

  /// Where the run begins, in bytes from slot 0.
  @inlinable public var offset: Int { Int(truncatingIfNeeded: first) &* slotSize }
  /// How many bytes it is long.
  @inlinable public var byteCount: Int { count &* slotSize }
}

// MARK: - What a backing need not write

extension BackingTier where Self: ~Copyable {
  @inlinable public func trim(_ run: SlotRun, _ context: inout Context) throws(TierError) {}
  @inlinable public func sync(_ context: inout Context) throws(TierError) { throw .unsupported }
  @inlinable public func submit(_ requests: SlotRequests, _ context: inout Context) throws(TierError) -> Int {
    throw .unsupported
  }
  @inlinable public func map(_ slot: UInt64) -> UnsafeRawPointer? { nil }
  @inlinable public func readRoot(into room: UnsafeMutableRawBufferPointer) throws(TierError) -> Int {
    throw .unsupported
  }
  @inlinable public func swapRoot(from expected: UnsafeRawBufferPointer, to root: UnsafeRawBufferPointer)
    throws(TierError)
  {
    throw .unsupported
  }
}

// MARK: - Between a pointer and a backing

/// As in `Tier`: the address is that of a `Self`.
extension BackingTier where Self: ~Copyable {
  public static func _slotCount(_ tier: UnsafeMutableRawPointer) throws(TierError) -> UInt64 {
    try tier.assumingMemoryBound(to: Self.self).pointee.slotCount()
  }

  @inlinable
  public static func _read(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun, _ buffer: UnsafeMutableRawBufferPointer
  ) -> Int32 {
    do throws(TierError) {
      try tier.assumingMemoryBound(to: Self.self).pointee.read(run, into: buffer, &_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _write(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun, _ buffer: UnsafeRawBufferPointer
  ) -> Int32 {
    do throws(TierError) {
      try tier.assumingMemoryBound(to: Self.self).pointee.write(run, from: buffer, &_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _trim(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ run: SlotRun) -> Int32 {
    do throws(TierError) {
      try tier.assumingMemoryBound(to: Self.self).pointee.trim(run, &_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _sync(_ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?) -> Int32 {
    do throws(TierError) {
      try tier.assumingMemoryBound(to: Self.self).pointee.sync(&_context(context).pointee)
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _submit(
    _ tier: UnsafeMutableRawPointer, _ context: OpaquePointer?, _ requests: SlotRequests,
    _ taken: UnsafeMutablePointer<UInt32>
  ) -> Int32 {
    taken.pointee = 0
    do throws(TierError) {
      let tier = tier.assumingMemoryBound(to: Self.self)
      taken.pointee = UInt32(truncatingIfNeeded: try tier.pointee.submit(requests, &_context(context).pointee))
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }

  @inlinable
  public static func _map(_ tier: UnsafeMutableRawPointer, _ slot: UInt64) -> UnsafeRawPointer? {
    tier.assumingMemoryBound(to: Self.self).pointee.map(slot)
  }

  public static func _readRoot(_ tier: UnsafeMutableRawPointer, _ room: UnsafeMutableRawBufferPointer)
    throws(TierError) -> Int
  {
    try tier.assumingMemoryBound(to: Self.self).pointee.readRoot(into: room)
  }

  public static func _swapRoot(
    _ tier: UnsafeMutableRawPointer, _ expected: UnsafeRawBufferPointer, _ root: UnsafeRawBufferPointer
  ) throws(TierError) {
    try tier.assumingMemoryBound(to: Self.self).pointee.swapRoot(from: expected, to: root)
  }
}
