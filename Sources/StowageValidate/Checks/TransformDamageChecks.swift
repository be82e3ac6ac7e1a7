// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// What decode does with bytes that encode did not give.
enum TransformDamageChecks {
  static let all = [
    bounds, answer, integrityInput, integritySidecar, integrityLength, integrityObject, fuzz,
  ]

  static let bounds = Check(
    "transform-damage-bounds", .transform, scope: .transforms,
    needs: ["transform-decode-input-bounds", "transform-decode-output-bounds"],
    proves: "decode of damaged input touches nothing outside its buffers.",
    advice: "Check every length and offset in the input against input_length and object->length before you use it."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let encodings = try SamplePages.encodings(bench)
    for place in GuardedBuffer.Place.both {
      let guarded = try GuardedDecoder(bench, at: place)
      for encoding in encodings {
        for damage in Damage.every(run.times(60)) where !run.isLate {
          _ = guarded.decode(damage.done(to: encoding, &run.random))
          try run.expect(true, "")
        }
        try cutEverywhere(encoding, guarded, run)
      }
    }
    bench.close()
  }

  /// Every length that is too short, as many a decoder errs at one of them only.
  private static func cutEverywhere(_ encoding: Encoding, _ guarded: GuardedDecoder, _ run: CheckRun) throws {
    var damaged = encoding
    while !damaged.bytes.isEmpty, !run.isLate {
      damaged.bytes.removeLast()
      _ = guarded.decode(damaged)
      try run.expect(true, "")
    }
  }

  static let answer = Check(
    "transform-damage-answer", .transform, scope: .transforms, needs: ["transform-damage-bounds"],
    proves: "decode of damaged input is answered with CORRUPT or AUTH, or with OK by a tier that does not look.",
    advice: "Another code than STOWAGE_CORRUPT or STOWAGE_AUTH makes the host try again, for ever."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    for encoding in try SamplePages.encodings(bench) {
      for damage in Damage.every(run.times(60)) where !run.isLate {
        let (code, _) = bench.decode(damage.done(to: encoding, &run.random))
        try run.expect(
          [STOWAGE_OK, STOWAGE_CORRUPT, STOWAGE_AUTH].contains(code),
          "decode of damaged input (\(damage)) answered \(OpenTier.said(code)), expected "
            + "\(TierResult.name(STOWAGE_CORRUPT)) or \(TierResult.name(STOWAGE_AUTH))")
      }
    }
    bench.close()
  }

  // MARK: Integrity

  /// Opens a tier that claims it, with encodings of pages and of shorter objects.
  private static func openGenuine(_ run: CheckRun) throws -> (TransformBench, [Encoding]) {
    let bench = try TransformBench(try run.open(.transform))
    guard bench.tier.hasIntegrity else { throw run.notApplicable("the tier does not claim STOWAGE_FLAG_INTEGRITY") }
    let pages = SamplePages(run)
    let short = try [1, 17, 100, 1000].compactMap { length in
      try bench.encode(pages.bytes(.text, length: length, &run.random), id: UInt64(100 + length))
    }
    return (bench, short + (try SamplePages.encodings(bench)))
  }

  private static func expectFound(_ bench: TransformBench, _ damaged: Encoding, _ what: @autoclosure () -> String)
    throws
  {
    let (code, _) = bench.decode(damaged)
    try bench.tier.run.expect(
      code != STOWAGE_OK, "the tier claims STOWAGE_FLAG_INTEGRITY, and decode answered OK although \(what())")
  }

  static let integrityInput = Check(
    "transform-integrity-input", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims integrity finds every single bit of its input that has changed.",
    advice: "Let a checksum or a tag cover every byte of the output, or do not claim STOWAGE_FLAG_INTEGRITY."
  ) { run in
    let (bench, encodings) = try openGenuine(run)
    for var encoding in encodings {
      for index in encoding.bytes.indices where !run.isLate {
        for bit in 0..<8 {
          encoding.bytes[index] ^= 1 << bit
          try expectFound(bench, encoding, "bit \(bit) of byte \(index) of \(encoding.bytes.count) had changed")
          encoding.bytes[index] ^= 1 << bit
        }
      }
    }
    bench.close()
  }

