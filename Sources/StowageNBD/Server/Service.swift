// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Synchronization

/// What the connections of a server have in common.
final class Service: Sendable {
  let exports: ExportSet
  let tls: TLSContext?
  let requiresTLS: Bool
  private let ending = Atomic<Bool>(false)
  private let failedTLS = Atomic<Int>(0)

  init(_ exports: ExportSet, tls: TLSContext?, requiresTLS: Bool) {
    self.exports = exports
    self.tls = tls
    self.requiresTLS = requiresTLS
  }

  var isEnding: Bool { ending.load(ordering: .acquiring) }
  func end() { ending.store(true, ordering: .releasing) }

  var tlsFailures: Int { failedTLS.load(ordering: .relaxed) }
  func noteTLSFailure() { failedTLS.wrappingAdd(1, ordering: .relaxed) }
}

/// Files with what a server needs for TLS: a certificate and its private key, or keys that both sides know, or both.
public struct TLSSettings: Sendable, Hashable {
  /// PEM: the server's certificate, those that signed it behind it.
  public var certificate: String?
  /// PEM: its private key.
  public var key: String?
  /// PEM: clients must have a certificate that this one has signed.
  public var clientAuthority: String?
  /// Lines of NAME:KEY, the key in hexadecimal digits, as psktool writes them.
  public var psk: String?

  public init() {}

  public var isEmpty: Bool { certificate == nil && key == nil && clientAuthority == nil && psk == nil }
}

/// TLS 1.2 and 1.3 of a server, by OpenSSL. Lives as long as the process.
public final class TLSContext: @unchecked Sendable {
  let context: OpaquePointer

  /// Reads the files.
  /// - Throws: `ExportError` with the file and what is wrong with it.
  public init(_ settings: TLSSettings) throws(ExportError) {
    guard (settings.certificate == nil) == (settings.key == nil) else {
      throw ExportError("TLS: a certificate and its private key belong together; give both")
    }
    guard settings.certificate != nil || settings.psk != nil else {
      throw ExportError("TLS: give a certificate and its private key, or a file of keys (psk)")
    }
    guard settings.clientAuthority == nil || settings.certificate != nil else {
      throw ExportError("TLS: an authority of clients needs a certificate of the server, too")
    }
    var message = [CChar](repeating: 0, count: 512)
    guard
      let context = stowage_tls_server_make(
        settings.certificate, settings.key, settings.clientAuthority, settings.psk, &message, message.count)
    else {
      let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw ExportError("TLS: \(String(decoding: text, as: UTF8.self))")
    }
    self.context = context
  }
}
