// SPDX-License-Identifier: Apache-2.0
import StowageTier

/// What ties a ciphertext to its object: nonce and associated data, in one run of bytes on the stack.
///
///     0   8   id, little-endian          nonce, 12 bytes
///     8   4   zero
///     12  8   id                         associated data, 20 bytes
///     20  4   epoch
///     24  4   length
///     28  4   flags
///
/// The id is never used for two encodings under one key: the host promises that within an instance, and each
/// instance has a key of its own.
struct ObjectBinding {
  private var words: (UInt64, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32)

  static let nonceLength = 12
  static let associatedLength = 20

  init(_ object: UnsafePointer<stowage_object>) {
    let id = object.pointee.id
    // The id in two halves, as it stands at a place that is no multiple of 8 the second time.
    words = (
      id.littleEndian, 0,
      UInt32(truncatingIfNeeded: id).littleEndian, UInt32(truncatingIfNeeded: id >> 32).littleEndian,
      object.pointee.epoch.littleEndian, object.pointee.length.littleEndian, object.pointee.flags.littleEndian
    )
  }

  /// Lends both, in this order; valid during the call.
  func withBytes<Result>(_ body: (UnsafePointer<UInt8>, UnsafePointer<UInt8>) -> Result) -> Result {
    withUnsafeBytes(of: words) { bytes in
      // 32 bytes without padding between them, so both places lie inside.
      let start = bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
      return body(start, start + ObjectBinding.nonceLength)
    }
  }
}
