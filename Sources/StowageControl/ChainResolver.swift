// SPDX-License-Identifier: Apache-2.0
public import StowageEngine
public import StowagePlugins

/// A chain that a store can be opened with: its plug-ins are loaded in this process, its options checked.
public struct ResolvedChain: Sendable {
  public var configuration: StoreConfiguration
  public var chain: [ChainTier]
  /// For people: tiers left out, shadowed files, ties of priority.
  public var notes: [String]
}

/// A value for an option that a person gave beside the configuration, such as on the command line.
public struct OptionOverride: Sendable, Hashable {
  /// The tier's name in the chain.
  public var tier: String
  public var key: String
  public var value: OptionInput

  public init(tier: String, key: String, value: OptionInput) {
    self.tier = tier
    self.key = key
    self.value = value
  }
}

/// Makes a chain from settings: finds, probes and loads the plug-ins, and checks their options.
public struct ChainResolver: Sendable {
  public var finder: PluginFinder
  /// Options by plug-in name, for tiers of the default chain only.
  public var defaults: [String: [String: OptionInput]]
  /// Go before what the settings say.
  public var overrides: [OptionOverride]

  public init(
    finder: PluginFinder, defaults: [String: [String: OptionInput]] = [:], overrides: [OptionOverride] = []
  ) {
    self.finder = finder
    self.defaults = defaults
    self.overrides = overrides
  }

  /// Resolves settings.
  /// - Parameter defaultMemory: the memory limit in bytes where the settings have none.
  /// - Throws: `ConfigurationError`, `PluginError`, `OptionError` or `ChainError`.
  public func resolve(_ settings: ChainSettings, defaultMemory: Int) throws -> ResolvedChain {
    var notes: [String] = []
    let chain =
      if let tiers = settings.tiers {
        try configured(tiers, source: settings.source, notes: &notes)
      } else {
        try automatic(notes: &notes)
      }
    try checkOverrides(names: chain.map(\.name))
    return ResolvedChain(
      configuration: Self.configuration(settings, defaultMemory: defaultMemory), chain: chain, notes: notes)
  }

  private static func configuration(_ settings: ChainSettings, defaultMemory: Int) -> StoreConfiguration {
    var result = StoreConfiguration(memoryLimit: settings.memory ?? defaultMemory)
    if let size = settings.pageSize { result.pageSize = size }
    result.storeLimit = settings.storeMemory
    result.workers = settings.workers
    if let locks = settings.lockMemory { result.locksMemory = locks }
    if let checks = settings.endToEndChecksums { result.checksEndToEnd = checks }
    if let deadline = settings.deadline { result.deadline = deadline }
    if let patience = settings.patience { result.putPatience = patience }
    return result
  }

  private func overridden(_ name: String) -> [String: OptionInput] {
    let own = overrides.filter { $0.tier == name }
    return Dictionary(own.map { ($0.key, $0.value) }) { _, last in last }
  }

  private func checkOverrides(names: [String]) throws(ChainError) {
    guard let stray = overrides.first(where: { !names.contains($0.tier) }) else { return }
    throw ChainError.noSuchTier(stray.tier, key: stray.key, names: names)
  }

  // MARK: The configured chain

  private func configured(
    _ tiers: [TierSettings], source: ConfigurationSource?, notes: inout [String]
  ) throws -> [ChainTier] {
    let catalog = try finder.catalog(names: Set(tiers.map(\.plugin)))
    notes += catalog.notes
    let names = TierNames.assign(tiers)
    try checkUnique(names, tiers, source: source)
    return try zip(tiers, names).map { tier, name in
      try configured(tier, name: name, catalog: catalog, source: source)
    }
  }

  private func checkUnique(_ names: [String], _ tiers: [TierSettings], source: ConfigurationSource?) throws {
    var seen: Set<String> = []
    for (name, tier) in zip(names, tiers) where !seen.insert(name).inserted {
      throw located(ChainError.twoTiers(name), tier, ["name"], source)
    }
  }

