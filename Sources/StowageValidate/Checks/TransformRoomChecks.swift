// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

/// What encode says when there is little room.
enum TransformRoomChecks {
  static let all = [tooBig, incompressible]

  static let tooBig = Check(
    "transform-too-big", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "An encoding that does not fit into the room is answered with STOWAGE_TOO_BIG.",
    advice: "Answer STOWAGE_TOO_BIG whenever the result is longer than output_room, and nothing else: it is no failure."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    guard !bench.tier.table.isLengthPreserving else {
      throw run.notApplicable("the tier preserves length, so there is always room")
    }
    // Those that get shorter: pages that do not are the next check's.
    for encoding in try SamplePages.encodings(bench) where encoding.bytes.count < encoding.page.count {
      let rooms = (0..<encoding.bytes.count).shuffled(using: &run.random).prefix(run.times(40))
      for room in [0, encoding.bytes.count - 1] + rooms where room >= 0 && !run.isLate {
        try expectFit(bench, encoding.page, id: encoding.object.id, room: room)
      }
    }
    bench.close()
  }

  static let incompressible = Check(
    "transform-incompressible", .transform, scope: .transforms, needs: ["transform-round-trip"],
    proves: "Pages that do not get shorter are refused with STOWAGE_TOO_BIG, or fit into the room.",
    advice: "With room for the page itself and a page of noise, answer STOWAGE_TOO_BIG or stay within the room."
  ) { run in
    let bench = try TransformBench(try run.open(.transform))
    let pages = SamplePages(run)
    for index in 0..<run.times(40) where !run.isLate || index < 4 {
      let page = pages.bytes(.random, length: bench.tier.pageSize, &run.random)
      // The host may give exactly a page, or a little less.
      let less = bench.tier.table.isLengthPreserving ? 0 : index % 3 * run.random.below(200)
      try expectFit(bench, page, id: UInt64(index + 1), room: page.count - less)
    }
    bench.close()
  }

  /// Either it does not fit, and the tier says so, or it does and comes back.
  private static func expectFit(_ bench: TransformBench, _ page: [UInt8], id: UInt64, room: Int) throws {
    let run = bench.tier.run
    let (code, length, encoding) = bench.attempt(page, bench.tier.object(id, length: page.count), room: room)
    if code == STOWAGE_TOO_BIG { return try run.expect(true, "") }
    guard code == STOWAGE_OK else {
      throw run.fail(
        "encode of \(page.count) bytes into a room of \(room) answered \(OpenTier.said(code)), expected "
          + "\(TierResult.name(STOWAGE_TOO_BIG)) or OK")
    }
    guard let encoding else {
      throw run.fail(
        "encode into a room of \(room) answered OK with \(length == .max ? "no" : String(length)) bytes of output")
    }
    try bench.expectBack(encoding, "a page that went into a room of \(room)")
  }
}
