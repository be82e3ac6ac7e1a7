// SPDX-License-Identifier: Apache-2.0
import Foundation
@testable import StowageEngine
import Testing

@testable import StowageTrial

@Suite struct OutputTests {
  static let report = TrialReport(
    pages: 78_643, persistentPages: 65_536, discardablePages: 13_107, sameFilledPages: 12, absentPages: 0,
    mismatches: 0, lost: 0, discarded: 100, destructorCalls: 100, destructorFaults: 0, filesChanged: 0,
    levels: [
      .init(
        name: "store", note: "", pages: 8_000, pagesEntered: 78_000, ramBytes: 32 << 20, diskBytes: 0,
        ramBytesPerPage: 4_112.4, chunkBytesPerPage: 4_096, diskBytesPerPage: 0, cohortPages: 9_000,
        pagesDemoted: 70_000, pagesSkipped: 0, pagesDropped: 0, encodeUs: 0),
      .init(
        name: "lz4", note: "passed over", pages: 0, pagesEntered: 0, ramBytes: 0, diskBytes: 0,
        ramBytesPerPage: nil, chunkBytesPerPage: nil, diskBytesPerPage: nil, cohortPages: 0, pagesDemoted: 0,
        pagesSkipped: 0, pagesDropped: 0, encodeUs: 0),
    ],
    cohortPages: 9_000, put: .init(calls: 78_643, pagesPerS: 1e6, p50Us: 0.9, p99Us: 12, maxUs: 900),
    take: .init(calls: 78_543, pagesPerS: 2e5, p50Us: 5, p99Us: 80, maxUs: 9_000), demotions: 1, skips: 2,
    ramLimitBytes: 64 << 20, ramPeakBytes: 65 << 20, ramPeakAccountedBytes: 63 << 20, pageSize: 4096, seed: 7,
    seconds: 10, phases: [
      .init(
        name: "paced", pages: 43_000, seconds: 4, pagesPerS: 10_750, p50Us: 1, p99Us: 2, skips: 0, demotions: 1,
        drops: 0, stalls: 0, ramPeakBytes: 1, pagesEntered: [43_000, 0])
    ], full: nil, failures: [], notes: [])

