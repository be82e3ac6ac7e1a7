// SPDX-License-Identifier: Apache-2.0
import CLZ4
public import StowageTier

/// LZ4: the fastest of the compressors, for the level right below the store.
///
/// The `extState` form clears its 16 KiB hash table for every page. The form that does not saves 3 % of the
/// time, but its output depends on the pages before, and shared builds of the library do not export it.
struct Lz4Tier: TransformTier {
  static let about = TierDescription(
    name: "lz4", version: "0.9.0", summary: "Fast compression with LZ4.", priority: 100,
    lifetime: .transient, access: .terminal, threads: .parallel, optional: [.swapSafe, .deterministic],
    options: [
      .number(
        "acceleration", "speed over ratio: 1 compresses best, each step is some 3 % faster", default: 1, in: 1...65537)
    ],
    vendor: "Stowage", licence: "Apache-2.0")

  struct Context {
    /// The compressor's state; empty in contexts that only decode.
    let state: UnsafeMutableRawBufferPointer
  }

  let host: TierHost
  let acceleration: Int32

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    acceleration = Int32(truncatingIfNeeded: try arguments.number("acceleration"))
  }

  func openContext(for use: TierUse) throws(TierError) -> Context {
    guard use.contains(.encode) else { return Context(state: UnsafeMutableRawBufferPointer(start: nil, count: 0)) }
    // Plain memory: the state holds places in the input, never its bytes.
    return Context(state: try host.allocate(Int(LZ4_sizeofState()), alignment: 64))
  }

  func closeContext(_ context: inout Context) { host.free(context.state) }

  // LZ4 keeps to the lengths it is given, on both sides, and both buffers are the caller's until we return.
  // Lengths are at most a page, so they fit its `int`.

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    let length = LZ4_compress_fast_extState(
      context.state.baseAddress, job.input.baseAddress, job.output.baseAddress,
      Int32(truncatingIfNeeded: job.input.count), Int32(truncatingIfNeeded: job.output.count), acceleration)
    guard length > 0 else { throw .tooBig }
    return Int(length)
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    let length = LZ4_decompress_safe(
      job.input.baseAddress, job.output.baseAddress, Int32(truncatingIfNeeded: job.input.count),
      Int32(truncatingIfNeeded: job.output.count))
    guard Int(length) == job.output.count else {
      throw host.fail(.corrupt, "the LZ4 block is damaged")
    }
  }
}

private let describe = DescribeExtension {
  DescribeExtension.write("liblz4 \(String(cString: LZ4_versionString()))", $0, $1, $2)
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
  Lz4Tier.entry(host) { Lz4Tier.open($0, $1) } extensions: { describe.table($0) }
}
