// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins

struct PluginsInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Show everything about one plug-in: its attributes and its options.",
    discussion: "Ends with 1 if there is no such plug-in, or if it is refused or crashes.")

  @Argument(
    help: ArgumentHelp(
      "The name of a plug-in in the plug-in path, or a file (with a slash, or ending in .tier.so).",
      valueName: "name|file"))
  var plugin: String

  @Flag(help: "Write JSON.") var json = false
  @OptionGroup var plugins: PluginOptions

  func run() throws {
    let record = try found()
    if json {
      print(PluginJSON.everything(record).rendered())
    } else if let known = record.description {
      for line in Self.text(record, known, width: Terminal.width(), colour: Terminal.usesColour()) { print(line) }
    }
    guard record.description == nil else { return }
    throw PluginError.unusable(
      name: DisplayText.plain(record.name), file: DisplayText.plain(record.file), status: record.status,
      reason: DisplayText.plain(record.reason ?? "no reason known"))
  }

  private func found() throws -> PluginRecord {
    let finder = plugins.finder
    if plugin.contains("/") || plugin.hasSuffix(".tier.so") { return try finder.probe(file: plugin) }
    let catalog = try finder.catalog(names: [plugin])
    for note in catalog.notes where note.contains("/\(plugin).tier.so") { Terminal.complain("note: \(note)") }
    return try catalog.plugin(named: plugin)
  }

  private static func text(_ record: PluginRecord, _ known: TierDescription, width: Int?, colour: Bool) -> [String] {
    var lines = TextLines.wrap("\(known.name) \(known.version) - \(known.summary)", width: width)
    lines = lines.map { Style.bold.applied(to: $0, colour: colour) }
    let fields = fields(record, known)
    let labelWidth = fields.map(\.0.count).max() ?? 0
    for (label, text) in fields {
      lines += TextLines.labelled(label, text, labelWidth: labelWidth, indent: 2, width: width)
    }
    lines += ["", Style.bold.applied(to: known.options.isEmpty ? "No options" : "Options", colour: colour)]
    let keyWidth = known.options.map(\.key.count).max() ?? 0
    for option in known.options {
      lines += TextLines.labelled(option.key, option.help, labelWidth: keyWidth, indent: 2, width: width)
      lines += TextLines.labelled("", domain(option), labelWidth: keyWidth, indent: 2, width: width)
    }
    return lines
  }

  private static func fields(_ record: PluginRecord, _ known: TierDescription) -> [(String, String)] {
    var fields = [
      ("file", DisplayText.plain(record.file)),
      ("status", record.status.rawValue + (record.reason.map { ": \(DisplayText.plain($0))" } ?? "")),
      ("role", known.role.rawValue), ("lifetime", known.lifetime.rawValue), ("access", known.access.rawValue),
      ("priority", String(known.priority)), ("threads", known.threadModel.text),
      ("flags", known.flags.names.isEmpty ? "none" : known.flags.names.joined(separator: ", ")),
    ]
    if known.role == .transform { fields.append(("sidecar", "\(known.sidecarLength) bytes beside each object")) }
    if let facts = known.facts.nonEmpty { fields.append(("runs on", DisplayText.plain(facts))) }
    for (label, text) in [("vendor", known.vendor), ("licence", known.licence), ("url", known.url)] {
      if let text = text.nonEmpty { fields.append((label, text)) }
    }
    if let hash = record.hash { fields.append(("hash", hash)) }
    return fields
  }

  private static func domain(_ option: TierOption) -> String {
    var parts = [OptionText.domain(option)]
    if option.isRequired {
      parts.append("required")
    } else {
      parts.append(OptionText.fallback(option).map { "default \($0)" } ?? "no default")
    }
    if option.isSecret { parts.append("secret") }
    return parts.joined(separator: "; ")
  }
}
