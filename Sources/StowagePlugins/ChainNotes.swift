// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// What is worth saying of tiers in a given order.
public enum ChainNotes {
  /// - Parameter tiers: in the order of the chain, each with its name there.
  public static func of(_ tiers: [(name: String, tier: TierDescription)]) -> [String] {
    var notes: [String] = []
    for (index, (name, tier)) in tiers.enumerated() where tier.isCompressor && tier.access == .transparent {
      if let below = tiers[(index + 1)...].first(where: \.tier.isCompressor) {
        notes.append(
          "'\(name)' is transparent, but acts as terminal here, as there is a compressor ('\(below.name)') below it")
      }
    }
    return notes
  }

  /// Tiers of one priority: their names decide, which nobody chose.
  public static func ties(_ tiers: [(name: String, tier: TierDescription)]) -> [String] {
    Dictionary(grouping: tiers, by: \.tier.priority).filter { $0.value.count > 1 }
      .sorted { $0.key < $1.key }
      .map { priority, tied in
        let names = tied.map { "'\($0.name)'" }.sorted().joined(separator: ", ")
        return
          "\(names) have the same priority \(priority), so their names decide the order; a configuration can set it"
      }
  }
}
