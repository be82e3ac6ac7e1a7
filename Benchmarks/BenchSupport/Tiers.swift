// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
package import StowageEngine

/// Shipped tiers in a folder of `*.tier.so`.
package struct Tiers {
  private let folder: String

  package init(folder: String) { self.folder = folder }

  package func table(_ name: String) throws -> TierTable { try Self.table(file: "\(folder)/\(name).tier.so") }

  /// Loads a file that is trusted, without what the plug-in loader does around it.
  package static func table(file: String) throws -> TierTable {
    guard let library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
      let symbol = dlsym(library, STOWAGE_TIER_ENTRY_NAME)
    else { throw Failure(String(cString: dlerror())) }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let descriptor = unsafeBitCast(symbol, to: Entry.self)(HostTable.shared) else {
      throw Failure(HostTable.lastError())
    }
    return try TierTable(descriptor: descriptor, file: file)
  }

  /// A chain of these names with the tiers' own defaults.
  package func chain(_ names: [String]) throws -> [ChainTier] { try names.map { try tier($0) } }

  package func tier(_ name: String, limit: Int? = nil, options: [String: TierOptionValue] = [:]) throws -> ChainTier {
    var tier = ChainTier(try table(name), name: name)
    tier.limit = limit
    tier.options = options
    return tier
  }
}
