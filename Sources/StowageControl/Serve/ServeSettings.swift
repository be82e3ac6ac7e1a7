// SPDX-License-Identifier: Apache-2.0

/// What a configuration says of serving, beside the chain. Sizes are in bytes; nil: not said. File names are absolute.
public struct ServeSettings: Sendable, Hashable {
  /// Where clients connect, as text.
  public var listen: [String] = []
  /// The control socket.
  public var control: String?
  /// Clients at one time.
  public var connections: Int?
  /// Whether the machine's own swap lies on it.
  public var swap: Bool?
  /// Whether what cannot be suspended may be given up.
  public var discard: Bool?
  /// Whether addresses that other machines reach may be served without TLS.
  public var insecure: Bool?
  /// The session's name; nil: no session.
  public var session: String?
  public var tls = TLSFileSettings()
  public var exports: [ExportText] = []

  public init() {}
}

/// The files that TLS needs, as a configuration names them.
public struct TLSFileSettings: Sendable, Hashable {
  public var certificate: String?
  public var key: String?
  public var clientAuthority: String?
  public var psk: String?
  /// Whether every client must use it.
  public var isRequired: Bool?

  public init() {}
}

/// An export as a configuration says it.
public struct ExportText: Sendable, Hashable {
  public var name: String
  public var description = ""
  public var size: Int
  public var quota: Int?
  public var isReadOnly = false
  public var isDurable = false
  public var isReserved = false
  public var needsTLS = false

  public init(name: String, size: Int) {
    self.name = name
    self.size = size
  }
}
