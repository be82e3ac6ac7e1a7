// SPDX-License-Identifier: Apache-2.0
public import StowagePlugins

/// What a configuration says, before any plug-in is looked for. Sizes are in bytes; nil: not said.
public struct ChainSettings: Sendable, Hashable {
  public var memory: Int?
  public var storeMemory: Int?
  public var pageSize: Int?
  public var workers: Int?
  public var lockMemory: Bool?
  public var endToEndChecksums: Bool?
  public var deadline: Duration?
  public var patience: Duration?
  /// nil: the default chain.
  public var tiers: [TierSettings]?
  /// For `stowage serve`.
  public var serve = ServeSettings()
  /// Where this stands; nil when it comes from no file.
  public var source: ConfigurationSource?

  public init() {}
}

/// One tier as a configuration names it.
public struct TierSettings: Sendable, Hashable {
  public var plugin: String
  public var name: String?
  public var limit: Int?
  public var discardPoint: Bool?
  public var deadline: Duration?
  public var options: [String: OptionInput] = [:]
  /// Its place in the file, from 0; nil when it comes from no file.
  public var index: Int?

  public init(plugin: String) { self.plugin = plugin }
}
