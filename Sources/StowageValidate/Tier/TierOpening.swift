// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

extension LoadedTier {
  /// Opens an instance of a tier of a role; not applicable to others.
  /// - Parameters:
  ///   - suffix: tells the files of several instances apart.
  ///   - change: what is to be other than usual.
  func open(
    _ role: TierRole, suffix: String = "", _ change: (inout OpenArguments) -> Void = { _ in }
  ) throws -> OpenTier {
    let table = try table()
    guard table.role == role else {
      throw run.notApplicable("it is for \(role.rawValue) tiers, this is a \(table.role.rawValue)")
    }
    var arguments = try OpenArguments(run, table, suffix: suffix)
    change(&arguments)
    return try OpenTier(self, table, arguments)
  }

  /// Opens a second instance that keeps its files elsewhere. Not run when the user named what cannot be had twice.
  func openAnother(_ role: TierRole) throws -> OpenTier {
    let paths = try table().options.filter { $0.kind == .path }
    if let given = paths.first(where: { run.order.options[$0.key].map(UserFile.isShared) ?? false }) {
      throw run.notRun("it needs two instances, and the option '\(given.key)' names one place for both")
    }
    return try open(role, suffix: "-2")
  }
}

extension OpenTier {
  var hasState: Bool { raw.state_save != nil }
  var hasContexts: Bool { raw.thread_open != nil }
  var hasIntegrity: Bool { table.flags.contains(.integrity) }
  /// May give back other bytes, or none: then only how it gets there is looked at.
  var isLossy: Bool { table.flags.contains(.lossy) }

  /// What the tier wants kept; nil when it keeps nothing, or nothing as it is configured. A failure ends the check.
  func savedState() throws -> [UInt8]? {
    guard raw.state_save != nil else { return nil }
    var (code, length, state) = saveState(room: 1 << 20)
    if code == STOWAGE_TOO_BIG, length > 1 << 20, length <= 1 << 28 { (code, length, state) = saveState(room: length) }
    if code == STOWAGE_UNSUPPORTED {
      try run.expect(!HostTable.lastError().isEmpty, "state_save answered \(Self.said(code)) and did not say why")
      return nil
    }
    guard code == STOWAGE_OK else { throw run.fail("state_save answered \(Self.said(code))") }
    guard length <= state.count else {
      throw run.fail("state_save says that it wrote \(length) bytes into a room of \(state.count)")
    }
    return Array(state[..<length])
  }

  /// One call of state_save with room to spare behind it; the room's contents come back.
  private func saveState(room: Int) -> (code: Int32, length: Int, state: [UInt8]) {
    var state = [UInt8](repeating: 0xA5, count: room + TransformBench.slack)
    let (code, length) = state.withUnsafeMutableBytes { saveState($0.baseAddress, room: room) }
    return (code, length, Array(state[..<room]))
  }

  /// One call of state_save. The tier has it.
  func saveState(_ memory: UnsafeMutableRawPointer?, room: Int) -> (code: Int32, length: Int) {
    var length = 0
    run.notes.note(.stateSave, UInt64(room))
    HostTable.clearError()
    let code = raw.state_save!(instance, memory?.assumingMemoryBound(to: UInt8.self), room, &length)
    return (code, length)
  }

  /// Gives an instance that was just opened what another one saved. A failure ends the check.
  func loadState(_ state: [UInt8]) throws {
    guard let load = raw.state_load else { return }
    run.notes.note(.stateLoad, UInt64(state.count))
    HostTable.clearError()
    // One byte more, so that there is an address when the state is empty.
    let code = (state + [0]).withUnsafeBufferPointer { load(instance, $0.baseAddress!, state.count) }
    guard code == STOWAGE_OK else { throw run.fail("state_load of what state_save gave answered \(Self.said(code))") }
  }
}
