// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Foundation
internal import StowageEngine

/// What is decoded elsewhere than it was encoded.
enum TransformKeepingChecks {
  static let all = [state, stateRoom, stateProcess, otherInstance, otherProcess]

  static let state = Check(
    "transform-state", .transform, scope: .transforms, needs: ["transform-any-order"],
    proves: "An instance that loads the state of another decodes what that one encoded, even after its end.",
    advice: "Put everything that decode needs into state_save, and take all of it in state_load."
  ) { run in
    let loaded = try run.load()
    let first = try TransformBench(try loaded.open(.transform))
    guard let state = try first.tier.savedState() else { throw run.notApplicable("the tier keeps no state") }
    let encodings = try SamplePages.encodings(first)
    let later = try first.tier.savedState() ?? []
    first.close()
    for (saved, words) in [(state, "before the pages were encoded"), (later, "after the pages were encoded")] {
      let tier = try loaded.open(.transform) { $0.epoch += 1 }
      try tier.loadState(saved)
      let second = try TransformBench(tier)
      for encoding in encodings {
        try second.expectBack(encoding, "a page, in an instance that had loaded the state saved \(words),")
      }
      second.close()
    }
    run.summary = "\(state.count) bytes of state"
  }

  static let stateRoom = Check(
    "transform-state-room", .transform, scope: .transforms, needs: ["transform-state"],
    proves:
      "state_save with too little room answers TOO_BIG, says how much it needs, and writes nothing past the room.",
    advice: "Compare room with the length first; set *length in both cases."
  ) { run in
    let tier = try run.open(.transform)
    guard let state = try tier.savedState() else { throw run.notApplicable("the tier keeps no state") }
    guard !state.isEmpty else { throw run.notApplicable("the tier's state is empty") }
    let rooms = [0, 1, state.count / 2, state.count - 1].filter { $0 < state.count }
    let memory = try GuardedRoom(run, capacity: state.count, at: .end)
    for room in rooms {
      let (code, length) = tier.saveState(room == 0 ? nil : memory.bytes(room), room: room)
      try run.expect(
        code == STOWAGE_TOO_BIG,
        "state_save into a room of \(room) answered \(OpenTier.said(code)), expected \(TierResult.name(STOWAGE_TOO_BIG))")
      try run.expect(length == state.count, "state_save into a room of \(room) says that it needs \(length) bytes, not \(state.count)")
    }
    let (code, length) = tier.saveState(memory.bytes(state.count), room: state.count)
    try run.expect(
      code == STOWAGE_OK && length == state.count, "state_save into just enough room answered \(OpenTier.said(code))")
    tier.close()
  }

  static let otherInstance = Check(
    "transform-other-instance", .transform, scope: .transforms, needs: ["transform-any-order"],
    proves: "Another instance decodes what one encoded; one with a key of its own says that it cannot.",
    advice:
      "Without state_save nothing but the options may be needed to decode; a cipher with a key of its own must answer AUTH."
  ) { run in
    let loaded = try run.load()
    let first = try TransformBench(try loaded.open(.transform))
    guard try first.tier.savedState() == nil else {
      throw run.notApplicable("the tier keeps state, see transform-state")
    }
    let encodings = try SamplePages.encodings(first)
    let second = try TransformBench(try loaded.open(.transform))
    for encoding in encodings { try expectElsewhere(second, encoding, "another instance") }
    first.close()
    for encoding in encodings { try expectElsewhere(second, encoding, "another instance, the first one closed,") }
    second.close()
  }

  /// A mandatory tier without state may have a key of its own; wrong bytes are never right.
  private static func expectElsewhere(_ bench: TransformBench, _ encoding: Encoding, _ place: String) throws {
    guard bench.tier.table.isMandatory, !bench.tier.isLossy else {
      return try bench.expectBack(encoding, "a page, in \(place),")
    }
    let run = bench.tier.run
    let (code, output) = bench.decode(encoding)
    if code == STOWAGE_OK {
      return try run.expect(output == encoding.page, "decode in \(place) answered OK and gave other bytes")
    }
    try run.expect(
      code == STOWAGE_AUTH || code == STOWAGE_CORRUPT,
      "decode in \(place) answered \(OpenTier.said(code)), expected \(TierResult.name(STOWAGE_AUTH))")
  }

  static let otherProcess = Check(
    "transform-other-process", .transform, scope: .transforms, needs: ["transform-other-instance"],
    proves: "Another process decodes what one encoded; one with a key of its own says that it cannot.",
    advice: "Nothing of the process may go into the output: no address, no seed that is made when the library loads."
  ) { run in
    let stored = try encodedElsewhere(run)
    let bench = try TransformBench(try run.open(.transform))
    for encoding in stored.encodings { try expectElsewhere(bench, encoding.encoding, "another process") }
    bench.close()
  }

  static let stateProcess = Check(
    "transform-state-process", .transform, scope: .transforms, needs: ["transform-state"],
    proves: "Another process that loads the state decodes what one encoded.",
    advice:
      "What state_save gives must stand for itself: no addresses, no process id, nothing that a library makes up anew."
  ) { run in
    let stored = try encodedElsewhere(run)
    let tier = try run.load().open(.transform) { $0.epoch += 1 }
    guard let state = stored.state else { throw run.notApplicable("the tier keeps no state") }
    try tier.loadState(state)
    let bench = try TransformBench(tier)
    for encoding in stored.encodings { try bench.expectBack(encoding.encoding, "a page, in another process,") }
    bench.close()
  }

  /// Pages that a process of its own encoded, which has ended.
  private static func encodedElsewhere(_ run: CheckRun) throws -> StoredEncodings {
    let file = URL(fileURLWithPath: run.order.folder + "/encodings")
    let child = try ForkedChild(run) { _ in
      let bench = try TransformBench(try run.open(.transform))
      let state = try bench.tier.savedState()
      let encodings = try SamplePages.encodings(bench).map(StoredEncoding.init)
      try JSONEncoder().encode(StoredEncodings(state: state, encodings: encodings)).write(to: file)
    }
    try child.finish()
    guard let stored = try? JSONDecoder().decode(StoredEncodings.self, from: Data(contentsOf: file)) else {
      throw run.notRun("the pages could not be handed from one process to another")
    }
    return stored
  }
}

/// Encodings on their way from one process to another.
private struct StoredEncodings: Codable {
  var state: [UInt8]?
  var encodings: [StoredEncoding]
}

private struct StoredEncoding: Codable {
  var page, bytes, sidecar: [UInt8]
  var id: UInt64
  var epoch, flags: UInt32

  init(_ encoding: Encoding) {
    (page, bytes, sidecar) = (encoding.page, encoding.bytes, encoding.sidecar)
    (id, epoch, flags) = (encoding.object.id, encoding.object.epoch, encoding.object.flags)
  }

  var encoding: Encoding {
    let object = stowage_object(id: id, epoch: epoch, length: UInt32(page.count), flags: flags, reserved: 0)
    return Encoding(page: page, object: object, bytes: bytes, sidecar: sidecar)
  }
}
