// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// Whether a tier's contents survive.
public enum TierLifetime: UInt32, Sendable {
  /// They die with the power or the process.
  case transient = 1
  /// They survive both. Backings only.
  case persistent = 2
}

/// What must happen to a tier's contents before they go further down.
public enum TierAccess: UInt32, Sendable {
  /// They are decoded (read back) first.
  case terminal = 1
  /// They go as they are.
  case transparent = 2
}

/// Which calls a tier can stand at the same time.
public enum TierThreads: UInt32, Sendable {
  /// One, over all instances.
  case oneForAll = 1
  /// One for each instance.
  case onePerInstance = 2
  /// Any number, each with its own context.
  case parallel = 3
}

/// Promises and demands of a tier: `STOWAGE_FLAG_*`.
public struct TierFlags: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Never skipped, passed over or drained: a cipher.
  public static var mandatory: TierFlags { TierFlags(rawValue: 1 << 0) }
  /// May give back other bytes, or none.
  public static var lossy: TierFlags { TierFlags(rawValue: 1 << 1) }
  /// Allocates no memory in data calls.
  public static var swapSafe: TierFlags { TierFlags(rawValue: 1 << 2) }
  /// `encode` gives exactly as many bytes as it got.
  public static var lengthPreserving: TierFlags { TierFlags(rawValue: 1 << 3) }
  /// `decode` finds every change of its input.
  public static var integrity: TierFlags { TierFlags(rawValue: 1 << 4) }
  /// Same object, same input: same output.
  public static var deterministic: TierFlags { TierFlags(rawValue: 1 << 5) }
}

/// What a tier implements beyond the least. Only what is named here gets an entry in its tables; the host
/// does without the rest.
public struct TierOffers: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// `health()`.
  public static var health: TierOffers { TierOffers(rawValue: 1) }
  /// `saveState` and `loadState`.
  public static var state: TierOffers { TierOffers(rawValue: 2) }
  /// `trim`, of a backing.
  public static var trim: TierOffers { TierOffers(rawValue: 4) }
  /// `submit`, of a backing.
  public static var submit: TierOffers { TierOffers(rawValue: 8) }
  /// `map`, of a backing.
  public static var map: TierOffers { TierOffers(rawValue: 16) }
}

/// What a tier says of itself. Keep it in a `static let` of the tier: the host's table is remembered in
/// it, as the kit has no state of its own.
public struct TierDescription: @unchecked Sendable {
  /// The descriptor, but for its functions.
  let raw: stowage_tier
  let sidecarLength: UInt32
  let offers: TierOffers
  /// Filled in by the entry function, read by `open`. Never freed: a description lives for ever.
  let host: UnsafeMutablePointer<UnsafePointer<stowage_host>?>

  /// - Parameters:
  ///   - name: as in NAME.tier.so: lower-case letters, digits and '-'.
  ///   - version: the tier's own, such as "1.2.3".
  ///   - summary: one line.
  ///   - priority: 0 to 999, the place in the chain; low is near RAM.
  ///   - required: flags that a host must know, or else refuse the tier.
  ///   - optional: flags that a host may overlook.
  ///   - sidecarLength: bytes that a transform keeps beside each object, at most 32.
  ///   - minorRequired: the lowest minor version of the interface that the tier can work with.
  public init(
    name: StaticString, version: StaticString, summary: StaticString, priority: UInt32,
    lifetime: TierLifetime = .transient, access: TierAccess = .terminal,
    threads: TierThreads = .onePerInstance, required: TierFlags = [], optional: TierFlags = [],
    sidecarLength: UInt32 = 0, offers: TierOffers = [], options: [TierOption] = [],
    vendor: StaticString? = nil, licence: StaticString? = nil, url: StaticString? = nil,
    minorRequired: UInt16 = UInt16(STOWAGE_ABI_MINOR)
  ) {
    var tier = TierDescription.blank(name: name, version: version, summary: summary)
    tier.minor_required = minorRequired
    tier.lifetime = lifetime.rawValue
    tier.access = access.rawValue
    tier.priority = priority
    tier.thread_model = threads.rawValue
    tier.flags_required = required.rawValue
    tier.flags_optional = optional.rawValue
    tier.vendor = vendor?.immortalText
    tier.licence = licence?.immortalText
    tier.url = url?.immortalText
    if !options.isEmpty {
      let table = UnsafeMutablePointer<stowage_option>.allocate(capacity: options.count)
      for (index, option) in options.enumerated() { (table + index).initialize(to: option.raw) }
      tier.options = UnsafePointer(table)
    }
    tier.option_count = UInt32(options.count)
    raw = tier
    self.sidecarLength = sidecarLength
    self.offers = offers
    host = .allocate(capacity: 1)
    host.initialize(to: nil)
  }

  private static func blank(name: StaticString, version: StaticString, summary: StaticString) -> stowage_tier {
    stowage_tier(
      magic: tierMagic, struct_size: UInt32(MemoryLayout<stowage_tier>.stride),
      abi_major: UInt16(STOWAGE_ABI_MAJOR), abi_minor: UInt16(STOWAGE_ABI_MINOR), minor_required: 0, reserved0: 0,
      role: 0, lifetime: 0, access: 0, priority: 0, thread_model: 0, flags_required: 0, flags_optional: 0,
      name: name.immortalText, version: version.immortalText, summary: summary.immortalText, vendor: nil,
      licence: nil, url: nil, options: nil, option_count: 0,
      option_size: UInt32(MemoryLayout<stowage_option>.stride),
      open: { _, _ in STOWAGE_UNSUPPORTED }, close: { _ in }, thread_open: nil, thread_close: nil, state_save: nil,
      state_load: nil, health: nil, transform: nil, backing: nil, get_extension: nil)
  }
}
