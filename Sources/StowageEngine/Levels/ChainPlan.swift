// SPDX-License-Identifier: Apache-2.0

/// What each level of a chain does, decided when the store is opened and anew when its chain changes.
///
/// A chain that may change has vacant places between its tiers, so that a tier that comes or goes moves no other: the
/// number of a level never changes while it holds anything.
///
/// Pages pass the *page levels* (the store, then every transform down to the last compressor above the first
/// cipher or backing); there each page is a chunk of its own. Below, *frame levels* and backings hold frames.
/// Frames are packed at the last page level when that is transparent; otherwise each page leaves it decoded,
/// as a frame of its own.
struct ChainPlan: Sendable {
  enum Role: Sendable, Equatable {
    case store
    /// Encodes single pages.
    case page
    /// Encodes frames, length preserved.
    case frame
    case backing
    /// Has no work in this chain, or is a vacant place.
    case passedOver
  }

  struct Level: Sendable {
    var name: String
    var role: Role
    var note = ""
    var isTerminal: Bool
    var isVacant = false
    /// On its way out of the chain: takes nothing in, decodes what it encoded.
    var isLeaving = false
    var isPersistent = false
    var isMandatory = false
    /// A transform that can make chunks smaller.
    var isCompressor = false
    /// The how-manieth compressor it is, from 1.
    var compressorOrdinal = 0
    var isDiscardPoint = false
    /// Frame levels: its bit in a frame's `transforms`, and the place of its sidecar.
    var transformBit: UInt8 = 0
    var sidecarOffset = 0
    var sidecarLength = 0
  }

  private(set) var levels: [Level]
  private(set) var warnings: [String] = []
  /// The last page level; 0 when the store is the only one.
  private(set) var lastPageLevel = 0
  /// The level that packs frames, if any.
  private(set) var packingLevel: Int?
  /// Sidecars of all frame levels together, rounded up to 4 bytes.
  private(set) var sidecarLength = 0

  /// - Parameters:
  ///   - chain: nil for a vacant place.
  ///   - leaving: the levels on their way out.
  ///   - old: the plan that this one follows; levels that stay keep their places in frames' records.
  init(_ chain: [ChainTier?], leaving: Set<Int> = [], after old: PlanTable? = nil) throws(StoreError) {
    levels = [Level(name: "store", role: .store, isTerminal: true)]
    try Self.checkOrder(chain)
    let firstBoundary =
      chain.firstIndex { $0?.table.isMandatory == true || $0?.table.role == .backing } ?? chain.count
    let lastCompressor = chain[..<firstBoundary].indices.last { index in
      chain[index]?.table.isLengthPreserving == false && !leaving.contains(index + 1)
    }
    lastPageLevel = lastCompressor.map { $0 + 1 } ?? 0
    for (index, tier) in chain.enumerated() {
      let isLeaving = leaving.contains(index + 1)
      levels.append(Self.level(tier, isPage: index < lastPageLevel || (isLeaving && index < firstBoundary), isLeaving))
    }
    numberCompressors()
    try placeFrameLevels(after: old)
    choosePacking()
    markDiscardPoints(chain)
    collectWarnings()
  }

  private static func checkOrder(_ places: [ChainTier?]) throws(StoreError) {
    let chain = places.compactMap(\.self)
    guard chain.count <= 62 else {
      throw .configuration("the chain has \(chain.count) tiers, at most 62 are possible")
    }
    var names: Set<String> = ["store"]
    var backing: String?
    for tier in chain {
      guard names.insert(tier.name).inserted else {
        throw .configuration(
          "two tiers of the chain are named '\(tier.name)'; give one of them another name")
      }
      if tier.table.flags.contains(.lossy) {
        throw .configuration(
          "tier '\(tier.name)' is lossy and may not hold the only copy of a page, as every tier of a chain does; take "
            + "it out"
        )
      }
      if tier.table.role == .backing { backing = backing ?? tier.name }
      if tier.table.isMandatory, let backing {
        throw .configuration(
          "backing '\(backing)' stands above the cipher '\(tier.name)', so pages would reach it in the clear; place "
            + "the cipher (priority \(tier.table.priority)) above it"
        )
      }
    }
  }

