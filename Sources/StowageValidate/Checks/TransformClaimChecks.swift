// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// What a tier claims of its output.
enum TransformClaimChecks {
  static let all = [deterministic, lengthPreserving, sidecarFilled, cipherHides, cipherIds]

  static let deterministic = Check(
    "transform-deterministic", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims it gives the same output for the same object and input, whatever it did before.",
    advice: "Bring codec state back to its beginning for each call, or do not claim STOWAGE_FLAG_DETERMINISTIC."
  ) { run in
    let tier = try run.open(.transform)
    guard tier.table.flags.contains(.deterministic) else {
      throw run.notApplicable("the tier does not claim STOWAGE_FLAG_DETERMINISTIC")
    }
    let (bench, other) = (try TransformBench(tier), try TransformBench(tier))
    for round in 0..<run.times(20) where !run.isLate || round < 2 {
      let first = try SamplePages.encodings(bench, firstId: UInt64(round * 10 + 1))
      for encoding in first {
        for again in [bench, other] {
          let second = try again.encode(encoding.page, id: encoding.object.id)
          try run.expect(
            second?.bytes == encoding.bytes && second?.sidecar == encoding.sidecar,
            "the same object and page were encoded to \(encoding.bytes.count) bytes, and later to "
              + "\(second?.bytes.count ?? 0) other ones")
        }
      }
    }
    tier.end(other.context)
    bench.close()
  }

  static let lengthPreserving = Check(
    "transform-length-preserving", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A tier that claims it gives exactly as many bytes as it got, for every length.",
    advice: "Set *output_length to object->length, or do not claim STOWAGE_FLAG_LENGTH_PRESERVING."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    guard bench.tier.table.isLengthPreserving else {
      throw run.notApplicable("the tier does not claim STOWAGE_FLAG_LENGTH_PRESERVING")
    }
    let pages = SamplePages(run)
    let size = bench.tier.pageSize
    let lengths = [size, 0, 1, size - 1, size / 2] + (0..<run.times(100)).map { _ in run.random.below(size) }
    for (index, length) in lengths.enumerated() where !run.isLate {
      for (number, kind) in SamplePages.Kind.allCases.enumerated() {
        let page = pages.bytes(kind, length: length, &run.random)
        let encoding = try bench.encode(page, id: UInt64(index * 10 + number + 1))
        let made = encoding.map { "\($0.bytes.count) bytes" } ?? "TOO_BIG"
        try run.expect(
          encoding?.bytes.count == length, "\(length) bytes (\(kind.rawValue)) were encoded to \(made)")
      }
    }
    bench.close()
  }

  static let sidecarFilled = Check(
    "transform-sidecar-filled", .transform, scope: .transforms, needs: ["transform-sidecar-bounds"],
    proves: "encode sets every byte of the sidecar.",
    advice:
      "Fill all sidecar_length bytes: what you leave is whatever the host had there, and goes to disk with the page."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    guard tier.sidecarLength > 0 else { throw run.notApplicable("the tier has no sidecar") }
    let (input, output, sidecar) = (PlainRoom(tier.pageSize), PlainRoom(3 * tier.pageSize), PlainRoom(64))
    for encoding in try SamplePages.encodings(bench) {
      // A byte that is written may equal one of the values by chance, but not four times.
      var isSet = [Bool](repeating: false, count: tier.sidecarLength)
      for (round, filler) in ([0x00, 0xFF, 0x5A, 0xA5] as [UInt8]).enumerated() {
        _ = sidecar.put([UInt8](repeating: filler, count: 64))
        var object = encoding.object
        object.id += UInt64(1000 * round)
        let (code, _) = tier.encode(
          bench.context, object, input.put(encoding.page), output.base, room: tier.room(for: encoding.page.count),
          sidecar.base)
        guard code == STOWAGE_OK else { throw run.fail("encode answered \(OpenTier.said(code))") }
        for (index, byte) in sidecar.bytes(tier.sidecarLength).enumerated() where byte != filler { isSet[index] = true }
      }
      let left = isSet.firstIndex(of: false)
      try run.expect(left == nil, "byte \(left ?? 0) of the sidecar's \(tier.sidecarLength) is never set")
    }
    bench.close()
  }

  // MARK: Ciphers

  private static func openCipher(_ run: CheckRun) throws -> TransformBench {
    let bench = try TransformBench(try run.open(.transform))
    guard bench.tier.table.isMandatory else { throw run.notApplicable("the tier is not mandatory, so it is no cipher") }
    return bench
  }

  static let cipherHides = Check(
    "transform-cipher-hides", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "No 16 bytes of a page are found in what a cipher makes of it.",
    advice: "Encipher every byte, also those at the end, and put none of them into the sidecar."
  ) { run in
    let bench = try openCipher(run)
    let pages = SamplePages(run)
    for round in 0..<run.times(20) where !run.isLate || round < 2 {
      for (index, kind) in SamplePages.Kind.allCases.enumerated() {
        let length = round % 2 == 0 ? bench.tier.pageSize : 16 + run.random.below(bench.tier.pageSize - 16)
        let page = pages.bytes(kind, length: length, &run.random)
        guard let encoding = try bench.encode(page, id: UInt64(round * 10 + index + 1)) else { continue }
        let seen = Runs(encoding.bytes + encoding.sidecar).common(with: page)
        try run.expect(seen == nil, "16 bytes of the page, from byte \(seen ?? 0) on, can be read in the output")
      }
    }
    bench.close()
  }

  static let cipherIds = Check(
    "transform-cipher-ids", .transform, scope: .transforms, needs: ["transform-cipher-hides"],
    proves: "A cipher encodes one page under two ids to two quite different outputs.",
    advice: "Take object->id into the nonce: equal pages must not be seen to be equal."
  ) { run in
    let bench = try openCipher(run)
    for round in 0..<run.times(20) where !run.isLate || round < 2 {
      for encoding in try SamplePages.encodings(bench, firstId: UInt64(round * 10 + 1)) {
        guard let other = try bench.encode(encoding.page, id: encoding.object.id + 1_000_000) else { continue }
        let seen = Runs(encoding.bytes).common(with: other.bytes)
        try run.expect(
          seen == nil,
          "one page under the ids \(encoding.object.id) and \(other.object.id): 16 bytes of the outputs, from byte "
            + "\(seen ?? 0) on, are the same")
      }
    }
    bench.close()
  }
}

/// Every run of 16 bytes in a text.
private struct Runs {
  private var seen: Set<SIMD2<UInt64>> = []

  init(_ text: [UInt8]) { Self.forEach(text) { seen.insert($1) } }

  /// Where the first run begins that the other text has too.
  func common(with other: [UInt8]) -> Int? {
    var found: Int?
    Self.forEach(other) { index, run in if found == nil, seen.contains(run) { found = index } }
    return found
  }

  private static func forEach(_ text: [UInt8], _ body: (Int, SIMD2<UInt64>) -> Void) {
    guard text.count >= 16 else { return }
    text.withUnsafeBytes { text in
      for index in 0...text.count - 16 {
        body(index, text.loadUnaligned(fromByteOffset: index, as: SIMD2<UInt64>.self))
      }
    }
  }
}
