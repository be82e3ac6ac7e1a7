// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowageControl
internal import StowagePlugins
internal import StowageTrial

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Say how a daemon ('stowage serve') is: exports, clients, levels.",
    discussion:
      "Ends with 3 when no daemon runs there, with 4 when what is there is none of yours, or of another version.")

  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func run() throws {
    let status = ControlReply(try ControlCommand.ask(control, .init("status")))
    if json { return print(status.json.rendered()) }
    print(
      "stowage \(status.text("version")), process \(status.number("process")), for \(status.number("seconds")) s, on "
        + status.texts("listen").map(DisplayText.plain).joined(separator: ", "))
    if let session = status.member("session") {
      print("session '\(DisplayText.plain(session.text("name")))', checkpoint \(session.number("checkpoint"))")
    }
    print(
      "\(grouped(status.number("pages"))) pages, \(SizeLabel(status.number("ram_bytes"))) of RAM, at most "
        + "\(SizeLabel(status.number("memory_limit")))\n")
    show(exports(status))
    show(clients(status))
    show(LevelTable.of(status))
  }

  private func show(_ table: TextTable) {
    for line in table.lines(width: Terminal.width(), colour: Terminal.usesColour()) { print(line) }
    print("")
  }

  private func exports(_ status: ControlReply) -> TextTable {
    var table = TextTable(columns: [("EXPORT", .left), ("SIZE", .right), ("USED", .right), ("", .left)])
    for export in status.list("exports") {
      var words = [export.text("durability")]
      if export.flag("read_only") { words.append("read-only") }
      if export.flag("reserved") { words.append("reserved") }
      if export.flag("tls") { words.append("TLS only") }
      table.add([
        .init(DisplayText.plain(export.text("name")), .bold), .init("\(SizeLabel(export.number("size")))"),
        .init("\(SizeLabel(export.number("used_bytes")))"), .init(words.joined(separator: ", ")),
      ])
    }
    return table
  }

  private func clients(_ status: ControlReply) -> TextTable {
    var table = TextTable(columns: [
      ("CLIENT OF", .left), ("REQUESTS", .right), ("READ", .right), ("WRITTEN", .right), ("FROM", .left),
    ])
    for client in status.list("clients") {
      table.add([
        .init(DisplayText.plain(client.text("export", or: "(handshake)"))), .init(grouped(client.number("requests"))),
        .init("\(SizeLabel(client.number("bytes_read")))"), .init("\(SizeLabel(client.number("bytes_written")))"),
        .init(DisplayText.plain(client.text("peer"))),
      ])
    }
    return table
  }
}

struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "Let a daemon keep what is on its disks now in its session, and go on.")

  @OptionGroup var control: ControlOptions
  @Flag(help: "Write JSON.") var json = false

  func run() throws {
    let report = ControlReply(try ControlCommand.ask(control, .init("checkpoint"), patience: 3600))
    if json { return print(report.json.rendered()) }
    print(
      "checkpoint \(report.number("sequence")): \(grouped(report.number("pages"))) pages, of which "
        + "\(grouped(report.number("pages_written"))) were written, \(SizeLabel(report.number("bytes_written")))")
  }
}

struct SuspendCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "suspend", abstract: "End a daemon: what is on its disks is kept in its session.",
    discussion: "A daemon without a session goes on, and says what would be lost, unless --discard is given.")

  @OptionGroup var control: ControlOptions
  @Flag(help: "End it also if what is on its disks is lost.") var discard = false
  @Flag(help: "Write JSON.") var json = false

  func run() throws {
    let request = ControlRequest("suspend", ["discard": discard ? "true" : "false"])
    let report = ControlReply(try ControlCommand.ask(control, request, patience: 3600))
    if json { return print(report.json.rendered()) }
    if report.text("state") == "suspended" {
      print("suspended: \(grouped(report.number("pages"))) pages are kept")
    } else {
      print("stopped: \(grouped(report.number("blocks_lost"))) blocks were given up")
    }
  }
}

/// What the commands to a daemon have in common.
enum ControlCommand {
  static func ask(_ options: ControlOptions, _ request: ControlRequest, patience: Int = 60) throws -> [String: Any] {
    do throws(ControlError) {
      return try options.client.ask(request, patience: patience)
    } catch {
      Terminal.complain("\(error)")
      switch error {
      case .stopped: throw ExitCode(3)
      case .foreign, .version: throw ExitCode(4)
      case .refused, .broken: throw ExitCode(1)
      }
    }
  }
}

/// What a daemon answered; what is missing is empty.
struct ControlReply {
  let members: [String: Any]
  init(_ members: [String: Any]) { self.members = members }

  var json: JSONValue { JSONValue(members) }
  func number(_ key: String) -> Int { members[key] as? Int ?? 0 }
  func text(_ key: String, or other: String = "") -> String { members[key] as? String ?? other }
  func flag(_ key: String) -> Bool { members[key] as? Bool ?? false }
  func texts(_ key: String) -> [String] { members[key] as? [String] ?? [] }
  func list(_ key: String) -> [ControlReply] { (members[key] as? [[String: Any]] ?? []).map { ControlReply($0) } }
  func member(_ key: String) -> ControlReply? { (members[key] as? [String: Any]).map { ControlReply($0) } }
}

/// The levels of a daemon's store.
enum LevelTable {
  static func of(_ status: ControlReply) -> TextTable {
    var table = TextTable(columns: [
      ("LEVEL", .left), ("PAGES", .right), ("RAM", .right), ("DISK", .right), ("LIMIT", .right), ("ENTERED", .right),
      ("NOTE", .left),
    ])
    for level in status.list("levels") {
      let note = [level.text("note"), level.text("degraded")].filter { !$0.isEmpty }.joined(separator: "; ")
      table.add([
        .init(DisplayText.plain(level.text("name")), .bold), .init(grouped(level.number("pages"))),
        .init("\(SizeLabel(level.number("ram_bytes")))"), .init("\(SizeLabel(level.number("disk_bytes")))"),
        .init("\(SizeLabel(level.number("limit_bytes")))"), .init(grouped(level.number("pages_entered"))),
        .init(DisplayText.plain(note)),
      ])
    }
    return table
  }
}
