// SPDX-License-Identifier: Apache-2.0
import CCrypto
public import StowageTier
import Synchronization

/// AES-256-GCM: everything below it, on its way out of RAM, is enciphered and authenticated.
///
/// Each context holds its key expanded and gets only the nonce for each object. Encoding is under the instance's own
/// subkey always; decoding under the one of the object's epoch.
struct AesGcmTier: TransformTier, RekeyTier, ~Copyable, Sendable {
  static let about = TierDescription(
    name: "aes-gcm", version: "0.9.0", summary: "Encryption with AES-256-GCM.", priority: 800,
    lifetime: .transient, access: .transparent, threads: .parallel, required: [.mandatory],
    optional: [.lengthPreserving, .integrity, .swapSafe, .deterministic], sidecarLength: 16, offers: .state,
    options: [
      .path("key-file", "a file of 32 random bytes, for its owner only: with it sessions can be read in later runs"),
      .text("passphrase", "does the same as a key file; asked for, never on the command line", secret: true),
    ],
    vendor: "Stowage", licence: "Apache-2.0")

  struct Context {
    /// OpenSSL's contexts, with the key set; nil if not for this use.
    var encryption: OpaquePointer?
    var decryption: OpaquePointer?
    /// Whose subkey `decryption` has; nil after it could not be changed.
    var epoch: UInt32?
  }

  let host: TierHost
  let cipher: Cipher
  /// Constant once contexts are open.
  private var ring: KeyRing
  private let vault: Mutex<Vault>
  private let instanceName: String
  private var isContinued = false
  private let hasContexts = Atomic(false)
  private let hasEncoders = Atomic(false)

  init(_ arguments: TierArguments) throws(TierError) {
    let host = arguments.host
    let cipher = try Cipher(host)
    let master = try MasterKey.given(arguments)
    let sessionKey = try Secret(host)
    try host.fillRandom(sessionKey.bytes)
    var epochs = EpochList()
    try epochs.append(arguments.epoch, name: arguments.instanceName, host)
    ring = try KeyRing(sessionKey, epochs, host)
    vault = Mutex(Vault(master: master))
    instanceName = arguments.instanceName
    self.cipher = cipher
    self.host = host
    if !hasKeyMemory {
      host.log(.warning, "OpenSSL was in use before this tier: expanded keys lie in ordinary memory, and in core dumps")
    }
  }

  // MARK: Contexts

  func openContext(for use: TierUse) throws(TierError) -> Context {
    var context = Context()
    hasContexts.store(true, ordering: .relaxed)
    if use.contains(.encode) {
      hasEncoders.store(true, ordering: .relaxed)
      context.encryption = try expand { [cipher = cipher.pointer, key = ring.ownSubkey] in
        EVP_EncryptInit_ex2($0, cipher, key, nil, nil)
      }
    }
    guard use.contains(.decode) else { return context }
    do throws(TierError) {
      context.decryption = try expand { [cipher = cipher.pointer, key = ring.ownSubkey] in
        EVP_DecryptInit_ex2($0, cipher, key, nil, nil)
      }
      context.epoch = ring.ownEpoch
    } catch {
      closeContext(&context)
      throw error
    }
    return context
  }

  /// A context of OpenSSL, made and given its key with all its memory being secret.
  private func expand(_ setKey: (OpaquePointer) -> Int32) throws(TierError) -> OpaquePointer {
    let made = withKeyMemory(host) { () -> OpaquePointer? in
      guard let context = EVP_CIPHER_CTX_new() else { return nil }
      if setKey(context) > 0 { return context }
      EVP_CIPHER_CTX_free(context)
      return nil
    }
    guard let made else { throw openSSLFailure(host, "set a key") }
    return made
  }

  /// OpenSSL wipes the expanded key as it frees.
  func closeContext(_ context: inout Context) {
    EVP_CIPHER_CTX_free(context.encryption)
    EVP_CIPHER_CTX_free(context.decryption)
  }

  // MARK: Data

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    let count = job.input.count
    guard job.output.count >= count else { throw .tooBig }
    guard let encryption = context.encryption, let tag = job.sidecar else { throw misuse }
    guard job.object.pointee.epoch == ring.ownEpoch else {
      throw host.fail(.invalid, "an object of epoch \(job.object.pointee.epoch) to encrypt, not of \(ring.ownEpoch)")
    }
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
    guard done else { throw openSSLFailure(host, "encrypt") }
    return count
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    let count = job.output.count
    guard job.input.count == count else {
      throw host.fail(.authentication, "an encrypted object has the wrong length")
    }
    guard let decryption = context.decryption, let tag = job.sidecar else { throw misuse }
    if context.epoch != job.object.pointee.epoch { try setKey(of: job.object.pointee.epoch, decryption, &context) }
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