  static let integritySidecar = Check(
    "transform-integrity-sidecar", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims integrity finds every single bit of its sidecar that has changed.",
    advice: "Compare the whole of the sidecar, all sidecar_length bytes, with what it must be."
  ) { run in
    let (bench, encodings) = try openGenuine(run)
    guard bench.tier.sidecarLength > 0 else { throw run.notApplicable("the tier has no sidecar") }
    for var encoding in encodings {
      for index in encoding.sidecar.indices {
        for bit in 0..<8 {
          encoding.sidecar[index] ^= 1 << bit
          try expectFound(bench, encoding, "bit \(bit) of byte \(index) of the sidecar had changed")
          encoding.sidecar[index] ^= 1 << bit
        }
      }
    }
    bench.close()
  }

  static let integrityLength = Check(
    "transform-integrity-length", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims integrity finds that its input was cut short, or that there is more of it.",
    advice: "Compare input_length with what it must be, or let the checksum cover it."
  ) { run in
    let (bench, encodings) = try openGenuine(run)
    for encoding in encodings {
      var damaged = encoding
      for length in encoding.bytes.indices.reversed() where !run.isLate {
        damaged.bytes = Array(encoding.bytes[..<length])
        try expectFound(bench, damaged, "the input was cut to \(length) of \(encoding.bytes.count) bytes")
      }
      for count in [1, 2, 8, 100] {
        damaged.bytes = encoding.bytes + (0..<count).map { _ in UInt8(truncatingIfNeeded: run.random.next() & 1) }
        try expectFound(bench, damaged, "\(count) bytes more had been put behind the input")
      }
    }
    bench.close()
  }

  static let integrityObject = Check(
    "transform-integrity-object", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims integrity finds that the object is another one: its id, its epoch or its length.",
    advice: "Let the checksum or tag cover object->id, epoch and length, so that swapped objects are found."
  ) { run in
    let (bench, encodings) = try openGenuine(run)
    for encoding in encodings {
      for bit in 0..<64 {
        var other = encoding
        other.object.id ^= 1 << UInt64(bit)
        try expectFound(bench, other, "the object's id had changed from \(encoding.object.id) to \(other.object.id)")
        guard bit < 32 else { continue }
        other = encoding
        other.object.epoch ^= 1 << UInt32(bit)
        try expectFound(
          bench, other, "the object's epoch had changed from \(encoding.object.epoch) to \(other.object.epoch)")
      }
      for length in [encoding.page.count - 1, encoding.page.count / 2, encoding.page.count + 1, 0] {
        guard length != encoding.page.count, length <= bench.tier.pageSize else { continue }
        var other = encoding
        other.object.length = UInt32(length)
        try expectFound(bench, other, "the object's length had changed from \(encoding.page.count) to \(length)")
      }
    }
    bench.close()
  }

  // MARK: Fuzzing

  static let fuzz = Check(
    "transform-fuzz", .transform, scope: .transforms, needs: ["transform-damage-answer"], level: 6,
    timeLimit: .seconds(60),
    proves: "Many thousand mutations of encodings, several at a time, do no harm to decode.",
    advice:
      "Take every number in the input as hostile; a crash here is one outside the buffers or in a sum that overflowed."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let guarded = try GuardedBuffer.Place.both.map { try GuardedDecoder(bench, at: $0) }
    let encodings = try SamplePages.encodings(bench)
    for round in 0..<run.times(40_000) where !run.isLate {
      var encoding = encodings[round % encodings.count]
      for _ in 0..<(1 + run.random.below(4)) { encoding = Damage.mutated(encoding, encodings, &run.random) }
      _ = guarded[round % 2].decode(encoding)
      try run.expect(true, "")
    }
    bench.close()
  }
}

/// Decodes between guards, so that reading or writing too far is a crash.
struct GuardedDecoder {
  private let bench: TransformBench
  private let input: GuardedRoom
  private let output: GuardedRoom
  private let sidecar: GuardedRoom

  init(_ bench: TransformBench, at place: GuardedBuffer.Place) throws {
    let run = bench.tier.run
    self.bench = bench
    input = try GuardedRoom(run, capacity: 3 * bench.tier.pageSize, at: place)
    output = try GuardedRoom(run, capacity: bench.tier.pageSize, at: place)
    sidecar = try GuardedRoom(run, capacity: 64, at: place)
  }

  func decode(_ encoding: Encoding) -> Int32 {
    bench.tier.decode(
      bench.context, encoding.object, input.put(encoding.bytes), length: encoding.bytes.count,
      output.bytes(Int(encoding.object.length)), bench.tier.sidecar(sidecar.put(encoding.sidecar)))
  }
}