  @Test func theJSONHasItsKeys() throws {
    let object = try JSONSerialization.jsonObject(with: Data(try Self.report.json().utf8))
    let json = try #require(object as? [String: Any])
    for key in [
      "pages", "persistent_pages", "discardable_pages", "mismatches", "lost", "discarded", "destructor_calls",
      "levels", "put", "take", "skips", "ram_limit_bytes", "ram_peak_bytes", "seed", "phases", "demotions",
      "cohort_pages", "same_filled_pages",
    ] { #expect(json[key] != nil, "\(key)") }
    let levels = try #require(json["levels"] as? [[String: Any]])
    for key in [
      "name", "pages", "pages_entered", "ram_bytes", "ram_bytes_per_page", "disk_bytes", "disk_bytes_per_page",
    ] {
      #expect(levels.allSatisfy { $0[key] != nil }, "\(key)")
    }
    #expect(levels[1]["ram_bytes_per_page"] is NSNull)
    for calls in ["put", "take"] {
      let object = try #require(json[calls] as? [String: Any])
      #expect(Set(object.keys).isSuperset(of: ["pages_per_s", "p50_us", "p99_us"]))
    }
  }

  @Test func successNeedsEveryPageAndEveryDestructor() {
    #expect(Self.report.isSuccess)
    let spoilers: [(inout TrialReport) -> Void] = [
      { $0.mismatches = 1 }, { $0.lost = 1 }, { $0.destructorCalls = 99 }, { $0.destructorFaults = 1 },
      { $0.failures = ["page 1"] },
    ]
    for spoil in spoilers {
      var report = Self.report
      spoil(&report)
      #expect(!report.isSuccess)
      #expect(report.text().contains("NOT all is well"))
    }
  }

  @Test func theTextShowsWhatWasMeasured() {
    let text = Self.report.text()
    for part in ["4,112 B", "lz4: passed over", "32.0 MiB", "78,543 pages", "seed 7", "limit 64.0 MiB"] {
      #expect(text.contains(part), "\(part)")
    }
    var failed = Self.report
    failed.failures = ["persistent page 5 (/x, page 5): came back with other bytes"]
    #expect(failed.text().contains("persistent page 5"))
  }

  @Test func numbersReadWell() {
    #expect(grouped(0) == "0" && grouped(1_234_567) == "1,234,567" && grouped(-1000) == "-1,000")
    #expect(decimal(0.05, 1) == "0.1" && decimal(1234.5678, 2) == "1,234.57" && decimal(-0.25, 2) == "-0.25")
    #expect("\(SizeLabel(1023))" == "1023 B" && "\(SizeLabel(64 << 20))" == "64.0 MiB")
  }

  private static func snapshot(step: String = "") -> TrialProgress.Snapshot {
    func level(_ name: String, _ kind: LevelStatistics.Kind, _ pages: Int) -> LevelStatistics {
      LevelStatistics(
        name: name, kind: kind, note: "", pages: pages, discardablePages: 0, pagesEntered: 0, pagesDemoted: 0,
        pagesSkipped: 0, pagesDropped: 0, ramBytes: pages * 1000, poolBytes: 0, chunkBytes: 0, metadataBytes: 0,
        diskBytes: pages * 500, limitBytes: 0, encodeMicroseconds: 0, degraded: nil)
    }
    let statistics = StoreStatistics(
      levels: [
        level("store", .store, 8_000), level("a-tier-with-a-long-name", .transform, 0),
        level("swapfile", .backing, 30_000),
      ],
      pageSize: 4096, pages: 38_000, discardablePages: 0, sameFilledPages: 0, puts: 0, replaces: 0, takes: 0,
      peeks: 0, discards: 0, drops: 5, skips: 6, stalls: 0, chunksCompacted: 0, framesCompacted: 0,
      memoryLimit: 64 << 20, ramBytes: 60 << 20, ramPeakBytes: 0, workspaceBytes: 0)
    return .init(done: 50, total: 200, phase: "burst", step: step, statistics: statistics)
  }

  @Test(arguments: [1, 10, 30, 40, 80, 132, 300])
  func framesFitTheTerminal(width: Int) {
    for isUnicode in [true, false] {
      let lines = LiveFrame(width: width, isUnicode: isUnicode).lines(Self.snapshot(), seconds: 12)
      #expect(lines.count == 5)
      #expect(lines.allSatisfy { $0.count <= max(1, width - 1) })
      #expect(isUnicode || lines.allSatisfy { $0.allSatisfy(\.isASCII) })
    }
  }

  @Test func framesShowTheLevels() {
    let lines = LiveFrame(width: 80, isUnicode: false).lines(Self.snapshot(step: "lz4"), seconds: 12)
    #expect(lines[0].contains("burst") && lines[0].contains("25 %") && lines[0].contains("lz4"))
    #expect(lines[3].contains("#") && lines[3].contains("30,000 pages") && lines[3].contains("disk"))
    #expect(!lines[2].contains("#"))
    #expect(lines[4].contains("skips 6") && lines[4].contains("drops 5"))
  }

  @Test func linesComeAtSteps() {
    var lines = PlainLines()
    var snapshot = Self.snapshot()
    #expect(lines.isDue(snapshot))
    #expect(lines.next(snapshot).contains("20 %  burst"))
    snapshot.done = 59
    #expect(!lines.isDue(snapshot))
    snapshot.done = 60
    #expect(lines.isDue(snapshot))
    #expect(lines.next(snapshot).contains("swapfile 30,000"))
    snapshot.phase = "give back"
    #expect(lines.isDue(snapshot))
    snapshot.phase = ""
    #expect(!lines.isDue(snapshot))
  }
}
