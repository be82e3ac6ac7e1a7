// SPDX-License-Identifier: Apache-2.0

// Built twice, as 1.0.0 and as 1.1.0: modules of two names with the same types in them. Each adds a number of its own.
public import StowageTier

struct GoldenTier: TransformTier {
  #if GOLDEN_1_1
    static let about = TierDescription(
      name: "golden-swift", version: "1.1.0", summary: "Adds two.", priority: 500, threads: .parallel)
    private static var added: UInt8 { 2 }
  #else
    static let about = TierDescription(
      name: "golden-swift", version: "1.0.0", summary: "Adds one.", priority: 500, threads: .parallel)
    private static var added: UInt8 { 1 }
  #endif

  /// Not the same in both, so that confusing them shows.
  struct Context {
    #if GOLDEN_1_1
      var before: (UInt64, UInt64) = (1, 2)
    #endif
    var calls: UInt64 = 0
  }

  let host: TierHost

  init(_ arguments: TierArguments) throws(TierError) { host = arguments.host }

  func openContext(for use: TierUse) throws(TierError) -> Context { Context() }

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    context.calls += 1
    guard job.output.count >= job.input.count else { throw .tooBig }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte &+ Self.added }
    return job.input.count
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    context.calls += 1
    guard job.output.count == job.input.count else { throw host.fail(.corrupt, "another length") }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte &- Self.added }
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { GoldenTier.entry(host) { GoldenTier.open($0, $1) } }
