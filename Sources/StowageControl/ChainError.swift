// SPDX-License-Identifier: Apache-2.0
internal import StowagePlugins

/// What is wrong with a chain as a whole.
public enum ChainError: Error, Sendable, Hashable, CustomStringConvertible {
  case twoTiers(String)
  case deadlineOfTransform(String)
  /// An option is given for a tier that is not in the chain.
  case noSuchTier(String, key: String, names: [String])
  /// A key is given, and no tier of the chain has use for it.
  case noTierTakesKey(names: [String])
  /// Nothing can be used. The notes say why, file by file.
  case noTiers(searched: [String], notes: [String])

  public var description: String {
    switch self {
    case .twoTiers(let name): "two tiers are named '\(name)'; give one of them another name"
    case .deadlineOfTransform(let name):
      "tier '\(name)' is a transform, which has no deadline; deadlines are for backings"
    case .noSuchTier(let name, let key, let names):
      "option '\(name).\(key)': there is no tier '\(name)' in the chain"
        + (NearNames.of(name, in: names).isEmpty
          ? "; it has \(names.isEmpty ? "none" : names.joined(separator: ", "))"
          : NearNames.question(NearNames.of(name, in: names)))
    case .noTierTakesKey(let names):
      "a key is given, but no tier of this chain (\(names.joined(separator: ", "))) takes one; leave it out, or add a cipher"
    case .noTiers(let searched, let notes):
      (["no plug-in can be used; searched \(searched.joined(separator: ", ")); name a folder with --plugin-path"]
        + notes).joined(separator: "\n  ")
    }
  }
}
