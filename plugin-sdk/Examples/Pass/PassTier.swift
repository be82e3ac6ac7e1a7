// SPDX-License-Identifier: Apache-2.0

// The smallest tier there is: hands everything on as it came.
public import StowageTier

struct PassTier: TransformTier {
  static let about = TierDescription(name: "pass", version: "1.0.0", summary: "Changes nothing.", priority: 50)
  init(_ arguments: TierArguments) {}
  func encode(_ job: EncodeJob, _: inout NoContext) throws(TierError) -> Int { try job.copy() }
  func decode(_ job: DecodeJob, _: inout NoContext) throws(TierError) { try job.copy() }
}
@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { PassTier.entry(host) { PassTier.open($0, $1) } }
