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
      hints.append("the chain was full: give it a larger --swap-size, or a larger --memory")
    } else if skips == 0 {
      hints.append("no level was skipped: --memory \(max(1, wholeSizes / 2))M leaves less room for the burst")
    } else {
      hints.append("more room, fewer skips: --memory \(max(1, wholeSizes * 2))M")
    }
    if ramPeakBytes > ramLimitBytes + ramLimitBytes / 10 {
      hints.append("the peak of RAM was above the limit by more than a tenth: please report it, with --json's output")
    }
    if let pid = situation.process {
      hints.append("the memory of one process: --pid \(pid); to keep it: stowage capture --pid \(pid) --out pages")
    }
    let unused = levels.filter { $0.pagesEntered == 0 }.map(\.name)
    if !unused.isEmpty {
      hints.append("no page came to \(unused.joined(separator: ", ")): a smaller --memory or more --pages reaches further down")
    }
    if !situation.namesConfiguration {
      hints.append("tiers in another order or with other options, such as zstd at level 19: --config FILE, or --set zstd.level=19")
      hints.append("which tiers there are: stowage plugins list")
    }
    hints.append("the same order again: --seed \(seed)")
    return hints
  }
}
