// SPDX-License-Identifier: Apache-2.0
//
// One part of the benchmark in one process: the store through its public interface, and what it is compared with, over the
// pages of a file. Prints one JSON object; Benchmarks/driver runs the parts, adds other processes, and makes tables of it.
//
//   store-bench PART PAGES-FILE [--plugins FOLDER] [--folder FOLDER] [--rounds N] [--pages N] [--quick] ...
// Exported, so that every file here has it.
@_exported public import BenchSupport

@main
enum StoreBench {
  static func main() {
    runBenchmark("store-bench") {
      let options = try BenchOptions(CommandLine.arguments)
      var report = Report(part: options.part)
      switch options.part {
      case "codecs": try CodecCost(options).run(&report)
      case "churn": try Churn(options).run(&report)
      case "overhead": try Overhead(options).run(&report)
      case "front": try ChainFront(options).run(&report)
      case "threads": try ThreadRates(options).run(&report)
      case "scale": try Scale(options).run(&report)
      case "demotion": try DemotionRate(options).run(&report)
      case "devices": try DeviceCost(options).run(&report)
      case "latency": try Latency(options).run(&report)
      case "swap": try SwapPressure(options).run(&report)
      case "swap-store": try StorePressure(options).run(&report)
      case "nbd": try NBDLoad(options).run(&report)
      default: throw Failure("there is no part '\(options.part)'")
      }
      try report.write()
    }
  }
}
