// SPDX-License-Identifier: Apache-2.0
internal import StowageControl
internal import StowageEngine
internal import StowageNBD
internal import StowagePlugins
internal import StowageTrial

/// Makes the chain of a daemon, and opens its store: with a session if one is named, which goes on if it is there.
struct StoreOpening {
  private static let attributes = ["stowage.owner": "serve"]

  var resolved: ResolvedChain
  /// False when the session was left by a crash.
  let wasSuspended: Bool
  private let key: SessionKey?

  /// - Parameter memory: what flags or environment say, before the configuration.
  init(command: ServeCommand, settings: ServeSettings, memory: Int?, defaultMemory: Int) throws {
    let place = Self.place(command)
    let old = try settings.session == nil ? nil : Self.session(command, place)
    key = try command.keys.read(isNew: old == nil)
    resolved = try command.chain.resolve(
      defaultMemory: max(defaultMemory, old.map { SessionOpening.memory(for: $0.description) } ?? 0),
      defaults: [SessionFile.plugin: place]
    ) {
      if let memory { $0.memory = memory }
      SessionChain.place(place, in: &$0)
      if let old { SessionChain.adopt(old.description, old.file, for: .existing, in: &$0) }
    }
    wasSuspended = old?.description.isSuspended ?? true
    try key?.apply(to: &resolved.chain)
    guard let name = settings.session else {
      // Only a chain without a session can change while it is used.
      resolved.configuration.isChainChangeable = true
      return
    }
    guard resolved.chain.last?.table.name == SessionFile.plugin else {
      throw ExportError(
        "the session '\(DisplayText.plain(name))' is kept in a swap file, and the chain does not end in one; give "
          + "--swap-file and --swap-size, or end the configuration's chain in plugin = \"swapfile\"")
    }
    resolved.configuration.session = SessionConfiguration(
      name: name, attributes: Self.attributes,
      start: old == nil ? .create(replacing: false) : .resume(force: command.force))
  }

  /// The chain as one that the kernel may swap to.
  /// - Parameter isDefault: nobody has said which tiers.
  /// - Returns: what the user should know.
  mutating func keepOnlySwapSafe(isDefault: Bool) throws -> [String] {
    let admitted = try SwapMode.admit(resolved.chain, isDefault: isDefault)
    resolved.chain = admitted.chain
    resolved.configuration.locksMemory = true
    return admitted.notes
  }

  /// Opens the store.
  func open(_ destructor: @escaping Destructor) throws -> Store {
    do {
      return try Store(configuration: resolved.configuration, chain: resolved.chain, destructor: destructor)
    } catch {
      throw explained(error)
    }
  }

  /// With a session, a checkpoint is made at once: what cannot be kept is told now, not at the end.
  func checkCanBeKept(_ store: Store) throws {
    guard resolved.configuration.session != nil else { return }
    do { try store.checkpoint() } catch { throw explained(error) }
  }

  private func explained(_ error: StoreError) -> any Error {
    guard case .unsupported(let reason) = error else {
      return SessionOpening.explained(error, key: key, resolved.chain, force: "--force")
    }
    let hint = key == nil && !SessionKey.takers(resolved.chain).isEmpty ? "; give --key-file or --passphrase" : ""
    return ExportError(reason + hint)
  }

  /// What the flags say of the swap file.
  private static func place(_ command: ServeCommand) -> [String: OptionInput] {
    var options: [String: OptionInput] = [:]
    if let file = command.swapFile { options["path"] = .text(FilePaths.absolute(file)) }
    if let size = command.swapSize { options["size"] = .number(Int64(size)) }
    return options
  }

  /// The session that is in the swap file already; nil when there is none.
  private static func session(_ command: ServeCommand, _ place: [String: OptionInput]) throws
    -> (file: SessionFile, description: SessionDescription)?
  {
    guard let path = try path(command, place), let file = try? SessionFile(path), file.kind == .swapFile else {
      return nil
    }
    do {
      return (file, try file.describe(command.chain.plugins.finder))
    } catch StoreError.session(.none, _) {
      return nil
    }
  }

  /// Where the swap file is: flags, --set, the configuration.
  private static func path(_ command: ServeCommand, _ place: [String: OptionInput]) throws -> String? {
    var settings = try command.chain.config.map { try ConfigurationFile.read($0) } ?? ChainSettings()
    SessionChain.place(place, in: &settings)
    let last = settings.tiers?.last { $0.plugin == SessionFile.plugin }
    let overrides = try OptionOverride.parse(command.chain.set)
    if let set = overrides.last(where: { $0.tier == last?.name ?? SessionFile.plugin && $0.key == "path" }),
      case .word(let path) = set.value
    {
      return FilePaths.absolute(path)
    }
    let input = settings.tiers == nil ? place["path"] : last?.options["path"]
    switch input {
    case .text(let path), .word(let path):
      return FilePaths.absolute(path, from: settings.source?.folder ?? FilePaths.workingFolder())
    default: return nil
    }
  }
}
