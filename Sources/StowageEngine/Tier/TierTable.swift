// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// What a tier does with bytes.
public enum TierRole: String, Sendable, Hashable, CaseIterable {
  /// Bytes into bytes; the host keeps the output.
  case transform
  /// An array of page-sized slots.
  case backing
}

/// Whether a tier's contents outlive the process and the power.
public enum TierLifetime: String, Sendable, Hashable, CaseIterable {
  case transient, persistent
}

/// Whether a tier's contents go further down as they are.
public enum TierAccess: String, Sendable, Hashable, CaseIterable {
  /// Decoded (read back) before they move on.
  case terminal
  /// Moved on unopened.
  case transparent
}

/// How many calls a tier stands at one time.
public enum TierThreadModel: UInt32, Sendable, Hashable {
  case oneForAll = 1
  case onePerInstance = 2
  case parallel = 3
}

/// The flag words of a descriptor, `flags_required` and `flags_optional` joined.
public struct TierFlags: OptionSet, Sendable, Hashable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let mandatory = TierFlags(rawValue: 1 << 0)
  public static let lossy = TierFlags(rawValue: 1 << 1)
  public static let swapSafe = TierFlags(rawValue: 1 << 2)
  public static let lengthPreserving = TierFlags(rawValue: 1 << 3)
  public static let integrity = TierFlags(rawValue: 1 << 4)
  public static let deterministic = TierFlags(rawValue: 1 << 5)
  /// Every flag that this host knows.
  public static let known = TierFlags(rawValue: (1 << 6) - 1)
}

/// Why a descriptor was refused. `description` is one sentence that names the field, both values and
/// the file.
public struct TierRefusal: Error, CustomStringConvertible, Sendable {
  public var file: String
  public var reason: String
  public init(file: String, reason: String) {
    self.file = file
    self.reason = reason
  }
  public var description: String { "\(file): \(reason)" }
}

/// A tier's descriptor, checked and brought to this host's size: fields that an older tier does not
/// have are zero, those that a newer one has beyond ours are cut.
///
/// The C tables are copied into memory that is never freed, as a loaded tier is never unloaded; so the
/// pointers here are valid as long as the process.
public struct TierTable: @unchecked Sendable {
  public let file: String
  public let name: String
  public let version: String
  public let summary: String
  public let vendor: String
  public let licence: String
  public let url: String
  public let role: TierRole
  public let lifetime: TierLifetime
  public let access: TierAccess
  public let threadModel: TierThreadModel
  public let flags: TierFlags
  public let priority: Int
  public let options: [TierOption]
  /// Bytes beside each object; 0 for backings.
  public let sidecarLength: Int

  let descriptor: UnsafePointer<stowage_tier>
  let transform: UnsafePointer<stowage_transform>?
  let backing: UnsafePointer<stowage_backing>?
  /// Serialises the calls of a tier that declares `oneForAll`; shared by all copies of this table.
  let gate: Gate

  public var isMandatory: Bool { flags.contains(.mandatory) }
  public var isLengthPreserving: Bool { flags.contains(.lengthPreserving) }

  /// What the tier offers under an id, "name/revision"; nil when it has nothing of it. Only this tier is asked.
  /// Constant, and valid as long as the process.
  public func extensionTable(_ id: String) -> UnsafeRawPointer? {
    guard let get = descriptor.pointee.get_extension else { return nil }
    return id.withCString { get($0) }
  }

  /// Checks and copies a descriptor.
  /// - Parameters:
  ///   - source: what `stowage_tier_entry` returned; must live as long as the process.
  ///   - file: named in errors.
  public init(descriptor source: UnsafePointer<stowage_tier>, file: String) throws(TierRefusal) {
    let check = DescriptorCheck(file: file)
    try check.version(source)
    let copy = UnsafeMutablePointer<stowage_tier>.allocate(capacity: 1)
    copyTable(from: source, size: source.pointee.struct_size, to: copy)
    let tier = copy.pointee
    descriptor = UnsafePointer(copy)
    self.file = file
    name = try check.text(DescriptorCheck.pointer(copy, \.name), field: "name")
    try check.name(name)
    version = try check.text(DescriptorCheck.pointer(copy, \.version), field: "version")
    summary = try check.text(DescriptorCheck.pointer(copy, \.summary), field: "summary")
    vendor = try check.optionalText(tier.vendor, field: "vendor")
    licence = try check.optionalText(tier.licence, field: "licence")
    url = try check.optionalText(tier.url, field: "url")
    role = try check.choice(tier.role, [1: .transform, 2: .backing], field: "role")
    lifetime = try check.choice(tier.lifetime, [1: .transient, 2: .persistent], field: "lifetime")
    access = try check.choice(tier.access, [1: .terminal, 2: .transparent], field: "access")
    threadModel = try check.choice(
      tier.thread_model, [1: .oneForAll, 2: .onePerInstance, 3: .parallel], field: "thread_model")
    flags = try check.flags(required: tier.flags_required, optional: tier.flags_optional)
    priority = try check.priority(tier.priority)
    options = try check.options(tier)
    try check.callbacks(copy)
    (transform, backing) = try check.tables(tier, role: role)
    sidecarLength = Int(transform?.pointee.sidecar_length ?? 0)
    try check.attributes(role: role, lifetime: lifetime, access: access, flags: flags)
    gate = Gate(serial: threadModel == .oneForAll)
  }
}

/// Copies the smaller of `size` and the host's own size of `Table`, and zeroes the rest.
func copyTable<Table>(
  from source: UnsafePointer<Table>, size: UInt32, to target: UnsafeMutablePointer<Table>
) {
  let own = MemoryLayout<Table>.size
  let bytes = UnsafeMutableRawPointer(target)
  bytes.initializeMemory(as: UInt8.self, repeating: 0, count: own)
  bytes.copyMemory(from: source, byteCount: min(own, Int(size)))
}
