// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// What encode and decode do to bytes.
enum TransformChecks {
  static let all =
    [roundTrip, lengths, pageSizes, objectValues, anyOrder, contextUse, contexts, afterFailure]
    + TransformRoomChecks.all + TransformBoundsChecks.all + TransformDamageChecks.all + TransformClaimChecks.all
    + TransformKeepingChecks.all

  static let roundTrip = Check(
    "transform-round-trip", .transform, scope: .transforms, needs: ["life-open"],
    proves: "Pages of every kind come back as they were.",
    advice: "decode must give exactly object->length bytes, those that encode got."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let pages = SamplePages(run)
    var shortest = bench.tier.pageSize
    for round in 0..<run.times(40) where !run.isLate || round < 1 {
      for (index, kind) in SamplePages.Kind.allCases.enumerated() {
        let page = pages.bytes(kind, length: bench.tier.pageSize, &run.random)
        let encoding = try bench.roundTrip(page, id: UInt64(round * 100 + index + 1), "a page (\(kind.rawValue))")
        shortest = min(shortest, encoding?.bytes.count ?? shortest)
      }
    }
    run.summary = "shortest encoding \(shortest) of \(bench.tier.pageSize) bytes"
    bench.close()
  }

  /// Sizes at which codecs change their ways come first, then all others in random order.
  private static func sizes(_ run: CheckRun, upTo pageSize: Int) -> [Int] {
    let powers = (5..<17).flatMap { [1 << $0 - 1, 1 << $0, 1 << $0 + 1] }.filter { $0 <= pageSize }
    let edges = Array(0...40) + powers + Array(pageSize - 16...pageSize)
    return edges + (0...pageSize).shuffled(using: &run.random).prefix(run.times(pageSize))
  }

  static let lengths = Check(
    "transform-lengths", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "Objects of every length from 0 to a page come back as they were.",
    advice: "object->length is the input's length; it may be anything from 0 to page_size."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let pages = SamplePages(run)
    let sizes = Self.sizes(run, upTo: bench.tier.pageSize)
    for (index, size) in sizes.enumerated() where !run.isLate || index < 120 {
      let kind = SamplePages.Kind.allCases[index % SamplePages.Kind.allCases.count]
      let page = pages.bytes(kind, length: size, &run.random)
      try bench.roundTrip(page, id: UInt64(index + 1), "an object of \(size) bytes (\(kind.rawValue))")
    }
    bench.close()
  }

  static let pageSizes = Check(
    "transform-page-sizes", .transform, scope: .transforms, needs: ["transform-lengths"],
    proves: "Pages of every size up to 64 KiB come back as they were.",
    advice: "Size buffers and length fields by arguments->page_size, which may be up to STOWAGE_PAGE_BYTES_MAX."
  ) { run in
    let loaded = try run.load()
    for shift in 12...16 {
      let bench = try TransformBench(try loaded.open(.transform) { $0.pageSize = 1 << shift })
      let pages = SamplePages(run, pageSize: 1 << shift)
      for round in 0..<run.times(4) where !run.isLate || round < 1 {
        for (index, kind) in SamplePages.Kind.allCases.enumerated() {
          let size = round % 2 == 0 ? 1 << shift : run.random.below(1 << shift)
          let page = pages.bytes(kind, length: size, &run.random)
          try bench.roundTrip(
            page, id: UInt64(round * 10 + index + 1), "\(size) of \(1 << shift) bytes (\(kind.rawValue))")
        }
      }
      bench.close()
    }
  }

  static let objectValues = Check(
    "transform-object-values", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "Ids and epochs of any value and all kinds of objects are taken.",
    advice: "object->id is any 64-bit number, the epoch any 32-bit one; take flags that you do not know as they are."
  ) { run in
    let loaded = try run.load()
    let ids: [UInt64] = [1, 1 << 31, 1 << 32, 1 << 40 + 7, 1 << 63, .max - 1]
    for epoch in [1, 2, 0x8000_0000, UInt32.max] {
      let bench = try TransformBench(try loaded.open(.transform) { $0.epoch = epoch })
      let pages = SamplePages(run)
      for (id, flags) in zip(ids, [0, STOWAGE_OBJECT_FRAME, STOWAGE_OBJECT_DISCARDABLE, STOWAGE_OBJECT_METADATA, 0, 1])
      {
        let page = pages.bytes(.text, length: bench.tier.pageSize, &run.random)
        guard let encoding = try bench.encode(page, id: id, flags: flags) else { continue }
        try bench.expectBack(encoding, "object \(id) of epoch \(epoch), flags \(flags),")
      }
      bench.close()
    }
  }

