// SPDX-License-Identifier: Apache-2.0
internal import StowagePlugins

/// The names of tiers in a chain.
enum TierNames {
  static let reserved = "store"

  /// Why it is no name for a tier; nil if it is one.
  static func objection(to name: String) -> String? {
    if name == reserved { return "'\(reserved)' is the name of the level above all tiers; choose another" }
    let isFit = name.utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || $0 == UInt8(ascii: "-")
    }
    guard isFit, !name.isEmpty, name.utf8.count <= 32, !name.hasPrefix("-") else {
      return "'\(DisplayText.plain(name))' is no tier name; use at most 32 lower-case letters, digits and '-'"
    }
    return nil
  }

  /// A name for each tier: the one given, or the plug-in's, with "-2", "-3" where that is taken.
  static func assign(_ tiers: [TierSettings]) -> [String] {
    var taken = Set(tiers.compactMap(\.name))
    taken.insert(reserved)
    return tiers.map { tier in
      if let name = tier.name { return name }
      var name = tier.plugin
      var number = 2
      while !taken.insert(name).inserted {
        name = "\(tier.plugin)-\(number)"
        number += 1
      }
      return name
    }
  }
}
