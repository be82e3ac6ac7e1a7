// SPDX-License-Identifier: Apache-2.0
import CCrypto
import StowageTier

/// What `state_save` gives. Little-endian.
///
///     0     8    "stwaesgc"
///     8     4    version of this layout: 1
///     12    4    number of epochs n, at most 4096
///     16    96   the wrapped session key, see `KeyEnvelope`
///     112   56n  the epochs, see `EpochList`
///     -48   32   HMAC-SHA256 of all bytes before, under a key derived from the session key
///     -16   16   the first bytes of SHA-256 of all bytes before
///
/// In every version the last 16 bytes are that checksum: it tells damage apart from another key.
struct SavedKeys: Sendable {
  private static let words = Array("stwaesgc".utf8)
  private static let version: UInt32 = 1
  private static let headLength = 16 + KeyEnvelope.length
  private static let codeLength = 32
  private static let sumLength = 16

  let envelope: KeyEnvelope
  let epochs: EpochList
  /// All but the checksum.
  private let bytes: [UInt8]

  static func length(epochs: Int) -> Int { headLength + epochs * EpochList.entryLength + codeLength + sumLength }

  /// Reads a state, as far as that is possible without a key.
  init(_ state: UnsafeRawBufferPointer, _ host: TierHost) throws(TierError) {
    let damaged = "the saved keys are damaged: nothing that was encrypted with them can be read"
    guard state.count >= SavedKeys.length(epochs: 0), state.count <= SavedKeys.length(epochs: EpochList.limit),
      state.starts(with: SavedKeys.words)
    else { throw host.fail(.corrupt, "\(damaged) (\(state.count) bytes that are no state of this tier)") }
    bytes = Array(state.dropLast(SavedKeys.sumLength))
    guard try sha256(bytes, host).prefix(SavedKeys.sumLength).elementsEqual(state.suffix(SavedKeys.sumLength)) else {
      throw host.fail(.corrupt, "\(damaged) (their checksum is wrong)")
    }
    let version = bytes.number(at: 8)
    guard version == SavedKeys.version else {
      throw host.fail(
        .unsupported, "the saved keys have version \(version), this tier knows version \(SavedKeys.version); "
          + "use the tier that saved them")
    }
    let count = Int(bytes.number(at: 12))
    guard count <= EpochList.limit, SavedKeys.length(epochs: count) == state.count else {
      throw host.fail(.corrupt, "\(damaged) (\(count) epochs do not fit \(state.count) bytes)")
    }
    envelope = KeyEnvelope(bytes[16..<SavedKeys.headLength])
    epochs = EpochList(bytes[SavedKeys.headLength..<bytes.count - SavedKeys.codeLength])
    guard envelope.derivation.isSane else {
      throw host.fail(
        .corrupt, "\(damaged) (key source \(envelope.derivation.sourceNumber), or scrypt with more memory or work than "
          + "\(KeyDerivation.memoryLimit >> 20) MiB and some seconds)")
    }
  }

  /// Whether who wrote the state had the session key: another could have put other epochs into it.
  func check(_ sessionKey: borrowing Secret, _ host: TierHost) throws(TierError) {
    let covered = bytes.dropLast(SavedKeys.codeLength)
    let code = try SavedKeys.code(covered, UnsafeRawPointer(sessionKey.address), envelope, host)
    let isRight = code.withUnsafeBytes { code in
      bytes.withUnsafeBytes { bytes in
        CRYPTO_memcmp(code.baseAddress, bytes.baseAddress.map { $0 + covered.count }, SavedKeys.codeLength) == 0
      }
    }
    guard isRight, !epochs.hasRepeats else {
      throw host.fail(.authentication, "the saved keys were altered by someone who does not have the key")
    }
  }

  /// The bytes of a state.
  static func bytes(
    _ envelope: KeyEnvelope, _ epochs: EpochList, _ sessionKey: UnsafeRawPointer, _ host: TierHost
  ) throws(TierError) -> [UInt8] {
    var bytes = words + version.littleEndianBytes + UInt32(epochs.count).littleEndianBytes
    bytes += envelope.bytes + epochs.bytes
    bytes += try code(bytes[...], sessionKey, envelope, host)
    return bytes + (try sha256(bytes, host)).prefix(sumLength)
  }

  private static func code(
    _ bytes: ArraySlice<UInt8>, _ sessionKey: UnsafeRawPointer, _ envelope: KeyEnvelope, _ host: TierHost
  ) throws(TierError) -> [UInt8] {
    let info = Array("stowage aes-gcm 2: state".utf8)
    let key = try Secret.derived(from: sessionKey, salt: envelope.derivation.salt, info: info, host)
    var code = [UInt8](repeating: 0, count: codeLength)
    let input = Array(bytes)
    let done = withKeyMemory(host) { stowage_hmac_sha256(&code, key.address, input, input.count) }
    guard done else { throw openSSLFailure(host, "hash") }
    return code
  }
}
