// SPDX-License-Identifier: Apache-2.0
import CCrypto
import CKeyMemory
import StowageTier

/// AES-256-GCM, looked up once: that takes locks and memory. Constant, so threads may share it.
struct Cipher: ~Copyable, @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ host: TierHost) throws(TierError) {
    guard let cipher = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
      throw host.fail(.unsupported, "OpenSSL offers no AES-256-GCM: \(openSSLReason())")
    }
    pointer = cipher
  }

  deinit { EVP_CIPHER_free(pointer) }
}

/// Runs OpenSSL with its allocations in secret memory of the host: what it makes of keys is neither in a core dump nor,
/// where the system lets us lock it, on a swap disk.
func withKeyMemory<Result>(_ host: TierHost, _ body: () -> Result) -> Result {
  // What OpenSSL keeps for longer is made now: its notes on errors, one set for each thread.
  ERR_clear_error()
  let table = host.table.pointee
  stowage_key_memory_begin(table.memory_allocate, table.memory_free, host.owner, TierMemory.secret.rawValue)
  defer { stowage_key_memory_end() }
  return body()
}

/// Whether OpenSSL allocates as `withKeyMemory` says. Not if it was in use before this tier was loaded.
let hasKeyMemory = stowage_key_memory_install()

/// Tells the host that OpenSSL's last call on this thread failed: "OpenSSL could not encrypt: ...".
func openSSLFailure(_ host: TierHost, _ action: String) -> TierError {
  let isOutOfMemory = stowage_is_out_of_memory(ERR_peek_last_error())
  return host.fail(isOutOfMemory ? .retry : .io, "OpenSSL could not \(action): \(openSSLReason())")
}

/// Why OpenSSL's last call on this thread failed.
func openSSLReason() -> String {
  let code = ERR_peek_last_error()
  ERR_clear_error()
  guard code != 0, let text = ERR_reason_error_string(code) else { return "no reason given" }
  return String(cString: text)
}

/// SHA-256 of bytes that are no secret.
func sha256(_ bytes: some Sequence<UInt8>, _ host: TierHost) throws(TierError) -> [UInt8] {
  var hash = [UInt8](repeating: 0, count: 32)
  let input = Array(bytes)
  guard stowage_sha256(&hash, input, input.count) else { throw openSSLFailure(host, "hash") }
  return hash
}
