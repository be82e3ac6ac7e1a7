// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// The host's table, as the entry function gets it.
public typealias HostTable = UnsafePointer<stowage_host>

/// A tier's descriptor, as the entry function returns it.
public typealias TierTable = UnsafePointer<stowage_tier>

/// What a tier passes on from its entry function, as C functions cannot be made from generic code:
///
///     @c @implementation
///     public func stowage_tier_entry(_ host: HostTable) -> TierTable? { MyTier.entry(host) { MyTier.open($0, $1) } }
public typealias TierOpenFunction =
  @convention(c) (UnsafePointer<stowage_open>, UnsafeMutablePointer<OpaquePointer?>) -> Int32

extension TransformTier where Self: ~Copyable {
  /// Checks the host and makes the descriptor of this tier. Called once per process.
  @inlinable
  public static func entry(
    _ host: HostTable, open: TierOpenFunction, extensions: TierExtensionFunction? = nil
  ) -> TierTable? {
    makeDescriptor(host, about, open, extensions, isTransform: true, hasContext: MemoryLayout<Context>.size > 0)
  }

  /// Opens an instance of this tier.
  @inlinable
  public static func open(_ arguments: UnsafePointer<stowage_open>, _ instance: UnsafeMutablePointer<OpaquePointer?>)
    -> Int32
  {
    do throws(TierError) {
      instance.pointee = try TierInstance.create(
        arguments, about, size: MemoryLayout<Self>.stride, type: Self.self, transform: Self.self, backing: nil
      ) { (arguments, address) throws(TierError) in
        address.bindMemory(to: Self.self, capacity: 1).initialize(to: try Self(arguments))
      }
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }
}

extension BackingTier where Self: ~Copyable {
  /// Checks the host and makes the descriptor of this tier. Called once per process.
  @inlinable
  public static func entry(
    _ host: HostTable, open: TierOpenFunction, extensions: TierExtensionFunction? = nil
  ) -> TierTable? {
    makeDescriptor(host, about, open, extensions, isTransform: false, hasContext: MemoryLayout<Context>.size > 0)
  }

