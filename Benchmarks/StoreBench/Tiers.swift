// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import StowageEngine

/// Loads shipped tiers.
struct Tiers {
  let folder: String

  func table(_ name: String) throws -> TierTable {
    let file = "\(folder)/\(name).tier.so"
    guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE),
      let symbol = dlsym(handle, STOWAGE_TIER_ENTRY_NAME)
    else { throw Failure(String(cString: dlerror())) }
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    guard let descriptor = unsafeBitCast(symbol, to: Entry.self)(HostTable.shared) else {
      throw Failure(HostTable.lastError())
    }
    return try TierTable(descriptor: descriptor, file: file)
  }

  /// A chain of these names with the tiers' own defaults.
  func chain(_ names: [String]) throws -> [ChainTier] { try names.map { ChainTier(try table($0), name: $0) } }

  func tier(_ name: String, limit: Int? = nil, options: [String: TierOptionValue] = [:]) throws -> ChainTier {
    var tier = ChainTier(try table(name), name: name)
    tier.limit = limit
    tier.options = options
    return tier
  }
}

extension Store {
  /// Sends what is raw on, and waits until nothing is left to do.
  func drainRawPages() throws {
    try setLimit(0, level: 0)
    try settle()
  }

  func settle() throws {
    guard waitUntilSettled(timeout: .seconds(300)) else { throw Failure("the store did not settle in 300 s") }
  }
}