  private static func level(_ tier: ChainTier?, isPage: Bool, _ isLeaving: Bool) -> Level {
    guard let tier else { return Level(name: "", role: .passedOver, isTerminal: true, isVacant: true) }
    let table = tier.table
    var level = Level(name: tier.name, role: .backing, isTerminal: table.access == .terminal)
    level.isLeaving = isLeaving
    if isLeaving { level.note = "leaving the chain" }
    level.isPersistent = table.lifetime == .persistent
    level.isMandatory = table.isMandatory
    level.sidecarLength = table.sidecarLength
    guard table.role == .transform else { return level }
    level.isCompressor = !table.isLengthPreserving
    let isChunked = isPage && (level.isCompressor || !isLeaving)
    level.role = isChunked ? .page : level.isCompressor ? .passedOver : .frame
    return level
  }

  private mutating func numberCompressors() {
    var ordinal = 0
    for index in levels.indices where levels[index].isCompressor && levels[index].role == .page {
      ordinal += 1
      levels[index].compressorOrdinal = ordinal
    }
  }

  private mutating func placeFrameLevels(after old: PlanTable?) throws(StoreError) {
    var used: UInt8 = 0
    for index in levels.indices where levels[index].role == .frame {
      guard let known = old?.levels[index], known.transformBit != 0 else { continue }
      levels[index].transformBit = known.transformBit
      levels[index].sidecarOffset = known.sidecarOffset
      used |= known.transformBit
    }
    for index in levels.indices where levels[index].role == .frame && levels[index].transformBit == 0 {
      guard used != .max else {
        throw .configuration(
          "tier '\(levels[index].name)' is the ninth transform below the last compressor; at most 8 are possible")
      }
      guard old == nil || levels[index].sidecarLength == 0 else {
        throw .configuration(
          "tier '\(levels[index].name)' keeps \(levels[index].sidecarLength) bytes beside each frame, for which an "
            + "open store has no place; close the store and open it with this tier"
        )
      }
      levels[index].transformBit = 1 << UInt8((~used).trailingZeroBitCount)
      used |= levels[index].transformBit
      levels[index].sidecarOffset = sidecarLength
      sidecarLength += levels[index].sidecarLength
    }
    sidecarLength = old?.sidecarLength ?? (sidecarLength + 3) & ~3
    for index in levels.indices where levels[index].role == .page && levels[index].sidecarLength > 0 {
      throw .configuration(
        "tier '\(levels[index].name)' keeps \(levels[index].sidecarLength) bytes beside each object, which a "
          + "compressing level has no place for; a transform with a sidecar must preserve length and stand below the "
          + "last compressor"
      )
    }
  }

  private mutating func choosePacking() {
    guard lastPageLevel > 0 else { return }
    for index in 1..<lastPageLevel
    where levels[index].role == .page && !levels[index].isTerminal && !levels[index].isLeaving {
      levels[index].note = "acts as terminal: another compressor stands below"
    }
    guard !levels[lastPageLevel].isTerminal else { return }
    packingLevel = lastPageLevel
    levels[lastPageLevel].note = "packs frames"
  }

  private mutating func markDiscardPoints(_ chain: [ChainTier?]) {
    var marked = false
    for (index, tier) in chain.enumerated() where tier?.isDiscardPoint == true {
      levels[index + 1].isDiscardPoint = true
      marked = true
    }
    guard !marked else { return }
    let byDefault =
      chain.firstIndex { $0?.table.isMandatory == true } ?? chain.firstIndex { $0?.table.role == .backing }
    if let byDefault, chain[byDefault]?.isDiscardPoint != false {
      levels[byDefault + 1].isDiscardPoint = true
    }
  }

  private mutating func collectWarnings() {
    for index in levels.indices where levels[index].role == .passedOver && !levels[index].isVacant {
      let above = levels[..<index].last { $0.isMandatory || $0.role == .backing }
      levels[index].note = "passed over: below '\(above?.name ?? "")'"
      warnings.append(
        "compressor '\(levels[index].name)' stands below '\(above?.name ?? "")', where there is nothing left to "
          + "compress: it is passed over; place it above"
      )
    }
    let holder = levels.last { $0.role != .passedOver }
    if let holder, holder.role == .frame || (holder.role == .page && !holder.isTerminal) {
      warnings.append(
        "the chain ends in the transparent tier '\(holder.name)': its share of the RAM is all there is below the store"
      )
    }
  }

  var count: Int { levels.count }
}
