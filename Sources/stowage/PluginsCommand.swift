// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins

struct PluginsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plugins", abstract: "Show the plug-ins that are there.",
    subcommands: [
      PluginsListCommand.self, PluginsInfoCommand.self, PluginsNewCommand.self, PluginsValidateCommand.self,
      PluginsChecksCommand.self, PluginsBenchCommand.self,
    ], defaultSubcommand: PluginsListCommand.self)
}

struct PluginsListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List every plug-in in the plug-in path, by priority.",
    discussion: """
      Each plug-in is loaded in a process of its own, so a bad one is a line and does no harm. The status is 'ok'; \
      'unavailable': it lacks an option that it requires; 'refused': it is no plug-in for this host; or 'crashed'.

      Ends with 0 even if there are bad plug-ins.
      """)

  @Flag(help: "Write JSON. Notes go to the standard error.") var json = false
  @OptionGroup var plugins: PluginOptions

  func run() throws {
    let catalog = try plugins.finder.catalog()
    let notes = catalog.notes + Self.chainNotes(catalog)
    if json {
      print(Self.json(catalog).rendered())
      for note in notes { Terminal.complain("note: \(note)") }
    } else {
      for line in Self.text(catalog, notes: notes, width: Terminal.width(), colour: Terminal.usesColour()) {
        print(line)
      }
    }
  }

  /// What the default chain would be like.
  private static func chainNotes(_ catalog: PluginCatalog) -> [String] {
    let tiers = catalog.plugins.compactMap { record in record.description.map { (name: record.name, tier: $0) } }
    return ChainNotes.ties(tiers) + ChainNotes.of(tiers)
  }

  private static func json(_ catalog: PluginCatalog) -> JSONValue {
    .object([
      "plugins": .list(catalog.plugins.map { .object(PluginJSON.summary($0)) }),
      "searched": .list(catalog.searched.map { .text($0.path) }),
    ])
  }

  private static func text(_ catalog: PluginCatalog, notes: [String], width: Int?, colour: Bool) -> [String] {
    var lines = catalog.plugins.isEmpty ? ["No plug-ins found."] : table(catalog).lines(width: width, colour: colour)
    if !notes.isEmpty { lines.append("") }
    for note in notes { lines += TextLines.labelled("Note:", note, labelWidth: 5, indent: 0, width: width) }
    lines.append("")
    for (index, folder) in catalog.searched.enumerated() {
      let state = folder.state == .read ? "" : " (\(folder.state.rawValue))"
      lines.append((index == 0 ? "Searched: " : "          ") + DisplayText.plain(folder.path) + state)
    }
    return lines
  }

  private static func table(_ catalog: PluginCatalog) -> TextTable {
    var table = TextTable(columns: [
      ("NAME", .left), ("VERSION", .left), ("ROLE", .left), ("LIFETIME", .left), ("ACCESS", .left),
      ("PRIORITY", .right), ("STATUS", .left), ("SUMMARY", .left),
    ])
    for record in catalog.plugins { table.add(row(record)) }
    return table
  }

  private static func row(_ record: PluginRecord) -> [TextTable.Cell] {
    let known = record.description
    return [
      .init(DisplayText.plain(record.name), .bold), .init(known?.version ?? "-"), .init(known?.role.rawValue ?? "-"),
      .init(known?.lifetime.rawValue ?? "-"), .init(known?.access.rawValue ?? "-"),
      .init(known.map { String($0.priority) } ?? "-"), .init(record.status.rawValue, record.status.style),
      .init(last(record)),
    ]
  }

  private static func last(_ record: PluginRecord) -> String {
    let reason = DisplayText.plain(record.reason ?? "")
    switch record.status {
    case .ok: return record.description?.summary ?? ""
    case .unavailable: return reason
    case .refused, .crashed: return "\(DisplayText.plain(record.file)): \(reason)"
    }
  }
}

extension PluginStatus {
  var style: Style {
    switch self {
    case .ok: .good
    case .unavailable: .doubtful
    case .refused, .crashed: .bad
    }
  }
}

/// Plug-ins as JSON.
enum PluginJSON {
  /// The fields of the listing; null where nothing is known.
  static func summary(_ record: PluginRecord) -> [JSONValue.Member] {
    let known = record.description
    return [
      .init("file", .text(record.file)), .init("name", .text(record.name)),
      .init("version", .text(orNull: known?.version)), .init("summary", .text(orNull: known?.summary)),
      .init("role", .text(orNull: known?.role.rawValue)), .init("lifetime", .text(orNull: known?.lifetime.rawValue)),
      .init("access", .text(orNull: known?.access.rawValue)), .init("priority", .number(orNull: known?.priority)),
      .init("status", .text(record.status.rawValue)), .init("reason", .text(orNull: record.reason)),
    ]
  }

  /// Everything that is known.
  static func everything(_ record: PluginRecord) -> JSONValue {
    var members = summary(record)
    members.append(.init("hash", .text(orNull: record.hash)))
    guard let known = record.description else { return .object(members) }
    members += [
      .init("vendor", .text(orNull: known.vendor.nonEmpty)), .init("licence", .text(orNull: known.licence.nonEmpty)),
      .init("url", .text(orNull: known.url.nonEmpty)), .init("threads", .text(known.threadModel.text)),
      .init("flags", .list(known.flags.names.map { .text($0) })),
      .init("sidecar_bytes", .number(known.sidecarLength)), .init("runs_on", .text(orNull: known.facts.nonEmpty)),
      .init("options", .list(known.options.map(option))),
    ]
    return .object(members)
  }

  private static func option(_ option: TierOption) -> JSONValue {
    let isRanged = option.kind == .number || option.kind == .bytes
    return .object([
      "key": .text(option.key), "type": .text(option.kind.rawValue), "required": .flag(option.isRequired),
      "secret": .flag(option.isSecret), "default": fallback(option),
      "min": isRanged ? .number(Int(option.numberRange.lowerBound)) : .null,
      "max": isRanged ? .number(Int(option.numberRange.upperBound)) : .null,
      "choices": option.kind == .choice ? .list(option.choices.map { .text($0) }) : .null,
      "help": .text(option.help),
    ])
  }

  private static func fallback(_ option: TierOption) -> JSONValue {
    guard !option.isRequired else { return .null }
    switch option.kind {
    case .flag: return .flag(option.numberDefault != 0)
    case .number, .bytes: return .number(Int(option.numberDefault))
    case .text, .path, .choice: return .text(orNull: OptionText.fallback(option))
    }
  }
}

extension String {
  /// nil when there is nothing in it.
  var nonEmpty: String? { isEmpty ? nil : self }
}
