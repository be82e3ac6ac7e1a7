// SPDX-License-Identifier: Apache-2.0
import CCrypto
import StowageTier

/// What keeps a session key over the end of the process. The numbers stand in the state.
enum KeySource: UInt32, Sendable {
  case keyFile = 1
  case passphrase = 2

  var option: StaticString { self == .keyFile ? "key-file" : "passphrase" }
  var words: String { self == .keyFile ? "a key file" : "a passphrase" }
}

/// What the user gave: the contents of a key file, or a passphrase. Needed until a session key has been wrapped or
/// unwrapped with it.
struct MasterKey: ~Copyable, Sendable {
  let source: KeySource
  /// The key file's, for messages.
  let path: String
  private let secret: Secret

  static let passphraseLimit = 1024

  /// Nil if neither option is given: then keys last as long as the instance.
  static func given(_ arguments: TierArguments) throws(TierError) -> MasterKey? {
    let host = arguments.host
    let path = try arguments.text("key-file")
    let passphrase = try arguments.borrowedText("passphrase")
    if path != nil && passphrase != nil {
      throw host.fail(
        .invalid, "both 'key-file' and 'passphrase' are given; a session has one key: leave one of them out")
    }
    if let path { return MasterKey(source: .keyFile, path: path, secret: try KeyFile.read(path, host)) }
    guard let passphrase else { return nil }
    guard (1...passphraseLimit).contains(passphrase.count) else {
      throw host.fail(.invalid, "the passphrase has \(passphrase.count) bytes; it must have 1 to \(passphraseLimit)")
    }
    let secret = try Secret(host, count: passphrase.count)
    secret.bytes.copyMemory(from: passphrase)
    return MasterKey(source: .passphrase, path: "", secret: secret)
  }

  /// The key that wraps a session key, and nothing else: the salt of `derivation` is made for one wrapping.
  func wrappingKey(_ derivation: KeyDerivation, _ host: TierHost) throws(TierError) -> Secret {
    guard source == .passphrase else {
      let info = Array("stowage aes-gcm 2: key file".utf8)
      return try Secret.derived(from: secret.address, salt: derivation.salt, info: info, host)
    }
    _ = derivationIsReady
    let key = try Secret(host)
    let salt = Array(derivation.salt)
    let done = withKeyMemory(host) {
      stowage_scrypt(
        key.address, secret.address, secret.bytes.count, salt, UInt64(1) << derivation.cost, derivation.blockSize,
        derivation.passes, KeyDerivation.memoryLimit)
    }
    guard done else { throw openSSLFailure(host, "derive a key from the passphrase") }
    return key
  }
}
