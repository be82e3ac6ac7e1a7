// SPDX-License-Identifier: Apache-2.0
import CCrypto
import StowageTier

/// How the wrapping key comes of the master key, as it stands at the beginning of an envelope. Little-endian.
///
///     0   4   source: 1 key file (HKDF-SHA256), 2 passphrase (scrypt)
///     4   4   scrypt: binary logarithm of its cost N; 0 with a key file, as the next two
///     8   4   scrypt: block size r
///     12  4   scrypt: passes p
///     16  32  salt
struct KeyDerivation: Sendable {
  static let length = 48
  /// What scrypt may take with the numbers of a state, whoever made it: 256 MiB, and some seconds.
  static let memoryLimit: UInt64 = 256 << 20
  static let workLimit: UInt64 = 1 << 23

  let bytes: ArraySlice<UInt8>

  var sourceNumber: UInt32 { bytes.number(at: 0) }
  var source: KeySource? { KeySource(rawValue: sourceNumber) }
  var cost: UInt32 { bytes.number(at: 4) }
  var blockSize: UInt32 { bytes.number(at: 8) }
  var passes: UInt32 { bytes.number(at: 12) }
  var salt: ArraySlice<UInt8> { bytes.dropFirst(16) }

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  /// For a new envelope: a fresh salt, and scrypt over 32 MiB in three passes (a quarter of a second or so).
  init(_ source: KeySource, _ host: TierHost) throws(TierError) {
    let isScrypt = source == .passphrase
    let numbers: [UInt32] = [source.rawValue, isScrypt ? 15 : 0, isScrypt ? 8 : 0, isScrypt ? 3 : 0]
    bytes = numbers.flatMap(\.littleEndianBytes)[...] + (try randomBytes(Secret.keyLength, host))
  }

  /// Whether the numbers make sense, and do not ask for more than the limits.
  var isSane: Bool {
    switch source {
    case nil: return false
    case .keyFile: return cost == 0 && blockSize == 0 && passes == 0
    case .passphrase:
      guard (10...20).contains(cost), (1...64).contains(blockSize), (1...64).contains(passes) else { return false }
      let blocks = UInt64(blockSize) << UInt64(cost)
      // OpenSSL needs a little more than N blocks of 128 r bytes.
      return blocks * 128 < KeyDerivation.memoryLimit && blocks * UInt64(passes) <= KeyDerivation.workLimit
    }
  }
}

/// A session key, wrapped: what stands in a state from byte 16 to 111, and stays as it is for the session's life.
///
///     0   48  derivation of the wrapping key
///     48  32  session key, enciphered with AES-256-GCM; the bytes before are associated data
///     80  16  its tag
struct KeyEnvelope: Sendable {
  static let length = 96

  let bytes: [UInt8]

  var derivation: KeyDerivation { KeyDerivation(bytes[..<KeyDerivation.length]) }

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  /// Wraps a session key under a wrapping key of its own.
  init(
    _ sessionKey: UnsafeRawPointer, _ master: borrowing MasterKey, _ cipher: borrowing Cipher, _ host: TierHost
  ) throws(TierError) {
    let derivation = try KeyDerivation(master.source, host)
    let wrappingKey = try master.wrappingKey(derivation, host)
    let associated = Array(derivation.bytes)
    var wrapped = [UInt8](repeating: 0, count: KeyEnvelope.length - KeyDerivation.length)
    let (cipher, count) = (cipher.pointer, Int32(associated.count))
    let done = withKeyMemory(host) {
      stowage_wrap_key(cipher, wrappingKey.address, associated, count, sessionKey, &wrapped)
    }
    guard done else { throw openSSLFailure(host, "wrap the session key") }
    bytes = associated + wrapped
  }

  /// The session key; `.authentication` if the master key is another one.
  func open(_ master: borrowing MasterKey, _ cipher: borrowing Cipher, _ host: TierHost) throws(TierError) -> Secret {
    try check(master, host)
    let wrappingKey = try master.wrappingKey(derivation, host)
    let sessionKey = try Secret(host)
    let (associated, wrapped) = (Array(bytes[..<KeyDerivation.length]), Array(bytes[KeyDerivation.length...]))
    let (cipher, count) = (cipher.pointer, Int32(associated.count))
    let result = withKeyMemory(host) {
      stowage_unwrap_key(cipher, wrappingKey.address, associated, count, wrapped, sessionKey.address)
    }
    guard result >= 0 else { throw openSSLFailure(host, "unwrap the session key") }
    ERR_clear_error()
    guard result == 1 else { throw host.fail(.authentication, KeyEnvelope.otherKey(master)) }
    return sessionKey
  }

  private static func otherKey(_ master: borrowing MasterKey) -> String {
    switch master.source {
    case .keyFile:
      "the key file \(master.path) is not the one that this session was saved with; set 'key-file' to that one"
    case .passphrase: "the passphrase is not the one that this session was saved with"
    }
  }

  private func check(_ master: borrowing MasterKey, _ host: TierHost) throws(TierError) {
    guard let source = derivation.source, source != master.source else { return }
    throw host.fail(
      .invalid, "this session was saved with \(source.words), but the option '\(master.source.option)' is given; "
        + "give '\(source.option)' instead")
  }
}

/// Random bytes that are no secret: a salt.
func randomBytes(_ count: Int, _ host: TierHost) throws(TierError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  try bytes.withUnsafeMutableBufferPointer { (buffer) throws(TierError) in
    try host.fillRandom(UnsafeMutableRawBufferPointer(buffer))
  }
  return bytes
}

extension UInt32 {
  var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }
}

extension Collection<UInt8> {
  /// Little-endian; the four bytes are there.
  func number(at offset: Int) -> UInt32 {
    dropFirst(offset).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}
