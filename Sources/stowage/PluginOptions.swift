// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowagePlugins

/// Where plug-ins are looked for, and which are taken; shared by every command that uses them.
struct PluginOptions: ParsableArguments {
  @Option(
    name: .customLong("plugin-path"),
    help: ArgumentHelp(
      "Look for plug-ins (NAME.tier.so) in this folder first.",
      discussion: """
        May be given several times, and may be a list with colons. All of these are searched, in this order, and the \
        first file of a name wins: --plugin-path, the list in STOWAGE_PLUGIN_PATH, 'plugins' beside the executable, \
        '../lib/stowage/plugins' from there, /usr/local/lib/stowage/plugins, \
        /usr/lib/stowage/plugins, ~/.local/lib/stowage/plugins.
        """,
      valueName: "folder"))
  var pluginPath: [String] = []

  @Flag(name: .customLong("plugin-path-only"), help: "Look in the folders of --plugin-path and nowhere else.")
  var pluginPathOnly = false

  @Flag(
    name: .customLong("allow-unsafe-plugins"),
    help: "Also load plug-ins that other users own or can write, or that lie in a folder which they can write.")
  var allowUnsafePlugins = false

  @Option(
    name: .customLong("probe-timeout"),
    help: ArgumentHelp("How long a plug-in may take to load before it counts as hung.", valueName: "seconds"))
  var probeTimeout: Double = 5

  func validate() throws {
    guard probeTimeout >= 0.01, probeTimeout <= 3600 else {
      throw ValidationError("--probe-timeout is \(probeTimeout); expected seconds from 0.01 to 3600")
    }
    guard !pluginPathOnly || !pluginPath.isEmpty else {
      throw ValidationError("--plugin-path-only needs at least one --plugin-path")
    }
  }

  var finder: PluginFinder {
    PluginFinder(
      path: .standard(explicit: pluginPath, only: pluginPathOnly),
      prober: PluginProber(
        limits: .init(time: .seconds(probeTimeout)), trust: allowUnsafePlugins ? .anyone : .ownOnly))
  }
}

/// What one --set says: KEY=VALUE, or NAME.KEY=VALUE.
struct OptionAssignment {
  let name: String
  let key: String
  let value: String

  /// - Parameter named: what stands before the key is, such as "TIER"; nil: nothing does.
  init(_ text: String, named: String?) throws {
    let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let names = named == nil
      ? [sides[0]] : sides[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard sides.count == 2, names.count == (named == nil ? 1 : 2), names.allSatisfy({ !$0.isEmpty }) else {
      let expected = named.map { "\($0).KEY=VALUE, such as zstd.level=19" } ?? "KEY=VALUE, such as level=19"
      // The value may be a secret: only what stands before it is shown.
      throw ValidationError("--set \(DisplayText.plain(sides[0])): expected \(expected)")
    }
    name = named == nil ? "" : names[0]
    key = names[names.count - 1]
    value = sides[1]
  }
}

/// Which chain a store gets; shared by every command that opens one.
struct ChainOptions: ParsableArguments {
  @OptionGroup(title: "Plug-ins") var plugins: PluginOptions

  @Option(
    help: ArgumentHelp(
      "Read the chain and its settings from this TOML file.",
      discussion: "Without one the chain is every plug-in that can be used, by priority.", valueName: "file"))
  var config: String?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Set an option of a tier, such as zstd.level=19. May be given several times; goes before the configuration.",
      valueName: "tier.key=value"))
  var set: [String] = []

  func validate() throws { _ = try overrides() }

  /// Reads the configuration, if there is one, and makes the chain: probes, loads, checks options. Prints nothing.
  /// - Parameters:
  ///   - defaultMemory: the limit in bytes where the configuration has none.
  ///   - defaults: options by plug-in name, for the default chain only.
  ///   - adjust: changes the settings before they are resolved.
  func resolve(
    defaultMemory: Int, defaults: [String: [String: OptionInput]] = [:],
    adjust: (inout ChainSettings) throws -> Void = { _ in }
  ) throws -> ResolvedChain {
    var settings = try config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    try adjust(&settings)
    let resolver = ChainResolver(finder: plugins.finder, defaults: defaults, overrides: try overrides())
    return try resolver.resolve(settings, defaultMemory: defaultMemory)
  }

  private func overrides() throws -> [OptionOverride] { try OptionOverride.parse(set) }
}

extension OptionOverride {
  /// What is given with `--set`.
  static func parse(_ texts: [String]) throws -> [OptionOverride] {
    try texts.map { text in
      let given = try OptionAssignment(text, named: "TIER")
      return OptionOverride(tier: given.name, key: given.key, value: .word(given.value))
    }
  }
}
