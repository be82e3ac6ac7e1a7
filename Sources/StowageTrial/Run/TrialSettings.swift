// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// The store that a trial works on.
public struct TrialSettings: Sendable {
  public var configuration: StoreConfiguration
  public var chain: [ChainTier]
  /// How long one step of the growth measurement may take.
  public var stepPatience: Duration = .seconds(120)

  public init(configuration: StoreConfiguration, chain: [ChainTier]) {
    self.configuration = configuration
    self.chain = chain
  }

  /// The file of the lowest tier that has one; its share of the page cache counts as RAM.
  var backingPath: String? {
    for tier in chain.reversed() {
      if case .text(let path)? = tier.options["path"], tier.table.role == .backing { return path }
    }
    return nil
  }
}
