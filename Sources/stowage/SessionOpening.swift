// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

/// Opens the session in a file; shared by the commands that do.
struct SessionOpening {
  var file: SessionFile
  var description: SessionDescription
  var resolved: ResolvedChain

  /// Reads what the session says of itself, and makes its chain.
  init(_ name: String, for access: SessionAccess, _ options: SessionChainOptions) throws {
    file = try SessionFile(name)
    let description = try file.describe(options.plugins.finder)
    self.description = description
    var settings = ChainSettings()
    settings.memory = options.memory ?? Self.memory(for: description)
    SessionChain.adopt(description, file, for: access, in: &settings)
    let resolver = ChainResolver(finder: options.plugins.finder, overrides: try OptionOverride.parse(options.set))
    resolved = try resolver.resolve(settings, defaultMemory: Self.memory(for: description))
  }

  /// Enough for the chain's codecs, and for the tables of so many pages.
  static func memory(for description: SessionDescription) -> Int { 256 << 20 + description.pages * 128 }

  /// The session under its own name and attributes.
  func session(_ start: SessionConfiguration.Start) -> SessionConfiguration {
    SessionConfiguration(
      name: description.name, attributes: description.attributes, isOnce: description.isOnce, start: start)
  }

  /// The error with what to give or do, in one line.
  static func explained(
    _ error: StoreError, key: SessionKey?, _ chain: [ChainTier], force: String? = nil, keyOptions: String = "--"
  ) -> any Error {
    switch error {
    case .session(.tier, let reason), .configuration(let reason):
      let lacksKey = key == nil && !SessionKey.takers(chain).isEmpty && reason.contains("give the option")
      let option = reason.contains("'key-file'") ? "key-file" : "passphrase"
      return lacksKey ? TrialError.input("\(reason), with \(keyOptions)\(option)") : error
    case .session(.used, let reason), .session(.foreign, let reason):
      return force.map { TrialError.input("\(reason) (\($0))") } ?? error
    default: return error
    }
  }
}

/// Where a session's tiers come from, and what they need beside what the session says.
struct SessionChainOptions: ParsableArguments {
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Set an option of a tier, where the session does not say it. May be given several times.",
      valueName: "tier.key=value"))
  var set: [String] = []

  @Option(
    help: ArgumentHelp("What may be used of RAM (default: enough for the session's index).", valueName: "size"),
    transform: SizeArgument.parse)
  var memory: Int?

  @OptionGroup(title: "Plug-ins") var plugins: PluginOptions

  func validate() throws { _ = try OptionOverride.parse(set) }
}

enum SizeArgument {
  static func parse(_ text: String) throws -> Int {
    guard let bytes = SizeText.parse(text), bytes > 0 else { throw ValidationError("expected \(SizeText.expected)") }
    return Int(bytes)
  }
}
