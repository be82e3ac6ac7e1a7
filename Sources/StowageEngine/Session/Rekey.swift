// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier

/// A session under another key.
extension Engine {
  /// From the next checkpoint on, what the tier needs to decode the session is kept for instances with these options.
  func rekey(tier name: String, options: [String: TierOptionValue]) throws(StoreError) {
    guard let keeper else { throw .unsupported("a new key needs a store with a session; open it with one") }
    guard stowage_thread_owner() != identity else {
      throw .unsupported("a key cannot be changed from a destructor: it waits for the thread that runs it")
    }
    keeper.gate.lock()
    defer { keeper.gate.unlock() }
    guard !lock.withLock({ state.pointee.isClosing }) else { throw .closed }
    guard let place = chain.firstIndex(where: { $0?.name == name }), var tier = chain[place] else {
      throw .configuration("there is no tier '\(name)' in the chain")
    }
    guard tier.table.extensionTable(STOWAGE_EXTENSION_REKEY) != nil else {
      throw .unsupported("tier '\(name)' has no key that could be changed")
    }
    tier.options = options
    let instance = try TierInstance(
      tier, pageSize: pageSize, epoch: lock.withLock { nextEpoch },
      deadline: nanoseconds(tier.deadline ?? configuration.deadline))
    do throws(StoreError) {
      _ = try instances[place]?.rekeyedState(for: instance)
    } catch {
      instance.close()
      throw error
    }
    keeper.rekeyed.removeValue(forKey: place + 1)?.instance.close()
    keeper.rekeyed[place + 1] = (tier, instance)
  }
}

extension TierInstance {
  /// What instances opened like `other` need to decode everything that this one can.
  func rekeyedState(for other: TierInstance) throws(StoreError) -> [UInt8] {
    guard let table = table.extensionTable(STOWAGE_EXTENSION_REKEY) else {
      throw .unsupported("tier '\(name)' has no key that could be changed")
    }
    let rekey = table.assumingMemoryBound(to: stowage_rekey_extension.self).pointee.rekey
    return try state("its key cannot be changed") { state, room, length in
      rekey(calls.instance, other.calls.instance, state, room, length)
    }
  }

  /// Asks for a state, with as much room as it takes.
  func state(
    _ what: String, _ ask: (UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<Int>) -> Int32
  ) throws(StoreError) -> [UInt8] {
    guard calls.enter() else { throw failure(what, STOWAGE_RETRY) }
    defer { calls.leave() }
    var length = 0
    var result = ask(nil, 0, &length)
    var state: [UInt8] = []
    // It may grow between the question and the answer.
    var attempts = 0
    while result == STOWAGE_TOO_BIG, attempts < 8, length <= 1 << 30 {
      attempts += 1
      state = [UInt8](repeating: 0, count: length)
      let room = length
      result = state.withUnsafeMutableBufferPointer { ask($0.baseAddress, room, &length) }
    }
    guard result == STOWAGE_OK, length <= state.count else {
      guard result == STOWAGE_UNSUPPORTED else { throw failure(what, result == STOWAGE_OK ? STOWAGE_INVALID : result) }
      let said = HostTable.lastError()
      throw .unsupported("tier '\(name)' cannot outlive this store: \(said.isEmpty ? TierResult.name(result) : said)")
    }
    return Array(state.prefix(length))
  }

  private func failure(_ what: String, _ result: Int32) -> StoreError {
    let said = HostTable.lastError()
    return .unavailable(tier: name, reason: "\(what): \(said.isEmpty ? TierResult.name(result) : said)")
  }
}
