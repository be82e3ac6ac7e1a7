// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// What is recorded of the tiers.
extension Engine {
  /// By level: what it takes to open the tier as it is. Asks every tier that has a state for it.
  /// - Throws: `unsupported` with the tier's own words when what it encodes cannot outlive it.
  func savedStates() throws(StoreError) -> [SessionHead.Opening?] {
    var openings: [SessionHead.Opening?] = Array(repeating: nil, count: levelCount)
    for index in 1..<max(levelCount, 1) {
      guard let tier = chain[index - 1], let instance = instances[index - 1] else { continue }
      var opening = SessionHead.Opening()
      let rekeyed = keeper?.rekeyed[index]
      opening.options = textOptions(of: rekeyed?.tier ?? tier)
      if let rekeyed {
        opening.hasState = true
        opening.state = try instance.rekeyedState(for: rekeyed.instance)
      } else if let state = try instance.saveState() {
        opening.hasState = true
        opening.state = state
      }
      openings[index] = opening
    }
    return openings
  }

  /// The tiers as they are now. With the lock.
  func headTiers() -> [SessionHead.Tier] {
    var tiers: [SessionHead.Tier] = []
    for index in 1..<max(levelCount, 1) {
      guard let tier = chain[index - 1] else { continue }
      let level = plan.levels[index]
      var record = SessionHead.Tier()
      record.name = tier.name
      record.plugin = tier.table.name
      record.version = tier.table.version
      record.level = UInt8(index)
      record.isMandatory = tier.table.isMandatory
      record.epoch = calls[index]?.epoch ?? 0
      record.nextID = levels[index].nextID
      record.transformBit = level.transformBit
      record.sidecarOffset = UInt16(level.sidecarOffset)
      record.sidecarLength = level.role == .frame ? UInt16(level.sidecarLength) : 0
      tiers.append(record)
    }
    return tiers
  }

  /// Which numbers of codecs and transform sets mean what. With the lock.
  func headEpochs(_ tiers: [SessionHead.Tier]) -> ([SessionHead.CodecRecord], [SessionHead.SetRecord]) {
    func number(of level: Int) -> UInt8? { tiers.firstIndex { Int($0.level) == level }.map { UInt8($0) } }
    var codecs: [SessionHead.CodecRecord] = []
    for index in 1..<EpochTable.codecsMax {
      let codec = epochs.codec(index)
      guard codec.level > 0, let tier = number(of: Int(codec.level)) else { continue }
      codecs.append(
        .init(
          number: UInt8(index), tier: tier, space: codec.space, epoch: codec.epoch,
          frames: UInt32(session?.frames(codec: index) ?? 0)))
    }
    var sets: [SessionHead.SetRecord] = []
    for index in 1..<max(1, epochs.count) {
      let set = epochs.set(UInt8(index))
      guard set.mask != 0 else { continue }
      var record = SessionHead.SetRecord(
        number: UInt8(index), members: [], sum: set.sum, frames: UInt32(session?.frames(transforms: index) ?? 0))
      for level in 0..<levelCount where set.mask & plan.levels[level].transformBit != 0 {
        guard let tier = number(of: level) else { continue }
        record.members.append((tier, set.epoch(plan.levels[level].transformBit)))
      }
      sets.append(record)
    }
    return (codecs, sets)
  }

  /// The root as the session's tier has it.
  func readRoot() throws(StoreError) -> [UInt8] {
    guard let session, let port = ports[session.level] else { return [] }
    let answer = port.readRoot()
    guard answer.code == STOWAGE_OK else {
      throw .unavailable(
        tier: plan.levels[session.level].name, reason: "its root cannot be read: \(port.lastFailure(answer.code))")
    }
    return answer.root
  }
}

extension TierInstance {
  /// What the tier needs to decode, in a later run, everything that it can decode now; nil when it needs nothing.
  func saveState() throws(StoreError) -> [UInt8]? {
    guard let save = table.descriptor.pointee.state_save else { return nil }
    return try state("its state cannot be saved") { save(calls.instance, $0, $1, $2) }
  }

  /// Goes on from a state of an earlier run. Before any context is opened.
  func loadState(_ state: [UInt8]) throws(StoreError) {
    guard let load = table.descriptor.pointee.state_load else {
      throw .session(
        .tier,
        "tier '\(name)' (\(table.file)) has no state, but the session was written with one that has; "
          + "load the plug-in that wrote it")
    }
    HostTable.clearError()
    let result = state.withUnsafeBufferPointer {
      load(calls.instance, $0.baseAddress ?? UnsafePointer(bitPattern: 1)!, state.count)
    }
    guard result != STOWAGE_OK else { return }
    let said = HostTable.lastError()
    throw .session(
      TierResult.isDamage(result) && result != STOWAGE_AUTH ? .damaged : .tier,
      "tier '\(name)' cannot go on from its saved state: \(said.isEmpty ? TierResult.name(result) : said)")
  }
}
