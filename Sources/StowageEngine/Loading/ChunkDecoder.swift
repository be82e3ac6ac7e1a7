// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// How the decoding of a chunk ended.
enum DecodedChunk {
  /// The chunk is the raw page.
  case inPlace(UnsafeRawPointer)
  /// It is in the buffer given.
  case decoded
  /// The tier's code; CORRUPT when the checksum does not match.
  case failed(Int32)
}

extension Engine {
  /// Checks a chunk and decodes it with its codec's tier. Without the lock; the bytes must stay in place meanwhile.
  @inline(__always) func decodeChunk(
    _ context: Context, codec: Int, _ address: UnsafeRawPointer, length: Int, id: UInt64, checksum expected: UInt32,
    discardable: Bool, into page: UnsafeMutableRawPointer
  ) -> DecodedChunk {
    guard codec > 0 else { return .inPlace(address) }
    guard checksum(address, length, id: id, epoch: epochs.codec(codec).epoch) == expected else {
      HostTable.clearError()
      return .failed(STOWAGE_CORRUPT)
    }
    return decodeUnchecked(
      context, codec: codec, address, length: length, id: id, discardable: discardable, into: page)
  }

  /// The same for a chunk whose bytes were checked as part of its frame.
  @inline(__always) func decodeUnchecked(
    _ context: Context, codec number: Int, _ address: UnsafeRawPointer, length: Int, id: UInt64, discardable: Bool,
    into page: UnsafeMutableRawPointer
  ) -> DecodedChunk {
    let codec = epochs.codec(number)
    let level = Int(codec.level)
    if length == pageSize, plan.levels[level].isCompressor { return .inPlace(address) }
    let tier = calls[level].unsafelyUnwrapped
    var object = stowage_object(
      id: id, epoch: codec.epoch, length: UInt32(pageSize),
      flags: discardable ? UInt32(STOWAGE_OBJECT_DISCARDABLE) : 0, reserved: 0)
    let result = tier.decode(
      context.pointee.tiers[level], &object, address, length: length, page, sidecar: nil)
    return result == STOWAGE_OK ? .decoded : .failed(result)
  }
}