  /// Expands the subkey of another epoch in place of the last one; that allocates nothing.
  private func setKey(of epoch: UInt32, _ decryption: OpaquePointer, _ context: inout Context) throws(TierError) {
    guard let key = ring.subkey(of: epoch) else {
      throw host.fail(.authentication, "an encrypted object is of epoch \(epoch), of which this session has no key")
    }
    context.epoch = nil
    guard EVP_DecryptInit_ex2(decryption, nil, key, nil, nil) > 0 else { throw openSSLFailure(host, "set a key") }
    context.epoch = epoch
  }

  private var misuse: TierError {
    host.fail(.invalid, "a context for the wrong use, or no room for the tag")
  }
}

// MARK: - What survives the instance

extension AesGcmTier {
  /// Both are filled in at most once in turn: the master key until the session key is wrapped, which takes time with a
  /// passphrase and so waits for the first `saveState`.
  struct Vault: ~Copyable, Sendable {
    var master: MasterKey?
    var envelope: KeyEnvelope?
    let isEphemeral: Bool

    init(master: consuming MasterKey?) {
      isEphemeral = master == nil
      self.master = master
    }
  }

  private static let ephemeral =
    "the key of this encryption lasts only as long as the process: what it encrypts cannot be read later. "
    + "Give the option 'key-file' or 'passphrase' from the start"

  func saveState(_ room: inout TierStateRoom) throws(TierError) {
    let length = SavedKeys.length(epochs: ring.epochs.count)
    let envelope = try vault.withLock { (vault) throws(TierError) -> KeyEnvelope in
      guard !vault.isEphemeral else { throw host.fail(.unsupported, AesGcmTier.ephemeral) }
      try room.require(length)
      if let envelope = vault.envelope { return envelope }
      // Until there is an envelope there is a master key, as the session is not ephemeral.
      let envelope = try KeyEnvelope(ring.sessionKey, vault.master!, cipher, host)
      vault.envelope = envelope
      vault.master = nil
      return envelope
    }
    try room.store(try SavedKeys.bytes(envelope, ring.epochs, ring.sessionKey, host))
  }

  mutating func loadState(_ state: UnsafeRawBufferPointer) throws(TierError) {
    guard !hasContexts.load(ordering: .relaxed), !isContinued else {
      throw host.fail(.invalid, "saved keys come before any other use of the instance, and once")
    }
    let saved = try SavedKeys(state, host)
    var epochs = saved.epochs
    guard epochs.place(of: ring.ownEpoch) == nil else {
      throw host.fail(.invalid, "the saved keys are of epoch \(ring.ownEpoch) too; each run needs an epoch of its own")
    }
    guard epochs.count < EpochList.limit else {
      throw host.fail(
        .invalid, "the session has had \(EpochList.limit) runs, and keeps the keys of no more; begin a new one")
    }
    try epochs.append(ring.ownEpoch, name: instanceName, host)
    let sessionKey = try vault.withLock { (vault) throws(TierError) -> Secret in
      guard vault.master != nil else { throw missingKey(saved) }
      return try saved.envelope.open(vault.master!, cipher, host)
    }
    try saved.check(sessionKey, host)
    ring = try KeyRing(sessionKey, epochs, host)
    isContinued = true
    vault.withLock {
      $0.envelope = saved.envelope
      $0.master = nil
    }
  }

  private func missingKey(_ saved: SavedKeys) -> TierError {
    // Sane, or it would not have been read.
    let source = saved.envelope.derivation.source ?? .keyFile
    return host.fail(
      .invalid, "this session was saved with \(source.words): give the option '\(source.option)'")
  }

  func saveState(for other: borrowing AesGcmTier, _ room: inout TierStateRoom) throws(TierError) {
    let isEphemeral = vault.withLock { $0.isEphemeral }
    guard !isEphemeral else { throw host.fail(.unsupported, AesGcmTier.ephemeral) }
    // An epoch in which nothing was encoded need not be kept.
    let epochs = hasEncoders.load(ordering: .relaxed) ? ring.epochs : ring.epochs.withoutLast()
    let envelope = try other.vault.withLock { (vault) throws(TierError) -> KeyEnvelope in
      guard vault.master != nil else {
        throw host.fail(
          .invalid, vault.isEphemeral
            ? "the new key is missing: give 'key-file' or 'passphrase'"
            : "the instance with the new key is in use already")
      }
      try room.require(SavedKeys.length(epochs: epochs.count))
      return try KeyEnvelope(ring.sessionKey, vault.master!, cipher, host)
    }
    try room.store(try SavedKeys.bytes(envelope, epochs, ring.sessionKey, host))
  }
}

private let rekey = RekeyExtension { AesGcmTier.rekey($0, $1, $2, $3, $4) }

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
  // Before OpenSSL is used for the first time.
  _ = hasKeyMemory
  return AesGcmTier.entry(host) { AesGcmTier.open($0, $1) } extensions: { rekey.table($0) }
}
