// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// Which bytes encode and decode touch. Memory beside the buffers cannot be touched here: one step too far is a crash.
enum TransformBoundsChecks {
  static let all = [
    encodeInput, encodeOutput, decodeInput, decodeOutput, inputReadOnly, objectReadOnly, sidecarBounds,
  ]

  private static let explanation = "A crash here is a step outside; the last call says in which call."

  /// Pages of all kinds and of odd lengths.
  private static func samples(_ bench: TransformBench) -> [[UInt8]] {
    let run = bench.tier.run
    let pages = SamplePages(run)
    let size = bench.tier.pageSize
    let lengths = [size, size, 0, 1, 7, size - 1] + (0..<run.times(6)).map { _ in run.random.below(size) }
    return lengths.flatMap { length in SamplePages.Kind.allCases.map { pages.bytes($0, length: length, &run.random) } }
  }

  static let encodeInput = Check(
    "transform-encode-input-bounds", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "encode reads nothing before or after its input.",
    advice: "Read object->length bytes of the input and no more, not even in steps of a word. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    let output = PlainRoom(3 * tier.pageSize)
    let sidecar = PlainRoom(64)
    for place in GuardedBuffer.Place.both {
      let room = try GuardedRoom(run, capacity: tier.pageSize, at: place)
      for (index, page) in samples(bench).enumerated() where !run.isLate {
        let (code, _) = tier.encode(
          bench.context, tier.object(UInt64(index + 1), length: page.count), room.put(page), output.base,
          room: tier.room(for: page.count), tier.sidecar(sidecar.base))
        try run.expect(code == STOWAGE_OK || code == STOWAGE_TOO_BIG, "encode answered \(OpenTier.said(code))")
      }
    }
    bench.close()
  }

  static let encodeOutput = Check(
    "transform-encode-output-bounds", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "encode writes nothing outside the room that it was given, be it enough or not.",
    advice: "Write at most output_room bytes, also on the way to STOWAGE_TOO_BIG. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    let (input, sidecar) = (PlainRoom(tier.pageSize), PlainRoom(64))
    for place in GuardedBuffer.Place.both {
      let output = try GuardedRoom(run, capacity: 3 * tier.pageSize, at: place)
      for (index, page) in samples(bench).enumerated() where !run.isLate {
        let id = UInt64(index * 40 + 1)
        guard let needed = try bench.encode(page, id: id)?.bytes.count else { continue }
        for (step, room) in rooms(needed, tier, &run.random).enumerated() {
          _ = tier.encode(
            bench.context, tier.object(id + UInt64(step) + 1, length: page.count), input.put(page), output.bytes(room),
            room: room, tier.sidecar(sidecar.base))
          try run.expect(true, "")
        }
      }
    }
    bench.close()
  }

  /// What is needed, a little more for codecs that want some air, and too little.
  private static func rooms(_ needed: Int, _ tier: OpenTier, _ random: inout SeededRandom) -> [Int] {
    guard !tier.table.isLengthPreserving else { return [needed] }
    let less = [needed - 1, needed / 2, random.below(needed), random.below(needed), 1, 0].filter { $0 >= 0 }
    return [needed, needed + 1, needed + 7, needed + 16] + less
  }

  static let decodeInput = Check(
    "transform-decode-input-bounds", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "decode reads nothing before or after its input.",
    advice: "Read input_length bytes of the input and no more. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    let (output, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
    for place in GuardedBuffer.Place.both {
      let input = try GuardedRoom(run, capacity: 3 * tier.pageSize, at: place)
      for (index, page) in samples(bench).enumerated() where !run.isLate {
        guard let encoding = try bench.encode(page, id: UInt64(index + 1)) else { continue }
        let code = tier.decode(
          bench.context, encoding.object, input.put(encoding.bytes), length: encoding.bytes.count, output.base,
          tier.sidecar(sidecar.put(encoding.sidecar)))
        try run.expect(code == STOWAGE_OK || tier.isLossy, "decode answered \(OpenTier.said(code))")
      }
    }
    bench.close()
  }

  static let decodeOutput = Check(
    "transform-decode-output-bounds", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "decode writes nothing before or after the object->length bytes of its output.",
    advice: "Write exactly object->length bytes, not in steps of a word past their end. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    let (input, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
    for place in GuardedBuffer.Place.both {
      let output = try GuardedRoom(run, capacity: tier.pageSize, at: place)
      for (index, page) in samples(bench).enumerated() where !run.isLate {
        guard let encoding = try bench.encode(page, id: UInt64(index + 1)) else { continue }
        let code = tier.decode(
          bench.context, encoding.object, input.put(encoding.bytes), length: encoding.bytes.count,
          output.bytes(page.count), tier.sidecar(sidecar.put(encoding.sidecar)))
        try run.expect(code == STOWAGE_OK || tier.isLossy, "decode answered \(OpenTier.said(code))")
      }
    }
    bench.close()
  }