  static let anyOrder = Check(
    "transform-any-order", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "What was encoded can be decoded in any order and more than once.",
    advice: "Each object stands alone: keep nothing from one encode for a decode, or for the next encode."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let pages = SamplePages(run)
    let encodings = try (0..<run.times(400)).compactMap { index -> Encoding? in
      guard !run.isLate || index < 80 else { return nil }
      let kind = SamplePages.Kind.allCases[index % SamplePages.Kind.allCases.count]
      return try bench.encode(pages.bytes(kind, length: bench.tier.pageSize, &run.random), id: UInt64(index + 1))
    }
    for encoding in encodings { try bench.expectBack(encoding, "page \(encoding.object.id) of \(encodings.count)") }
    for encoding in encodings.shuffled(using: &run.random) where !run.isLate {
      try bench.expectBack(encoding, "page \(encoding.object.id) of \(encodings.count), decoded out of order,")
    }
    bench.close()
  }

  static let contextUse = Check(
    "transform-context-use", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "A context for encoding alone encodes, and one for decoding alone decodes.",
    advice: "thread_open gets STOWAGE_CONTEXT_ENCODE, STOWAGE_CONTEXT_DECODE or both; prepare for what is asked."
  ) { run in
    let tier = try run.open(.transform)
    guard tier.hasContexts else { throw run.notApplicable("the tier has no contexts") }
    let encoder = TransformBench(tier, try tier.context(UInt32(STOWAGE_CONTEXT_ENCODE)))
    let decoder = TransformBench(tier, try tier.context(UInt32(STOWAGE_CONTEXT_DECODE)))
    for encoding in try SamplePages.encodings(encoder) {
      try decoder.expectBack(encoding, "a page, encoded and decoded by contexts for one use each,")
    }
    tier.end(encoder.context)
    tier.end(decoder.context)
    tier.close()
  }

  static let contexts = Check(
    "transform-contexts", .transform, scope: .transforms, needs: ["transform-any-order"],
    proves: "Contexts stand apart: any of them decodes what another encoded, also after others have ended.",
    advice: "Keep what belongs to one context in it, and give it back in its own thread_close only."
  ) { run in
    let tier = try run.open(.transform)
    guard tier.hasContexts else { throw run.notApplicable("the tier has no contexts") }
    var benches = try (0..<4).map { _ in try TransformBench(tier) }
    var id: UInt64 = 1
    for round in 0..<run.times(20) where !run.isLate || round < 2 {
      for encoder in benches {
        let encodings = try SamplePages.encodings(encoder, firstId: id)
        id += 10
        for (index, encoding) in encodings.enumerated() {
          try benches[index % benches.count].expectBack(
            encoding, "a page, encoded by one context and decoded by another,")
        }
      }
      // The last one opened goes, the others must not notice; then there is a new one.
      tier.end(benches.removeLast().context)
      for encoding in try SamplePages.encodings(benches[0], firstId: id) {
        try benches[1].expectBack(encoding, "a page, after another context had ended,")
      }
      id += 10
      benches.insert(try TransformBench(tier), at: 0)
    }
    for bench in benches { tier.end(bench.context) }
    tier.close()
  }

  static let afterFailure = Check(
    "transform-after-failure", .transform, scope: .transforms, needs: ["transform-any-order"],
    proves: "After a call that failed the context works as before.",
    advice: "Bring codec state back to its beginning at the start of each call, or wherever a call can end early."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let pages = SamplePages(run)
    for round in 0..<run.times(60) where !run.isLate || round < 6 {
      let id = UInt64(round * 10 + 1)
      let kind = SamplePages.Kind.allCases[round % SamplePages.Kind.allCases.count]
      let page = pages.bytes(kind, length: bench.tier.pageSize, &run.random)
      guard let before = try bench.encode(page, id: id) else { continue }
      var damaged = before
      damaged.bytes.removeLast(min(damaged.bytes.count, 1 + run.random.below(20)))
      _ = bench.decode(damaged)
      if !bench.tier.table.isLengthPreserving {
        _ = bench.attempt(page, bench.tier.object(id + 1, length: page.count), room: before.bytes.count / 2)
      }
      try bench.expectBack(before, "a page (\(kind.rawValue)), after calls that failed,")
      _ = bench.decode(damaged)
      try bench.roundTrip(page, id: id + 2, "a page (\(kind.rawValue)), encoded after calls that failed,")
    }
    bench.close()
  }
}
