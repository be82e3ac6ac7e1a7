// SPDX-License-Identifier: Apache-2.0
import CCrypto
public import StowageTier

/// AES-256-GCM: everything below it, on its way out of RAM, is enciphered and authenticated.
///
/// The cipher is fetched once; each context sets the key once and then only the nonce for each object.
struct AesGcmTier: TransformTier {
  static let about = TierDescription(
    name: "aes-gcm", version: "0.9.0", summary: "Encryption with AES-256-GCM, under a key of this run.", priority: 800,
    lifetime: .transient, access: .transparent, threads: .parallel, required: [.mandatory],
    optional: [.lengthPreserving, .integrity, .swapSafe, .deterministic], sidecarLength: 16,
    vendor: "Stowage", licence: "Apache-2.0")

  struct Context {
    /// OpenSSL's contexts, with the key set; nil if not for this use.
    var encryption: OpaquePointer?
    var decryption: OpaquePointer?
  }

  let host: TierHost
  let key: SubKey
  let cipher: OpaquePointer

  init(_ arguments: TierArguments) throws(TierError) {
    let host = arguments.host
    guard let cipher = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
      throw host.fail(.unsupported, "OpenSSL offers no AES-256-GCM: \(openSSLReason())")
    }
    do throws(TierError) {
      key = try SubKey(instance: arguments.instanceName, epoch: arguments.epoch, host)
    } catch {
      EVP_CIPHER_free(cipher)
      throw error
    }
    self.cipher = cipher
    self.host = host
  }

  mutating func close() {
    key.close(host)
    EVP_CIPHER_free(cipher)
  }

  func openContext(for use: TierUse) throws(TierError) -> Context {
    var context = Context()
    if use.contains(.encode) {
      context.encryption = EVP_CIPHER_CTX_new()
      guard EVP_EncryptInit_ex2(context.encryption, cipher, key.bytes, nil, nil) > 0 else {
        closeContext(&context)
        throw failure
      }
    }
    if use.contains(.decode) {
      context.decryption = EVP_CIPHER_CTX_new()
      guard EVP_DecryptInit_ex2(context.decryption, cipher, key.bytes, nil, nil) > 0 else {
        closeContext(&context)
        throw failure
      }
    }
    return context
  }

  /// OpenSSL wipes the key schedule as it frees.
  func closeContext(_ context: inout Context) {
    EVP_CIPHER_CTX_free(context.encryption)
    EVP_CIPHER_CTX_free(context.decryption)
  }

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    let count = job.input.count
    guard job.output.count >= count else { throw .tooBig }
    guard let encryption = context.encryption, let tag = job.sidecar else { throw misuse }
    let input = job.input.bindMemory(to: UInt8.self).baseAddress
    let output = job.output.bindMemory(to: UInt8.self).baseAddress
    let done = ObjectBinding(job.object).withBytes { nonce, associated in
      var length: Int32 = 0
      // GCM is a stream: as many bytes out as in, and none at the end.
      return EVP_EncryptInit_ex2(encryption, nil, nil, nonce, nil) > 0
        && EVP_EncryptUpdate(encryption, nil, &length, associated, Int32(ObjectBinding.associatedLength)) > 0
        && (count == 0
          || EVP_EncryptUpdate(encryption, output, &length, input, Int32(truncatingIfNeeded: count)) > 0)
        && EVP_EncryptFinal_ex(encryption, output, &length) > 0
        && stowage_gcm_get_tag(encryption, tag)
    }
    guard done else { throw failure }
    return count
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    let count = job.output.count
    guard job.input.count == count else {
      throw host.fail(.authentication, "an encrypted object has the wrong length")
    }
    guard let decryption = context.decryption, let tag = job.sidecar else { throw misuse }
    let input = job.input.bindMemory(to: UInt8.self).baseAddress
    let output = job.output.bindMemory(to: UInt8.self).baseAddress
    let genuine = ObjectBinding(job.object).withBytes { nonce, associated in
      var length: Int32 = 0
      return EVP_DecryptInit_ex2(decryption, nil, nil, nonce, nil) > 0
        && EVP_DecryptUpdate(decryption, nil, &length, associated, Int32(ObjectBinding.associatedLength)) > 0
        && (count == 0
          || EVP_DecryptUpdate(decryption, output, &length, input, Int32(truncatingIfNeeded: count)) > 0)
        && stowage_gcm_set_tag(decryption, tag)
        && EVP_DecryptFinal_ex(decryption, output, &length) > 0
    }
    guard genuine else {
      // What was deciphered before the tag was checked must not be seen by anyone.
      host.wipe(job.output)
      ERR_clear_error()
      throw host.fail(.authentication, "an encrypted object is not genuine: damaged, or of another key or place")
    }
  }

  private var failure: TierError { host.fail(.io, "OpenSSL could not encrypt: \(openSSLReason())") }

  private var misuse: TierError {
    host.fail(.invalid, "a context for the wrong use, or no room for the tag")
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? { AesGcmTier.entry(host) { AesGcmTier.open($0, $1) } }