  static let inputReadOnly = Check(
    "transform-input-read-only", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "encode and decode work on input that cannot be written to, and so does decode on its sidecar.",
    advice: "Never work in place on the input, even if you put it back: it may be mapped read-only. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    // Far from the guard at their end: the bounds are the business of other checks.
    let input = try GuardedRoom(run, capacity: 3 * tier.pageSize + TransformBench.slack, at: .start)
    let side = try GuardedRoom(run, capacity: 64 + TransformBench.slack, at: .start)
    let (output, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
    for (index, page) in samples(bench).enumerated() where !run.isLate {
      let object = tier.object(UInt64(index + 1), length: page.count)
      let (code, length) = input.withReadOnly(page) {
        tier.encode(
          bench.context, object, $0, output.base, room: tier.room(for: page.count), tier.sidecar(sidecar.base))
      }
      guard code == STOWAGE_OK else { continue }
      try run.expect(length <= output.count, "encode says that it wrote \(length) bytes")
      let decoded = input.withReadOnly(output.bytes(length)) { memory in
        side.withReadOnly(sidecar.bytes(tier.sidecarLength)) { side in
          tier.decode(bench.context, object, memory, length: length, output.base, tier.sidecar(side))
        }
      }
      try run.expect(decoded == STOWAGE_OK || tier.isLossy, "decode answered \(OpenTier.said(decoded))")
    }
    bench.close()
  }

  static let objectReadOnly = Check(
    "transform-object-read-only", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "encode and decode neither write to the object nor read past its end.",
    advice: "The object is the host's and constant: copy what you want to change. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    let memory = try GuardedRoom(run, capacity: MemoryLayout<stowage_object>.size, at: .end)
    for encoding in try SamplePages.encodings(bench) {
      let (output, sidecar) = (PlainRoom(3 * tier.pageSize), PlainRoom(64))
      let (object, page) = (withUnsafeBytes(of: encoding.object) { Array($0) }, encoding.page)
      let codes = memory.withReadOnly(object) { address in
        let object = UnsafePointer(address.assumingMemoryBound(to: stowage_object.self))
        var length = 0
        run.notes.note(.encode, encoding.object.id, UInt64(page.count), UInt64(tier.room(for: page.count)))
        let encoded = tier.transform.pointee.encode(
          tier.instance, bench.context, object, page, output.base.assumingMemoryBound(to: UInt8.self),
          tier.room(for: page.count), &length, tier.sidecar(sidecar.base)?.assumingMemoryBound(to: UInt8.self))
        run.notes.note(.decode, encoding.object.id, UInt64(page.count), UInt64(encoding.bytes.count))
        let decoded = tier.transform.pointee.decode(
          tier.instance, bench.context, object, encoding.bytes + [0], encoding.bytes.count,
          output.base.assumingMemoryBound(to: UInt8.self),
          tier.sidecar(sidecar.put(encoding.sidecar))?.assumingMemoryBound(to: UInt8.self))
        return (encoded, decoded)
      }
      try run.expect(codes.0 == STOWAGE_OK, "encode answered \(OpenTier.said(codes.0))")
      try run.expect(codes.1 == STOWAGE_OK || tier.isLossy, "decode answered \(OpenTier.said(codes.1))")
    }
    bench.close()
  }

  static let sidecarBounds = Check(
    "transform-sidecar-bounds", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "encode writes, and decode reads, nothing beside the sidecar's sidecar_length bytes.",
    advice: "The sidecar is exactly sidecar_length bytes long. \(explanation)"
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let tier = bench.tier
    guard tier.sidecarLength > 0 else { throw run.notApplicable("the tier has no sidecar") }
    for place in GuardedBuffer.Place.both {
      let side = try GuardedRoom(run, capacity: tier.sidecarLength, at: place)
      for encoding in try SamplePages.encodings(bench) {
        let (input, output) = (PlainRoom(3 * tier.pageSize), PlainRoom(3 * tier.pageSize))
        let (encoded, length) = tier.encode(
          bench.context, encoding.object, input.put(encoding.page), output.base,
          room: tier.room(for: encoding.page.count),
          side.bytes(tier.sidecarLength))
        try run.expect(encoded == STOWAGE_OK && length <= output.count, "encode answered \(OpenTier.said(encoded))")
        let decoded = tier.decode(
          bench.context, encoding.object, input.put(encoding.bytes), length: encoding.bytes.count, output.base,
          side.put(encoding.sidecar))
        try run.expect(decoded == STOWAGE_OK || tier.isLossy, "decode answered \(OpenTier.said(decoded))")
      }
    }
    bench.close()
  }
}
