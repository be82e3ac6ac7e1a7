// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import Glibc
import StowageTestSupport

/// Tests/Fixtures/keys/states.json: states of aes-gcm, and objects encrypted under them, made without its code.
struct SavedStates {
  struct Object: Decodable {
    var id: UInt64
    var epoch, flags: UInt32
    var plain, bytes, sidecar: String

    var sealed: SealedObject {
      let plain = SavedStates.bytes(plain)
      let object = stowage_object(id: id, epoch: epoch, length: UInt32(plain.count), flags: flags, reserved: 0)
      return SealedObject(
        object: object, plain: plain, bytes: SavedStates.bytes(bytes), sidecar: SavedStates.bytes(sidecar))
    }
  }

  /// Secrets stay hexadecimal, so that they are not found in memory on their test's account.
  struct Case: Decodable {
    var name, source, master, state, sessionKey, wrappingKey: String
    var subkeys: [String]
    var objects: [Object]

    var savedState: [UInt8] { SavedStates.bytes(state) }
  }

  static let all: [Case] = {
    let file = TierCompiler.fixtures.appendingPathComponent("keys/states.json")
    // A missing or broken fixture fails every test that asks for a case of it.
    return (try? JSONDecoder().decode([Case].self, from: Data(contentsOf: file))) ?? []
  }()

  static func named(_ name: String) throws -> Case {
    guard let found = all.first(where: { $0.name == name }) else { throw TestFailure("states.json has no '\(name)'") }
    return found
  }

  static func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

extension SavedStates.Case {
  /// Opens an instance with the key of this case, which nothing else in the process remembers.
  func open(epoch: UInt32, _ folder: TemporaryFolder, name: String = "aes-gcm") throws -> OpenedTier {
    let digits = Array(master.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
    let secret = UnsafeMutableRawBufferPointer.allocate(byteCount: digits.count / 2 + 1, alignment: 16)
    defer {
      secret.baseAddress.map { explicit_bzero($0, secret.count) }
      secret.deallocate()
    }
    for place in 0..<digits.count / 2 { secret[place] = digits[2 * place] << 4 | digits[2 * place + 1] }
    secret[digits.count / 2] = 0
    let bytes = UnsafeRawBufferPointer(rebasing: secret.dropLast())
    guard source == "key-file" else { return try OpenedTier("aes-gcm", ["passphrase": .borrowed(bytes)], epoch: epoch) }
    let path = folder.file("key").path
    let file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0, write(file, bytes.baseAddress, bytes.count) == bytes.count else { throw TestFailure(path) }
    close(file)
    return try OpenedTier("aes-gcm", ["key-file": .text(path)], epoch: epoch, instance: name)
  }
}

