// SPDX-License-Identifier: Apache-2.0
import CCrypto
import StowageTier

/// The key of one instance, in secret memory of the host.
///
/// It is derived by HKDF-SHA256 from a random session key, with a fresh salt and the instance's name. Session key
/// and salt are forgotten at once, so what was encrypted dies with the instance.
struct SubKey {
  static let length = 32
  private let memory: UnsafeMutableRawBufferPointer

  init(instance name: String, epoch: UInt32, _ host: TierHost) throws(TierError) {
    memory = try host.allocate(SubKey.length, .secret)
    do throws(TierError) {
      try derive(instance: name, epoch: epoch, host)
    } catch {
      host.free(memory, .secret)
      throw error
    }
  }

  private func derive(instance name: String, epoch: UInt32, _ host: TierHost) throws(TierError) {
    let source = try host.allocate(2 * SubKey.length, .secret)
    defer {
      host.wipe(source)
      host.free(source, .secret)
    }
    try host.fillRandom(source)
    let info = Array("stowage aes-gcm 1: \(name), epoch \(epoch)".utf8)
    // Key and salt are the two halves of `source`; all of it is only read.
    guard
      let output = memory.baseAddress, let key = source.baseAddress,
      info.withUnsafeBytes({ text in
        stowage_hkdf_sha256(output, key, key + SubKey.length, text.baseAddress.unsafelyUnwrapped, text.count)
      })
    else { throw host.fail(.io, "OpenSSL could not derive a key: \(openSSLReason())") }
  }

  /// Valid while the instance is.
  var bytes: UnsafePointer<UInt8>? {
    UnsafePointer(memory.baseAddress?.assumingMemoryBound(to: UInt8.self))
  }

  func close(_ host: TierHost) {
    host.wipe(memory)
    host.free(memory, .secret)
  }
}

/// Why OpenSSL's last call on this thread failed.
func openSSLReason() -> String {
  let code = ERR_get_error()
  ERR_clear_error()
  guard code != 0, let text = ERR_reason_error_string(code) else { return "no reason given" }
  return String(cString: text)
}
