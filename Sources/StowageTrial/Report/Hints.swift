// SPDX-License-Identifier: Apache-2.0

extension TrialReport {
  /// How the trial was started, as far as hints depend on it.
  public struct Situation: Sendable {
    /// Whether processes or files were named.
    private let namesInput: Bool
    public var namesConfiguration: Bool
    /// A process whose memory was taken without being named; nil when there is none.
    public var process: Int32?

    public init(plan: TrialPlan, namesConfiguration: Bool) {
      namesInput = !plan.input.pids.isEmpty || !plan.input.files.isEmpty
      self.namesConfiguration = namesConfiguration
      process = namesInput ? nil : plan.largestProcess
    }
  }

  /// What could be tried next, from what happened.
  public func hints(_ situation: Situation) -> [String] {
    var hints: [String] = []
    let wholeSizes = ramLimitBytes >> 20
    if full != nil {
      let backing = situation.namesConfiguration ? "a larger backing" : "a larger --swap-size"
      hints.append("the chain was full: give it a larger --memory, or \(backing)")
    } else if skips == 0 {
      hints.append("no level was skipped: --memory \(max(1, wholeSizes / 2))M leaves less room for the burst")
    } else {
      hints.append("more room, fewer skips: --memory \(max(1, wholeSizes * 2))M")
    }
    if ramPeakBytes > ramLimitBytes + ramLimitBytes / 10 {
      hints.append("RAM went above the limit by more than a tenth: please report it, with the output of --json")
    }
    if let pid = situation.process {
      hints.append("the memory of one process: --pid \(pid); to keep it: stowage capture --pid \(pid) --out pages")
    }
    let unused = levels.filter { $0.pagesEntered == 0 }.map(\.name)
    if !unused.isEmpty {
      let names = unused.joined(separator: ", ")
      hints.append("no page came to \(names): a smaller --memory or more --pages reaches further down")
    }
    if !situation.namesConfiguration {
      if levels.contains(where: { $0.name == "zstd" }) {
        hints.append("another balance of time and size: --set zstd.level=19")
      }
      hints.append("tiers in another order, or with limits of their own: --config FILE")
      hints.append("which tiers there are: stowage plugins list")
    }
    hints.append("the same order again: --seed \(seed)")
    return hints
  }
}
