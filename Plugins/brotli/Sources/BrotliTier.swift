// SPDX-License-Identifier: Apache-2.0
import CBrotli
public import StowageTier

/// Brotli: the best ratio of the compressors, for the level above the cipher and the disk.
struct BrotliTier: TransformTier {
  static let about = TierDescription(
    name: "brotli", version: "0.9.0", summary: "Strong compression with Brotli.", priority: 300,
    lifetime: .transient, access: .transparent, threads: .parallel, optional: [.deterministic],
    options: [
      .number("quality", "0 to 11: more compresses better and slower", default: 5, in: 0...11)
    ],
    vendor: "Stowage", licence: "Apache-2.0")

  /// Base-2 logarithm of the window: 64 KiB, the largest page. A smaller one saves no memory, as both sides
  /// go by the input, and costs 6 bits more in the stream.
  private static var window: UInt32 { 16 }

  /// The memory of a codec holds bytes of the pages; the arena takes it from the host as secret.
  struct Context {
    var arena: Arena
  }

  let host: TierHost
  let quality: UInt32
  let pageSize: Int

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    quality = UInt32(truncatingIfNeeded: try arguments.number("quality"))
    pageSize = arguments.pageSize
  }

  func openContext(for use: TierUse) throws(TierError) -> Context {
    let size = max(
      use.contains(.encode) ? BrotliTier.encoderMemory(quality, pageSize) : 0,
      use.contains(.decode) ? BrotliTier.decoderMemory(pageSize) : 0)
    return Context(arena: try Arena(size: size, host))
  }

  func closeContext(_ context: inout Context) { context.arena.free() }

  /// What Brotli 1.0.9 was seen to ask for, and some more. Qualities 10 and 11 take up to 10 MiB for a page of
  /// 64 KiB; as they take milliseconds, they may as well get the rest from the host.
  private static func encoderMemory(_ quality: UInt32, _ pageSize: Int) -> Int {
    switch quality {
    case ..<4: 384 << 10 + 10 * pageSize
    case ..<9: 640 << 10 + 18 * pageSize
    default: 1536 << 10 + 18 * pageSize
    }
  }

  private static func decoderMemory(_ pageSize: Int) -> Int { 64 << 10 + 4 * pageSize }

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    context.arena.reset()
    return try withUnsafeMutablePointer(to: &context.arena) { (arena) throws(TierError) in
      guard let encoder = BrotliEncoderCreateInstance(allocateFromArena, releaseToArena, arena) else {
        throw noMemory
      }
      defer { BrotliEncoderDestroyInstance(encoder) }
      BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, quality)
      BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, BrotliTier.window)
      BrotliEncoderSetParameter(encoder, BROTLI_PARAM_SIZE_HINT, UInt32(truncatingIfNeeded: job.input.count))

      // Both buffers are the caller's until we return; Brotli keeps to the lengths that go with them.
      var inputLeft = job.input.count
      var input = job.input.bindMemory(to: UInt8.self).baseAddress
      var outputLeft = job.output.count
      var output = job.output.bindMemory(to: UInt8.self).baseAddress
      let done = BrotliEncoderCompressStream(
        encoder, BROTLI_OPERATION_FINISH, &inputLeft, &input, &outputLeft, &output, nil)
      guard done != 0 else { throw noMemory }
      guard BrotliEncoderIsFinished(encoder) != 0 else { throw .tooBig }
      return job.output.count - outputLeft
    }
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    guard BrotliTier.hasOurWindow(job.input) else { throw damaged }
    context.arena.reset()
    try withUnsafeMutablePointer(to: &context.arena) { (arena) throws(TierError) in
      guard let decoder = BrotliDecoderCreateInstance(allocateFromArena, releaseToArena, arena) else {
        throw noMemory
      }
      defer { BrotliDecoderDestroyInstance(decoder) }
      var inputLeft = job.input.count
      var input = job.input.bindMemory(to: UInt8.self).baseAddress
      var outputLeft = job.output.count
      var output = job.output.bindMemory(to: UInt8.self).baseAddress
      let result = BrotliDecoderDecompressStream(decoder, &inputLeft, &input, &outputLeft, &output, nil)
      // The whole of the input for the whole of the output, or something is wrong with it.
      guard result == BROTLI_DECODER_RESULT_SUCCESS, inputLeft == 0, outputLeft == 0 else {
        throw damaged
      }
    }
  }

  /// A damaged stream could claim a window of 16 MiB and have the decoder ask for as much. Ours begin with the
  /// bit 0 for 16, or, as the two fastest qualities insist, with 1000 (from the lowest bit) or 1100 for 17 and 18.
  private static func hasOurWindow(_ input: UnsafeRawBufferPointer) -> Bool {
    guard let first = input.first else { return false }
    return first & 1 == 0 || first & 0b1110 == 0b0010
  }

  private var damaged: TierError { host.fail(.corrupt, "the Brotli stream is damaged") }

  private var noMemory: TierError { host.fail(.retry, "Brotli got no memory from the host") }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { BrotliTier.entry(host) { BrotliTier.open($0, $1) } }
