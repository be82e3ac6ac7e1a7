// SPDX-License-Identifier: Apache-2.0
import CZstd
public import StowageTier

/// Zstandard: a better ratio than LZ4, for the level below it.
///
/// Compressor and decompressor live in the host's memory, sized once for the page size, so that no page ever
/// makes them allocate.
struct ZstdTier: TransformTier {
  static let about = TierDescription(
    name: "zstd", version: "0.9.0", summary: "Good compression with Zstandard.", priority: 200,
    lifetime: .transient, access: .terminal, threads: .parallel, optional: [.swapSafe, .deterministic],
    options: [
      .number("level", "1 to 22: more compresses better and slower; below 0 is faster still", default: 3, in: -7...22)
    ],
    vendor: "Stowage", licence: "Apache-2.0")

  /// The memory holds literals of the pages, hence `.secret`.
  struct Context {
    var encoderMemory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    var decoderMemory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// In the memory above; nil if the context is not for this use.
    var encoder: OpaquePointer?
    var decoder: OpaquePointer?
  }

  let host: TierHost
  let level: Int32
  let pageSize: Int

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    level = Int32(truncatingIfNeeded: try arguments.number("level"))
    pageSize = arguments.pageSize
  }

  func openContext(for use: TierUse) throws(TierError) -> Context {
    var context = Context()
    do throws(TierError) {
      if use.contains(.encode) {
        context.encoderMemory = try allocate(stowage_zstd_encoder_size(level, pageSize))
        context.encoder = context.encoderMemory.baseAddress.flatMap {
          stowage_zstd_encoder($0, context.encoderMemory.count, level, pageSize)
        }
        guard context.encoder != nil else { throw refusal }
      }
      if use.contains(.decode) {
        context.decoderMemory = try allocate(stowage_zstd_decoder_size())
        context.decoder = context.decoderMemory.baseAddress.flatMap {
          stowage_zstd_decoder($0, context.decoderMemory.count)
        }
        guard context.decoder != nil else { throw refusal }
      }
    } catch {
      closeContext(&context)
      throw error
    }
    return context
  }

  func closeContext(_ context: inout Context) {
    host.free(context.encoderMemory, .secret)
    host.free(context.decoderMemory, .secret)
  }

  private func allocate(_ size: Int) throws(TierError) -> UnsafeMutableRawBufferPointer {
    try host.allocate(size, alignment: 64, .secret)
  }

  private var refusal: TierError {
    host.fail(.unsupported, "this build of libzstd (\(String(cString: ZSTD_versionString()))) refuses its settings")
  }

  // Zstandard keeps to the lengths it is given, on both sides, and both buffers are the caller's until we return.

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    let length = ZSTD_compress2(
      context.encoder, job.output.baseAddress, job.output.count, job.input.baseAddress, job.input.count)
    if ZSTD_isError(length) == 0 { return length }
    guard ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall else {
      throw host.fail(.io, "zstd could not compress: \(String(cString: ZSTD_getErrorName(length)))")
    }
    throw .tooBig
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    guard stowage_zstd_is_one_frame(job.input.baseAddress, job.input.count) else {
      throw host.fail(.corrupt, "the zstd frame is damaged")
    }
    let length = ZSTD_decompressDCtx(
      context.decoder, job.output.baseAddress, job.output.count, job.input.baseAddress, job.input.count)
    // An error is a huge length.
    guard length == job.output.count else { throw host.fail(.corrupt, "the zstd frame is damaged") }
  }
}

private let describe = DescribeExtension { DescribeExtension.write("libzstd \(String(cString: ZSTD_versionString()))", $0, $1, $2) }

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
  ZstdTier.entry(host) { ZstdTier.open($0, $1) } extensions: { describe.table($0) }
}
