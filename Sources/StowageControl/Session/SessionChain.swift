// SPDX-License-Identifier: Apache-2.0
public import StowageEngine
public import StowagePlugins

/// The chain that a session was written with, as settings.
public enum SessionChain {
  /// The session's tiers, each with its options as far as they are in the clear. Others take their defaults: what was
  /// written is decoded whatever they are.
  public static func tiers(_ description: SessionDescription) -> [TierSettings] {
    description.tiers.map { tier in
      var settings = TierSettings(plugin: tier.plugin)
      settings.name = tier.name
      settings.options = tier.options.mapValues { .word($0) }
      return settings
    }
  }

  /// Settings to open the session with: its tiers where the settings name none, its page size, and the file.
  public static func adopt(
    _ description: SessionDescription, _ file: SessionFile, for access: SessionAccess, in settings: inout ChainSettings
  ) {
    if settings.tiers == nil { settings.tiers = tiers(description) }
    settings.pageSize = description.pageSize
    settings.endToEndChecksums = description.hasEndToEndChecksums
    place(
      ["path": .text(file.path), "open": .text(access.rawValue)], in: &settings)
  }

  /// Gives options to the last swap file that the settings name; it goes before what they say.
  public static func place(_ options: [String: OptionInput], in settings: inout ChainSettings) {
    guard let index = settings.tiers?.lastIndex(where: { $0.plugin == SessionFile.plugin }) else { return }
    settings.tiers?[index].options.merge(options) { $1 }
  }
}

/// What a session's keys are wrapped with.
public enum SessionKey: Sendable, Hashable {
  case file(String)
  case passphrase(SecretText)

  /// The options of tiers that take one.
  public static let fileOption = "key-file"
  public static let passphraseOption = "passphrase"

  /// The names of the tiers that take a key.
  public static func takers(_ chain: [ChainTier]) -> [String] { chain.filter(takesKey).map(\.name) }

  private static func takesKey(_ tier: ChainTier) -> Bool {
    tier.table.options.contains { $0.key == fileOption || $0.key == passphraseOption }
  }

  /// Options for a tier that takes a key: its own, with this key in place of any other.
  public func options(for tier: ChainTier) -> [String: TierOptionValue] {
    var options = tier.options
    options[Self.fileOption] = nil
    options[Self.passphraseOption] = nil
    switch self {
    case .file(let path): options[Self.fileOption] = .text(FilePaths.absolute(path))
    case .passphrase(let secret): options[Self.passphraseOption] = .secret(secret)
    }
    return options
  }

  /// Gives the key to every tier that takes one.
  /// - Throws: when there is none.
  public func apply(to chain: inout [ChainTier]) throws(ChainError) {
    guard chain.contains(where: Self.takesKey) else { throw .noTierTakesKey(names: chain.map(\.name)) }
    for index in chain.indices where Self.takesKey(chain[index]) { chain[index].options = options(for: chain[index]) }
  }
}
