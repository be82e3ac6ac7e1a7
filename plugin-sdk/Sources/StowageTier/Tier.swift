// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// What every tier has. Conform to ``TransformTier`` or ``BackingTier``, not to this alone.
///
/// A value of the conforming type is one opened instance. It lies in memory of the host and is called through
/// its address, so a call costs no reference counting; keep plain fields in it (numbers, pointers, a
/// `TierHost`), or make the type `~Copyable` and give it a `Mutex` or an `Atomic`. Calls come from several
/// threads as the description's `threads` allows.
public protocol Tier: ~Copyable {
  /// The scratch memory of one working context: plain fields, one call at a time, any thread.
  associatedtype Context = NoContext

  /// What the tier says of itself. A `static let`.
  static var about: TierDescription { get }

  /// Opens an instance.
  init(_ arguments: TierArguments) throws(TierError)

  /// Ends it: wipe keys, give memory back. All contexts are closed already.
  mutating func close()

  /// Makes a working context.
  func openContext(for use: TierUse) throws(TierError) -> Context
  /// Ends one.
  func closeContext(_ context: inout Context)

  /// How the instance fares; must not block. Needs `offers: .health`.
  func health() -> (state: TierHealth, message: String)
  /// Writes what must be kept to decode every object that this instance can decode, those of the state that it was
  /// given among them. Throws `.tooBig` through ``TierStateRoom`` when the room is too small, and `.unsupported`,
  /// with the reason, when nothing of what it encodes can outlive it. Needs `offers: .state`.
  func saveState(_ room: inout TierStateRoom) throws(TierError)
  /// Takes what `saveState` of an earlier instance gave, before any context is opened, and continues under an epoch of
  /// its own. Needs `offers: .state`.
  mutating func loadState(_ state: UnsafeRawBufferPointer) throws(TierError)

  // The kit's own: made by it for each tier, in the tier's module, so that the calls they make are
  // specialised. Never implement these.
  static func _close(_ tier: UnsafeMutableRawPointer, _ host: TierHost)
  static func _openContext(_ tier: UnsafeMutableRawPointer, _ host: TierHost, _ use: UInt32)
    throws(TierError) -> UnsafeMutableRawPointer
  static func _closeContext(_ tier: UnsafeMutableRawPointer, _ host: TierHost, _ context: UnsafeMutableRawPointer)
  static func _health(_ tier: UnsafeMutableRawPointer) -> (state: TierHealth, message: String)
  static func _saveState(_ tier: UnsafeMutableRawPointer, _ room: inout TierStateRoom) throws(TierError)
  static func _loadState(_ tier: UnsafeMutableRawPointer, _ state: UnsafeRawBufferPointer) throws(TierError)
}

/// The context of tiers that need none.
public struct NoContext: BitwiseCopyable, Sendable {
  @inlinable public init() {}
}

/// What a context will be used for.
public struct TierUse: OptionSet, Sendable, BitwiseCopyable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// encode, write, trim, sync.
  @inlinable public static var encode: TierUse { TierUse(rawValue: STOWAGE_CONTEXT_ENCODE) }
  /// decode, read.
  @inlinable public static var decode: TierUse { TierUse(rawValue: STOWAGE_CONTEXT_DECODE) }
}

/// How an instance fares.
public enum TierHealth: UInt32, Sendable, BitwiseCopyable {
  case good = 1
  /// Works, but slowly or without its redundancy.
  case degraded = 2
  /// Cannot store now.
  case failed = 3
}

/// Where `saveState` puts the state.
public struct TierStateRoom {
  let room: UnsafeMutableRawBufferPointer
  var length = 0

  /// Tells the host how long the state is; throws `.tooBig` when it does not fit. For a state that takes time to make:
  /// the host asks for the length first.
  public mutating func require(_ count: Int) throws(TierError) {
    length = count
    guard count <= room.count else { throw .tooBig }
  }

  /// Stores the whole state; throws `.tooBig` when it does not fit, having told the host how much it is.
  public mutating func store(_ state: some Collection<UInt8>) throws(TierError) {
    try require(state.count)
    room.copyBytes(from: state)
  }
}

// MARK: - What a tier need not write

extension Tier where Self: ~Copyable {
  @inlinable public mutating func close() {}
  @inlinable public func closeContext(_ context: inout Context) {}
  public func health() -> (state: TierHealth, message: String) { (.good, "") }
  public func saveState(_ room: inout TierStateRoom) throws(TierError) { throw .unsupported }
  public mutating func loadState(_ state: UnsafeRawBufferPointer) throws(TierError) { throw .unsupported }
}

extension Tier where Self: ~Copyable, Context == NoContext {
  @inlinable public func openContext(for use: TierUse) throws(TierError) -> NoContext { NoContext() }
}

// MARK: - Between a pointer and a tier

/// `tier` is what `TierInstance.create` made for this very type and the host passes an instance only to the
/// tier that opened it, so binding the address to `Self` is right.
extension Tier where Self: ~Copyable {
  @inlinable
  public static func _close(_ tier: UnsafeMutableRawPointer, _ host: TierHost) {
    let tier = tier.assumingMemoryBound(to: Self.self)
    tier.pointee.close()
    tier.deinitialize(count: 1)
  }

  @inlinable
  public static func _openContext(_ tier: UnsafeMutableRawPointer, _ host: TierHost, _ use: UInt32)
    throws(TierError) -> UnsafeMutableRawPointer
  {
    let size = MemoryLayout<Context>.stride
    let memory = try host.allocate(size, alignment: TierInstance.alignment, .secret)
    do {
      let tier = tier.assumingMemoryBound(to: Self.self)
      let context = try tier.pointee.openContext(for: TierUse(rawValue: use))
      // `allocate` gives an address or throws.
      let address = memory.baseAddress.unsafelyUnwrapped
      address.initializeMemory(as: Context.self, to: context)
      return address
    } catch {
      host.free(memory, .secret)
      throw error
    }
  }

  @inlinable
  public static func _closeContext(
    _ tier: UnsafeMutableRawPointer, _ host: TierHost, _ context: UnsafeMutableRawPointer
  ) {
    let typed = context.assumingMemoryBound(to: Context.self)
    tier.assumingMemoryBound(to: Self.self).pointee.closeContext(&typed.pointee)
    typed.deinitialize(count: 1)
    host.free(UnsafeMutableRawBufferPointer(start: context, count: MemoryLayout<Context>.stride), .secret)
  }

  public static func _health(_ tier: UnsafeMutableRawPointer) -> (state: TierHealth, message: String) {
    tier.assumingMemoryBound(to: Self.self).pointee.health()
  }

  public static func _saveState(_ tier: UnsafeMutableRawPointer, _ room: inout TierStateRoom) throws(TierError) {
    try tier.assumingMemoryBound(to: Self.self).pointee.saveState(&room)
  }

  public static func _loadState(_ tier: UnsafeMutableRawPointer, _ state: UnsafeRawBufferPointer) throws(TierError) {
    try tier.assumingMemoryBound(to: Self.self).pointee.loadState(state)
  }

  /// The context at an address that may be null for a tier without contexts: then an address that is good
  /// for a value of no bytes.
  @inlinable @inline(__always)
  static func _context(_ pointer: OpaquePointer?) -> UnsafeMutablePointer<Context> {
    if MemoryLayout<Context>.size == 0 {
      return UnsafeMutablePointer(bitPattern: MemoryLayout<Context>.alignment).unsafelyUnwrapped
    }
    // The host passes a context to every data call of a tier that has `thread_open`, as ours has then.
    return UnsafeMutablePointer(pointer.unsafelyUnwrapped)
  }
}
