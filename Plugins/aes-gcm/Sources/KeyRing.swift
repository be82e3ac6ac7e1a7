// SPDX-License-Identifier: Apache-2.0
import StowageTier

/// The epochs of a session: what makes the subkey of each from the session key. As in the state, little-endian:
///
///     0   4   epoch
///     4   4   zero
///     8   16  the first bytes of SHA-256 of the instance's name
///     24  32  salt
struct EpochList: Sendable {
  static let entryLength = 56
  static let limit = 4096
  private static let saltOffset = 24

  private(set) var bytes: [UInt8] = []

  var count: Int { bytes.count / EpochList.entryLength }

  init() {}

  init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  /// Adds an epoch with a fresh salt: no two instances, of whatever name, have a subkey in common.
  mutating func append(_ epoch: UInt32, name: String, _ host: TierHost) throws(TierError) {
    let hash = try sha256(name.utf8, host)
    let salt = try randomBytes(Secret.keyLength, host)
    bytes += epoch.littleEndianBytes + [0, 0, 0, 0] + hash.prefix(16) + salt
  }

  func epoch(at place: Int) -> UInt32 { entry(place).number(at: 0) }

  func place(of epoch: UInt32) -> Int? { (0..<count).last { self.epoch(at: $0) == epoch } }

  var hasRepeats: Bool { Set((0..<count).map(epoch)).count < count }

  func withoutLast() -> EpochList { EpochList(bytes.dropLast(EpochList.entryLength)) }

  func salt(at place: Int) -> ArraySlice<UInt8> { entry(place).dropFirst(EpochList.saltOffset) }

  /// What the subkey is for: everything of the entry but the salt.
  func info(at place: Int) -> [UInt8] {
    Array("stowage aes-gcm 2: subkey".utf8) + entry(place).prefix(EpochList.saltOffset)
  }

  private func entry(_ place: Int) -> ArraySlice<UInt8> {
    bytes[place * EpochList.entryLength..<(place + 1) * EpochList.entryLength]
  }
}

/// The session key and the subkeys of all epochs, the instance's own last; never changed.
struct KeyRing: ~Copyable, Sendable {
  let epochs: EpochList
  let ownEpoch: UInt32
  /// The session key, then a subkey for each epoch.
  private let keys: Secret

  init(_ sessionKey: borrowing Secret, _ epochs: EpochList, _ host: TierHost) throws(TierError) {
    let keys = try Secret(host, count: (1 + epochs.count) * Secret.keyLength)
    keys.bytes.copyMemory(from: UnsafeRawBufferPointer(sessionKey.bytes))
    for place in 0..<epochs.count {
      try deriveKey(
        to: keys.address + (1 + place) * Secret.keyLength, from: keys.address, salt: epochs.salt(at: place),
        info: epochs.info(at: place), host)
    }
    self.epochs = epochs
    ownEpoch = epochs.epoch(at: epochs.count - 1)
    self.keys = keys
  }

  /// Valid while this value is, as are subkeys.
  var sessionKey: UnsafeRawPointer { UnsafeRawPointer(keys.address) }

  var ownSubkey: UnsafePointer<UInt8> { subkey(at: epochs.count - 1) }

  /// Nil if the epoch is none of this session's.
  func subkey(of epoch: UInt32) -> UnsafePointer<UInt8>? { epochs.place(of: epoch).map { subkey(at: $0) } }

  private func subkey(at place: Int) -> UnsafePointer<UInt8> {
    UnsafePointer((keys.address + (1 + place) * Secret.keyLength).assumingMemoryBound(to: UInt8.self))
  }
}
