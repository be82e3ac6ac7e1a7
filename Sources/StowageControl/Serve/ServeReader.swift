// SPDX-License-Identifier: Apache-2.0
internal import StowagePlugins

/// Reads what a configuration says of serving: the tables `serve`, `session`, `tls` and `export`.
enum ServeReader {
  static func read(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> ServeSettings {
    var settings = ServeSettings()
    let source = reader.source
    if let table = try reader.table("serve") {
      var serve = ConfigurationReader(table, path: ["serve"], source: source)
      settings.listen = try serve.texts("listen") ?? []
      settings.control = try file(&serve, "control")
      settings.connections = try serve.number("connections", in: 1...4096)
      settings.swap = try serve.flag("swap")
      settings.discard = try serve.flag("discard")
      settings.insecure = try serve.flag("insecure")
      try serve.finish()
    }
    if let table = try reader.table("session") {
      var session = ConfigurationReader(table, path: ["session"], source: source)
      guard let name = try session.text("name"), !name.isEmpty else {
        throw session.error("name", "is missing; name the session, such as name = \"swap\"")
      }
      settings.session = name
      try session.finish()
    }
    if let table = try reader.table("tls") { settings.tls = try tls(table, source) }
    for (index, table) in (try reader.tables("export") ?? []).enumerated() {
      var export = ConfigurationReader(table, path: ["export", "#\(index)"], source: source)
      settings.exports.append(try self.export(&export))
      try export.finish()
    }
    return settings
  }

  private static func tls(_ table: [String: ConfigurationTree], _ source: ConfigurationSource)
    throws(ConfigurationError)
    -> TLSFileSettings
  {
    var reader = ConfigurationReader(table, path: ["tls"], source: source)
    var settings = TLSFileSettings()
    settings.certificate = try file(&reader, "certificate")
    settings.key = try file(&reader, "key")
    settings.clientAuthority = try file(&reader, "client-authority")
    settings.psk = try file(&reader, "psk")
    settings.isRequired = try reader.flag("required")
    try reader.finish()
    return settings
  }

  private static func file(_ reader: inout ConfigurationReader, _ key: String) throws(ConfigurationError) -> String? {
    try reader.text(key).map { FilePaths.absolute($0, from: reader.source.folder) }
  }

  private static func export(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> ExportText {
    guard let name = try reader.text("name") else {
      throw reader.error("name", "is missing; name the export, such as name = \"swap\"")
    }
    guard let size = try reader.size("size", least: 1) else {
      throw reader.error("size", "is missing; say how large the disk is, such as size = \"8GiB\"")
    }
    var export = ExportText(name: name, size: size)
    export.description = try reader.text("description") ?? ""
    export.quota = try reader.size("quota", least: 1)
    export.isReadOnly = try reader.flag("read-only") ?? false
    export.isReserved = try reader.flag("reserve") ?? false
    export.needsTLS = try reader.flag("tls") ?? false
    switch try reader.text("durability") {
    case nil, "volatile": break
    case "durable": export.isDurable = true
    case .some(let text):
      throw reader.error("durability", "expected \"volatile\" or \"durable\", this is \"\(DisplayText.plain(text))\"")
    }
    return export
  }
}

extension ConfigurationReader {
  /// A list of texts; one text is a list of one.
  mutating func texts(_ key: String) throws(ConfigurationError) -> [String]? {
    guard let value = value(key) else { return nil }
    switch value {
    case .text(let text): return [text]
    case .list(let items):
      var texts: [String] = []
      for item in items {
        guard case .text(let text) = item else { throw wrong(key, item, "a text in quotes") }
        texts.append(text)
      }
      return texts
    default: throw wrong(key, value, "a list of texts")
    }
  }
}
