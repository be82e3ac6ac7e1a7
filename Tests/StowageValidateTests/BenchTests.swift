// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// `stowage plugins bench` as a user calls it.
@Suite(.serialized) struct BenchTests {
  private struct Report: Decodable {
    struct Result: Decodable {
      struct Times: Decodable { var mean_us, p50_us, p99_us: Double }
      struct Run: Decodable {
        var threads: Int
        var down, up: Times
        var down_pages_per_s, up_pages_per_s: Double
      }
      var name, role: String
      var pages, incompressible: Int
      var ratio: Double
      var runs: [Run]
    }
    var results: [Result]
    var failures: [String]
  }

  private static let plugins = URL(fileURLWithPath: Command.stowage).deletingLastPathComponent()

  private func file(_ name: String) -> String { Self.plugins.appendingPathComponent("lib\(name)-tier.so").path }

  @Test func `transforms and backings are measured over the same pages`() throws {
    let folder = try TemporaryFolder()
    let plot = folder.file("plot.svg").path
    let outcome = try Command.stowage(
      "plugins", "bench", file("lz4"), file("zstd"), file("swapfile"), "--count", "300", "--rounds", "1", "--threads",
      "2",
      "--set", "swapfile.size=16M", "--json", "--plot", plot)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
    #expect(report.results.map(\.name) == ["lz4", "zstd", "swapfile"] && report.failures.isEmpty)
    for result in report.results {
      #expect(result.pages == 300 && result.runs.map(\.threads) == [1, 2])
      for run in result.runs {
        #expect(run.down.mean_us > 0 && run.up.mean_us > 0 && run.down.p99_us >= run.down.p50_us)
        #expect(run.down_pages_per_s > 0 && run.up_pages_per_s > 0)
      }
    }
    // The same pages, and zstd makes them smaller.
    #expect(report.results[1].ratio < report.results[0].ratio && report.results[0].ratio < 1)
    #expect(report.results[2].ratio == 1)
    let drawing = try String(contentsOfFile: plot, encoding: .utf8)
    #expect(drawing.hasPrefix("<svg") && drawing.contains(">lz4 (") && drawing.contains(">swapfile ("))
  }

  @Test func `a plug-in that crashes is a line, and the others are measured`() throws {
    let folder = try TemporaryFolder()
    try TierCompiler.compile("bad-tiers/crash-entry.c", into: folder.url)
    try TierCompiler.compile("bad-tiers/good.c", into: folder.url)
    let outcome = try Command.stowage("plugins", "bench", folder.path, "--count", "50", "--rounds", "1")
    #expect(outcome.status == 1)
    #expect(outcome.output.contains("good"))
    #expect(outcome.errors.contains("crash-entry.tier.so") && outcome.errors.contains("SIGSEGV"))
  }

  @Test func `wrong use is refused`() throws {
    #expect(try Command.stowage("plugins", "bench", "nosuch").status == 2)
    #expect(try Command.stowage("plugins", "bench", file("lz4"), "--count", "0").status == 2)
    #expect(try Command.stowage("plugins", "bench", file("lz4"), "--set", "level=3").status == 2)
    // A name that is not measured is a slip of the pen.
    let other = try Command.stowage("plugins", "bench", file("lz4"), "--set", "zstd.level=19")
    #expect(other.status == 2 && other.output == "")
    let words = "--set zstd.level: no plug-in of this name is measured; measured are lz4"
    #expect(other.errors.contains(words), "\(other.errors)")
    let refused = try Command.stowage("plugins", "bench", file("zstd"), "--set", "zstd.level=1000")
    #expect(refused.status == 2 && refused.errors.contains("'1000' will not do"), "\(refused.errors)")
    let unknown = try Command.stowage("plugins", "bench", file("zstd"), "--set", "zstd.levle=3")
    #expect(unknown.status == 2 && unknown.errors.contains("did you mean 'level'?"), "\(unknown.errors)")
    let missing = try Command.stowage("plugins", "bench", file("lz4"), "--pages", "/nonexistent")
    #expect(missing.status == 2 && missing.errors.contains("/nonexistent"))
  }
}
