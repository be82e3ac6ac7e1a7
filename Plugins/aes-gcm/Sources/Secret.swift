// SPDX-License-Identifier: Apache-2.0
import CCrypto
import StowageTier

/// Bytes in secret memory of the host, wiped when this value ends, on whatever way.
///
/// They belong to this value alone and do not change once they are there, so it may go from thread to thread.
struct Secret: ~Copyable, @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer
  private let host: TierHost

  /// How long keys, salts and hashes are.
  static let keyLength = 32

  init(_ host: TierHost, count: Int = Secret.keyLength) throws(TierError) {
    bytes = try host.allocate(count, .secret)
    self.host = host
  }

  /// A key of its own use, derived from a key by HKDF-SHA256. Salt and info are no secrets.
  static func derived(
    from key: UnsafeRawPointer, salt: ArraySlice<UInt8>, info: [UInt8], _ host: TierHost
  ) throws(TierError) -> Secret {
    let derived = try Secret(host)
    try deriveKey(to: derived.address, from: key, salt: salt, info: info, host)
    return derived
  }

  /// `allocate` gives an address or throws.
  var address: UnsafeMutableRawPointer { bytes.baseAddress.unsafelyUnwrapped }

  deinit {
    host.wipe(bytes)
    host.free(bytes, .secret)
  }
}

/// HKDF-SHA256: 32 bytes from 32, a salt of 32, and a text that names the use.
func deriveKey(
  to output: UnsafeMutableRawPointer, from key: UnsafeRawPointer, salt: ArraySlice<UInt8>, info: [UInt8],
  _ host: TierHost
) throws(TierError) {
  _ = derivationIsReady
  let salt = Array(salt)
  precondition(salt.count == Secret.keyLength)
  let done = withKeyMemory(host) { stowage_hkdf_sha256(output, key, salt, info, info.count) }
  guard done else { throw openSSLFailure(host, "derive a key") }
}

/// What OpenSSL looks up and keeps at the first derivation, it does here with nothing secret at hand: it is to lie in
/// ordinary memory, as it stays.
let derivationIsReady: Bool = {
  let nothing = [UInt8](repeating: 0, count: Secret.keyLength)
  var output = nothing
  return stowage_hkdf_sha256(&output, nothing, nothing, nothing, 1)
    && stowage_hmac_sha256(&output, nothing, nothing, 1)
    && stowage_scrypt(&output, nothing, 1, nothing, 2, 1, 1, 1 << 20)
}()
