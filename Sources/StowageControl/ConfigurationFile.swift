// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Foundation
internal import StowagePlugins

/// Configuration files: TOML, described in docs/configuration.md.
public enum ConfigurationFile {
  /// Longer files are refused.
  static let bytesMax = 1 << 20

  /// Reads and parses a file.
  public static func read(_ path: String) throws(ConfigurationError) -> ChainSettings {
    let file = FilePaths.absolute(path)
    let data: Data
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
      defer { try? handle.close() }
      data = try handle.read(upToCount: bytesMax + 1) ?? Data()
    } catch {
      throw ConfigurationError(file: path, reason: "cannot read the configuration: \(reason(error))")
    }
    guard data.count <= bytesMax else {
      throw ConfigurationError(file: path, reason: "is longer than \(bytesMax) bytes; this is no configuration")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw ConfigurationError(file: path, reason: "is not UTF-8; save it as UTF-8")
    }
    return try parse(text, file: path, folder: FilePaths.folder(of: file))
  }

  private static func reason(_ error: any Error) -> String {
    let inner = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    guard inner.domain == NSPOSIXErrorDomain else { return error.localizedDescription }
    return String(cString: strerror(Int32(inner.code)))
  }

  /// Parses a text.
  /// - Parameters:
  ///   - file: the name to be used in errors.
  ///   - folder: absolute; relative paths in the text refer to it.
  public static func parse(_ text: String, file: String, folder: String) throws(ConfigurationError)
    -> ChainSettings
  {
    let locator = ConfigurationLocator(text)
    let root = try ConfigurationTree.parse(text, locator: locator, file: file)
    let source = ConfigurationSource(file: file, folder: folder, locations: locator.locations)
    var settings = ChainSettings()
    settings.source = source
    var reader = ConfigurationReader(root, path: [], source: source)
    settings.memory = try reader.size("memory", least: 1)
    settings.pageSize = try pageSize(&reader)
    settings.workers = try reader.number("workers", in: 1...1024)
    settings.lockMemory = try reader.flag("lock-memory")
    settings.endToEndChecksums = try reader.flag("end-to-end-checksums")
    settings.deadline = try reader.duration("deadline")
    settings.patience = try reader.duration("patience")
    settings.storeMemory = try storeMemory(&reader)
    settings.tiers = try tiers(&reader)
    settings.serve = try ServeReader.read(&reader)
    try reader.finish()
    if let part = settings.storeMemory, let whole = settings.memory, part > whole {
      throw source.error(
        ["store", "memory"],
        "is \(SizeText.format(Int64(part))), more than the whole memory of \(SizeText.format(Int64(whole)))")
    }
    return settings
  }

  private static func pageSize(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> Int? {
    guard let size = try reader.size("page-size") else { return nil }
    let (least, most) = (Int(STOWAGE_PAGE_BYTES_MIN), Int(STOWAGE_PAGE_BYTES_MAX))
    guard size >= least, size <= most, size & (size - 1) == 0 else {
      throw reader.error("page-size", "is \(size); a page size is a power of two from \(least) to \(most)")
    }
    return size
  }

  private static func storeMemory(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> Int? {
    guard let table = try reader.table("store") else { return nil }
    var store = ConfigurationReader(table, path: ["store"], source: reader.source)
    let memory = try store.size("memory", least: 1)
    try store.finish()
    return memory
  }

  private static func tiers(_ reader: inout ConfigurationReader) throws(ConfigurationError) -> [TierSettings]? {
    guard let tables = try reader.tables("tier") else { return nil }
    var tiers: [TierSettings] = []
    for (index, table) in tables.enumerated() {
      var tier = ConfigurationReader(table, path: ["tier", "#\(index)"], source: reader.source)
      tiers.append(try Self.tier(&tier, index: index))
      try tier.finish()
    }
    return tiers
  }

  private static func tier(_ reader: inout ConfigurationReader, index: Int) throws(ConfigurationError)
    -> TierSettings
  {
    guard let plugin = try reader.text("plugin") else {
      throw reader.error("plugin", "is missing; name the plug-in of this tier, such as plugin = \"lz4\"")
    }
    var tier = TierSettings(plugin: plugin)
    tier.index = index
    tier.name = try reader.text("name")
    if let name = tier.name, let objection = TierNames.objection(to: name) {
      throw reader.error("name", objection)
    }
    tier.limit = try reader.size("limit")
    tier.discardPoint = try reader.flag("discard-point")
    tier.deadline = try reader.duration("deadline")
    tier.options = try reader.table("options")?.mapValues(option) ?? [:]
    return tier
  }

  private static func option(_ value: ConfigurationTree) -> OptionInput {
    switch value {
    case .text(let text): .text(text)
    case .number(let number): .number(number)
    case .flag(let flag): .flag(flag)
    case .table, .list, .other: .other(value.kind)
    }
  }
}