  /// Opens an instance of this tier.
  @inlinable
  public static func open(_ arguments: UnsafePointer<stowage_open>, _ instance: UnsafeMutablePointer<OpaquePointer?>)
    -> Int32
  {
    do throws(TierError) {
      instance.pointee = try TierInstance.create(
        arguments, about, size: MemoryLayout<Self>.stride, type: Self.self, transform: nil, backing: Self.self
      ) { (arguments, address) throws(TierError) in
        address.bindMemory(to: Self.self, capacity: 1).initialize(to: try Self(arguments))
      }
      return STOWAGE_OK
    } catch {
      return error.rawValue
    }
  }
}

/// The descriptor, in memory that is never freed, as the host keeps it for ever.
@usableFromInline
func makeDescriptor(
  _ host: HostTable, _ about: TierDescription, _ open: TierOpenFunction, _ extensions: TierExtensionFunction?,
  isTransform: Bool, hasContext: Bool
) -> TierTable? {
  guard let host = acceptedHost(host, about) else { return nil }
  about.host.pointee = host

  let tier = UnsafeMutablePointer<stowage_tier>.allocate(capacity: 1)
  tier.initialize(to: about.raw)
  tier.pointee.open = open
  tier.pointee.close = { TierInstance.destroy($0) }
  tier.pointee.get_extension = extensions
  if isTransform {
    tier.pointee.role = STOWAGE_ROLE_TRANSFORM
    tier.pointee.transform = makeTransformTable(sidecarLength: about.sidecarLength)
  } else {
    tier.pointee.role = STOWAGE_ROLE_BACKING
    tier.pointee.backing = makeBackingTable(
      offers: about.offers, persistent: about.raw.lifetime == STOWAGE_LIFETIME_PERSISTENT)
  }
  if hasContext { addContexts(to: tier) }
  if about.offers.contains(.state) { addState(to: tier) }
  if about.offers.contains(.health) { addHealth(to: tier) }
  return UnsafePointer(tier)
}

/// The host's table, copied as far as the host knew it, so that functions which it lacks read as absent; nil if
/// this tier cannot work with it.
private func acceptedHost(_ host: HostTable, _ about: TierDescription) -> HostTable? {
  // Everything up to `wipe` is in every version of the table.
  guard host.pointee.magic == hostMagic, let least = MemoryLayout<stowage_host>.offset(of: \.get_extension),
    host.pointee.struct_size >= least
  else { return nil }
  let name = String(cString: about.raw.name)
  guard host.pointee.abi_major == STOWAGE_ABI_MAJOR else {
    TierHost.tell(
      host, "the tier '\(name)' needs interface \(STOWAGE_ABI_MAJOR).x, the host has \(host.pointee.abi_major).x")
    return nil
  }
  guard host.pointee.abi_minor >= about.raw.minor_required else {
    TierHost.tell(
      host,
      "the tier '\(name)' needs interface \(STOWAGE_ABI_MAJOR).\(about.raw.minor_required) or later, "
        + "the host has \(host.pointee.abi_major).\(host.pointee.abi_minor)")
    return nil
  }
  let copy = UnsafeMutablePointer<stowage_host>.allocate(capacity: 1)
  copy.initialize(to: copyPrefix(host, size: Int(host.pointee.struct_size)))
  return UnsafePointer(copy)
}

private func addContexts(to tier: UnsafeMutablePointer<stowage_tier>) {
  tier.pointee.thread_open = { instance, use, context in
    let header = TierInstance.header(instance)
    return code { () throws(TierError) in
      context.pointee = OpaquePointer(
        try header.pointee.type._openContext(TierInstance.tier(instance), header.pointee.host, use))
    }
  }
  tier.pointee.thread_close = { instance, context in
    let header = TierInstance.header(instance)
    header.pointee.type._closeContext(
      TierInstance.tier(instance), header.pointee.host, UnsafeMutableRawPointer(context))
  }
}

private func addState(to tier: UnsafeMutablePointer<stowage_tier>) {
  tier.pointee.state_save = { instance, state, room, length in
    var place = TierStateRoom(room: UnsafeMutableRawBufferPointer(start: state, count: state == nil ? 0 : room))
    let result = code { () throws(TierError) in
      try TierInstance.header(instance).pointee.type._saveState(TierInstance.tier(instance), &place)
    }
    length.pointee = place.length
    return result
  }
  tier.pointee.state_load = { instance, state, length in
    code { () throws(TierError) in
      try TierInstance.header(instance).pointee.type._loadState(
        TierInstance.tier(instance), UnsafeRawBufferPointer(start: state, count: length))
    }
  }
}

private func addHealth(to tier: UnsafeMutablePointer<stowage_tier>) {
  tier.pointee.health = { instance, health in
    // No more is filled in than the host has room for.
    let room = min(Int(health.pointee.struct_size), MemoryLayout<stowage_health>.size)
    guard let start = MemoryLayout<stowage_health>.offset(of: \.message), room >= start else { return STOWAGE_INVALID }
    let answer = TierInstance.header(instance).pointee.type._health(TierInstance.tier(instance))
    health.pointee.state = answer.state.rawValue
    let message = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(health) + start, count: room - start)
    guard message.count > 0 else { return STOWAGE_OK }
    message.initializeMemory(as: UInt8.self, repeating: 0)
    // Cut between characters, with room for the NUL.
    var text = answer.message
    while text.utf8.count >= message.count { text.removeLast() }
    message.copyBytes(from: text.utf8)
    return STOWAGE_OK
  }
}

// The header's two magic numbers and its flags are macros that Swift does not import.
private let hostMagic: UInt64 = 0x3154_534F_4857_5453
let tierMagic: UInt64 = 0x3152_4549_5457_5453
