// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// What encode and decode do to bytes.
enum TransformChecks {
  static let all = [roundTrip]

  static let roundTrip = Check(
    "transform-round-trip", .transform, scope: .transforms, needs: ["life-open"],
    proves: "Pages of every kind come back as they were.",
    advice: "decode must give exactly object->length bytes, those that encode got."
  ) { run in
    let tier = try run.open(.transform)
    let context = try tier.context()
    let pages = SamplePages(run)
    var shortest = tier.pageSize
    for round in 0..<run.times(40) where !run.isLate || round < 1 {
      for kind in SamplePages.Kind.allCases {
        let page = pages.bytes(kind, length: tier.pageSize, &run.random)
        let bench = try TransformBench(tier, context)
        guard let length = try bench.encode(page, id: UInt64(round * 100 + 1)) else { continue }
        shortest = min(shortest, length)
        let back = try bench.decode(length: page.count, id: UInt64(round * 100 + 1))
        try run.expect(back == page, "a page (\(kind.rawValue)) came back changed; \(bench.difference(page, back))")
      }
    }
    run.summary = "shortest encoding \(shortest) of \(tier.pageSize) bytes"
    tier.end(context)
    tier.close()
  }
}
