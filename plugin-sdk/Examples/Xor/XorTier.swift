// SPDX-License-Identifier: Apache-2.0

// A transform with an option: flips the same bits in every byte. No cipher, but shaped like one.
public import StowageTier

struct XorTier: TransformTier {
  static let about = TierDescription(
    name: "xor", version: "1.0.0", summary: "Flips bits.", priority: 60, access: .transparent, threads: .parallel,
    optional: [.swapSafe, .lengthPreserving, .deterministic],
    options: [.number("mask", "the bits to flip", default: 255, in: 0...255)])

  let mask: UInt8

  init(_ arguments: TierArguments) throws(TierError) { mask = UInt8(try arguments.number("mask")) }

  func encode(_ job: EncodeJob, _: inout NoContext) throws(TierError) -> Int {
    guard job.output.count >= job.input.count else { throw .tooBig }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte ^ mask }
    return job.input.count
  }

  func decode(_ job: DecodeJob, _: inout NoContext) throws(TierError) {
    guard job.output.count == job.input.count else { throw .corrupt }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte ^ mask }
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { XorTier.entry(host) { XorTier.open($0, $1) } }
