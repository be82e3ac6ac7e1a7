// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowagePlugins

struct TiersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tiers", abstract: "Look at a daemon's tiers, and change them while it serves.",
    discussion: "Tiers of a store with a session come and go only between two runs.",
    subcommands: [
      TiersListCommand.self, TiersAddCommand.self, TiersDrainCommand.self, TiersRemoveCommand.self,
      TiersSetCommand.self,
    ], defaultSubcommand: TiersListCommand.self)
}

struct TiersListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the levels, nearest to RAM first.")

  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func run() throws {
    let status = ControlReply(try ControlCommand.ask(control, .init("status")))
    if json { return print(JSONValue.object(["levels": JSONValue(status.members["levels"])]).rendered()) }
    for line in LevelTable.of(status).lines(width: Terminal.width(), colour: Terminal.usesColour()) { print(line) }
  }
}

struct TiersAddCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Take a plug-in into the chain, at the place that its priority gives it.")

  @Argument(
    help: ArgumentHelp("The plug-in, such as zstd; the daemon finds it in its plug-in path.", valueName: "plugin"))
  var plugin: String
  @Option(help: ArgumentHelp("The tier's name in the chain (default: the plug-in's).", valueName: "name"))
  var name: String?
  @Option(help: ArgumentHelp("Bytes of RAM for its level.", valueName: "size")) var limit: String?
  @Option(help: ArgumentHelp("Set an option of it, such as level=19.", valueName: "key=value")) var set: [String] = []
  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func validate() throws { for text in set { _ = try OptionAssignment(text, named: nil) } }

  func run() throws {
    var arguments = ["tier": plugin]
    arguments["name"] = name
    arguments["limit"] = limit
    for text in set {
      let option = try OptionAssignment(text, named: nil)
      arguments["option.\(option.key)"] = option.value
    }
    try TierChange.run(.init("tiers-add", arguments), control, json: json)
  }
}

struct TiersDrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Let a tier take nothing in any more; what it holds moves down.")

  @Argument(help: ArgumentHelp("The tier's name in the chain.", valueName: "tier")) var tier: String
  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func run() throws { try TierChange.run(.init("tiers-drain", ["tier": tier]), control, json: json) }
}

struct TiersRemoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Drain a tier, and take it out of the chain once nothing needs it.",
    discussion: "After 20 s it says 'needed' if pages still have to be decoded by it; ask again later then.")

  @Argument(help: ArgumentHelp("The tier's name in the chain.", valueName: "tier")) var tier: String
  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func run() throws { try TierChange.run(.init("tiers-remove", ["tier": tier]), control, json: json) }
}

struct TiersSetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "set", abstract: "Change the limit of a level, or of the whole store.")

  @Argument(help: ArgumentHelp("The level's name, with --limit.", valueName: "tier")) var tier: String?
  @Option(help: ArgumentHelp("Its limit: a size, 0 to pass it by, or auto.", valueName: "size")) var limit: String?
  @Option(help: ArgumentHelp("What the store may use in all.", valueName: "size")) var memory: String?
  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func validate() throws {
    guard limit != nil || memory != nil else {
      throw ValidationError("say what to set: --limit SIZE of a tier, or --memory SIZE")
    }
    guard (limit == nil) == (tier == nil) else {
      throw ValidationError("--limit and the tier whose limit it is go together")
    }
  }

  func run() throws {
    var arguments: [String: String] = [:]
    arguments["tier"] = tier
    arguments["limit"] = limit
    arguments["memory"] = memory
    try TierChange.run(.init("tiers-set", arguments), control, json: json)
  }
}

private enum TierChange {
  static func run(_ request: ControlRequest, _ control: ControlOptions, json: Bool) throws {
    let reply = ControlReply(try ControlCommand.ask(control, request, patience: 120))
    if json { return print(reply.json.rendered()) }
    let state = reply.text("state")
    print(state.isEmpty ? "done" : "\(DisplayText.plain(reply.text("tier"))): \(state)")
  }
}
