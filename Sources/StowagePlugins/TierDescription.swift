// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// What a tier says of itself, as plain data: it crosses from the helper process to the command.
public struct TierDescription: Sendable, Hashable {
  public var name: String
  public var version: String
  public var summary: String
  /// Empty when the tier does not say.
  public var vendor: String
  public var licence: String
  public var url: String
  public var role: TierRole
  public var lifetime: TierLifetime
  public var access: TierAccess
  public var threadModel: TierThreadModel
  public var flags: TierFlags
  public var priority: Int
  public var options: [TierOption]
  /// Bytes beside each object; 0 for backings.
  public var sidecarLength: Int
  /// What the tier runs on here, in its own words (stowage.tier.describe/1); empty when it does not say, or was not
  /// asked: only probing asks.
  public var facts = ""

  public init(_ table: TierTable) {
    name = table.name
    version = table.version
    summary = table.summary
    vendor = table.vendor
    licence = table.licence
    url = table.url
    role = table.role
    lifetime = table.lifetime
    access = table.access
    threadModel = table.threadModel
    flags = table.flags
    priority = table.priority
    options = table.options
    sidecarLength = table.sidecarLength
  }

  /// A transform that is there to make pages smaller.
  public var isCompressor: Bool {
    role == .transform && !flags.contains(.mandatory) && !flags.contains(.lengthPreserving)
  }

  /// The options without which it cannot be opened.
  public var requiredOptions: [TierOption] { options.filter(\.isRequired) }
}

extension TierThreadModel {
  /// For people.
  public var text: String {
    switch self {
    case .oneForAll: "one call at a time"
    case .onePerInstance: "one call at a time for each instance"
    case .parallel: "parallel"
    }
  }
}

extension TierFlags {
  /// The names of the flags that are set, in the order of their bits.
  public var names: [String] {
    let all: [(TierFlags, String)] = [
      (.mandatory, "mandatory"), (.lossy, "lossy"), (.swapSafe, "swap-safe"),
      (.lengthPreserving, "length-preserving"), (.integrity, "integrity"), (.deterministic, "deterministic"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}

extension TierRole: Codable {}
extension TierLifetime: Codable {}
extension TierAccess: Codable {}
extension TierThreadModel: Codable {}
extension TierFlags: Codable {}
extension TierDescription: Codable {}