  private func configured(
    _ settings: TierSettings, name: String, catalog: PluginCatalog, source: ConfigurationSource?
  ) throws -> ChainTier {
    let table: TierTable
    do throws(PluginError) {
      table = try PluginLoader.load(try catalog.plugin(named: settings.plugin), trust: finder.trust)
    } catch {
      if case .helper = error { throw error }
      throw located(error, settings, ["plugin"], source)
    }
    var tier = ChainTier(table, name: name)
    do throws(OptionError) {
      tier.options = try options(settings.options, table, name: name, folder: source?.folder)
    } catch {
      throw located(error, settings, ["options", error.key], source)
    }
    if settings.deadline != nil, table.role != .backing {
      throw located(ChainError.deadlineOfTransform(name), settings, ["deadline"], source)
    }
    tier.limit = settings.limit
    tier.isDiscardPoint = settings.discardPoint
    tier.deadline = settings.deadline
    return tier
  }

  /// The error with its place in the file, if it comes from one.
  private func located(
    _ error: any Error & CustomStringConvertible, _ tier: TierSettings, _ key: [String], _ source: ConfigurationSource?
  ) -> any Error {
    guard let source, let index = tier.index else { return error }
    return source.error(["tier", "#\(index)"] + key, error.description)
  }

  private func options(
    _ inputs: [String: OptionInput], _ table: TierTable, name: String, folder: String?
  ) throws(OptionError) -> [String: TierOptionValue] {
    for option in table.options where option.isSecret && overridden(name)[option.key] != nil {
      let instead = option.key == SessionKey.passphraseOption
        ? "give it with --passphrase, which asks for it, or with --passphrase-fd NUMBER"
        : "give it in a configuration file that only you can read"
      throw OptionError(
        tier: name, key: option.key, reason: "it is secret, and every user sees a command line; \(instead)")
    }
    let check = OptionCheck(
      tier: name, options: table.options, baseFolder: folder ?? FilePaths.workingFolder())
    return try check.check(inputs.merging(overridden(name)) { $1 })
  }

  // MARK: The default chain

  private func automatic(notes: inout [String]) throws -> [ChainTier] {
    let catalog = try finder.catalog()
    notes += catalog.notes
    var chain: [ChainTier] = []
    var used: [(name: String, tier: TierDescription)] = []
    for record in catalog.plugins {
      if let reason = leftOut(record) {
        notes.append("\(DisplayText.plain(record.file)) is left out of the chain: \(reason)")
        continue
      }
      let table: TierTable
      do throws(PluginError) {
        table = try PluginLoader.load(record, trust: finder.trust)
      } catch {
        notes.append("\(error); it is left out of the chain")
        continue
      }
      var tier = ChainTier(table)
      tier.options = try options(defaults[record.name] ?? [:], table, name: record.name, folder: nil)
      chain.append(tier)
      used.append((record.name, TierDescription(table)))
    }
    guard !chain.isEmpty else { throw ChainError.noTiers(searched: catalog.searched.map(\.path), notes: notes) }
    notes += ChainNotes.ties(used)
    return chain
  }

  /// Why a plug-in has no place in the default chain; nil if it has.
  private func leftOut(_ record: PluginRecord) -> String? {
    guard let description = record.description else {
      return "\(record.status.rawValue): \(record.reason ?? "no reason known")"
    }
    if record.name == TierNames.reserved { return TierNames.objection(to: record.name) }
    let given = (defaults[record.name] ?? [:]).merging(overridden(record.name)) { $1 }
    let missing = description.requiredOptions.filter { given[$0.key] == nil }
    guard let first = missing.first else { return nil }
    return PluginRecord.lack(missing)
      + "; give it in a configuration file, or with --set \(record.name).\(first.key)=VALUE"
  }
}
