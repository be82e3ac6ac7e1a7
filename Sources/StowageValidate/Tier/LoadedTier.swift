// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageEngine
internal import StowagePlugins

/// The tier of a check, in the check's process, loaded as the engine does it but shown a `CheckHost`.
final class LoadedTier: @unchecked Sendable {
  let run: CheckRun
  /// As the tier gave it; read with care, as nothing of it is checked.
  let raw: UnsafePointer<stowage_tier>
  let entry: stowage_tier_entry_function
  let host: UnsafePointer<stowage_host>
  let library: UnsafeMutableRawPointer

  init(_ run: CheckRun, host settings: CheckHost.Settings = .init()) throws {
    self.run = run
    library = try Self.link(run)
    entry = try Self.entry(run, library)
    host = CheckHost.make(settings)
    run.notes.note(.entry)
    HostTable.clearError()
    guard let raw = entry(host) else {
      let said = HostTable.lastError()
      throw run.fail("\(STOWAGE_TIER_ENTRY_NAME) gave no descriptor" + (said.isEmpty ? "" : ": \(said)"))
    }
    self.raw = raw
  }

  /// The library, in this process; nothing of its interface has been called then.
  static func link(_ run: CheckRun) throws -> UnsafeMutableRawPointer {
    run.notes.note(.link)
    guard let library = dlopen(run.order.file, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)) else {
      throw run.fail("the dynamic linker refuses it: \(dlerror().map { String(cString: $0) } ?? "no reason given")")
    }
    return library
  }

  static func entry(_ run: CheckRun, _ library: UnsafeMutableRawPointer) throws -> stowage_tier_entry_function {
    guard let symbol = dlsym(library, STOWAGE_TIER_ENTRY_NAME) else {
      throw run.fail("it does not export \(STOWAGE_TIER_ENTRY_NAME)")
    }
    return unsafeBitCast(symbol, to: stowage_tier_entry_function.self)
  }

  /// The descriptor, checked and copied as the engine does it.
  private(set) lazy var checkedTable: Result<TierTable, TierRefusal> = Result { () throws(TierRefusal) in
    try TierTable(descriptor: raw, file: run.order.file)
  }

  func table() throws -> TierTable {
    switch checkedTable {
    case .success(let table): return table
    case .failure(let refusal): throw run.fail(refusal.reason)
    }
  }
}

extension CheckRun {
  /// Loads the tier; it has been seen to load, or the check would not run.
  func load(_ settings: CheckHost.Settings = .init()) throws -> LoadedTier { try LoadedTier(self, host: settings) }

  /// Loads and opens a tier of a role, with the options given or made up; not applicable to others.
  func open(_ role: TierRole? = nil, _ settings: CheckHost.Settings = .init()) throws -> OpenTier {
    let tier = try load(settings)
    let table = try tier.table()
    if let role, table.role != role {
      throw notApplicable("it is for \(role.rawValue) tiers, this is a \(table.role.rawValue)")
    }
    return try OpenTier(tier, table)
  }

  /// As `open(.backing)`, for persistent ones.
  func openPersistent() throws -> OpenTier {
    let tier = try load()
    let table = try tier.table()
    guard table.role == .backing, table.lifetime == .persistent else {
      throw notApplicable("it is for persistent backings")
    }
    return try OpenTier(tier, table)
  }
}
