// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageBasics
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

struct SessionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session", abstract: "Look at suspended sessions, check them, change their keys, end them.",
    subcommands: [
      SessionInfoCommand.self, SessionVerifyCommand.self, SessionRekeyCommand.self, SessionEraseCommand.self,
    ])
}

struct SessionInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Say what session is in a file. Needs no key, and changes nothing.",
    discussion: """
      Shown is what the session says of itself in the clear; 'stowage session verify' reads the rest.

      Ends with 1 if there is no session, or what stands in the clear is damaged.
      """)

  @Argument(help: ArgumentHelp("The file that the session is in.", valueName: "file")) var file: String
  @Flag(help: "Write JSON.") var json = false
  @OptionGroup(title: "Plug-ins") var plugins: PluginOptions

  func run() throws {
    let session = try SessionFile(file)
    let description = try session.describe(plugins.finder)
    if json {
      print(SessionJSON.of(description, file: session).rendered())
      return
    }
    let fields = SessionText.fields(description, file: session)
    let width = fields.map(\.0.count).max() ?? 0
    for (label, text) in fields {
      let lines = TextLines.labelled(
        label, DisplayText.plain(text), labelWidth: width, indent: 0, width: Terminal.width())
      print(lines.joined(separator: "\n"))
    }
  }
}

struct SessionEraseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "erase", abstract: "End a session: overwrite its file and remove it.",
    discussion: """
      Asks first, on a terminal. The beginning of the file goes first, so that the session cannot be resumed any more \
      from then on; then everything that was written is overwritten with zeros, and the file is removed.

      What it cannot promise: a flash disk writes elsewhere than where it is told to, and so do file systems that copy \
      when writing; snapshots and backups keep what they have. Only a session under a cipher ends for certain: destroy \
      its key file, or forget its passphrase.
      """)

  @Argument(help: ArgumentHelp("The file that the session is in.", valueName: "file")) var file: String
  @Flag(help: "Do not ask.") var force = false
  @OptionGroup(title: "Plug-ins") var plugins: PluginOptions

  func run() throws {
    let session = try SessionFile(file)
    let name = DisplayText.plain(file)
    switch session.kind {
    case .swapFile, .erased: break
    case .empty, .foreign: try session.check()
    }
    let description = try? session.describe(plugins.finder)
    let what = description.map {
      "the session '\(DisplayText.plain($0.name))' of \(grouped($0.pages)) pages, made \(SessionText.time($0.time))"
    } ?? (session.kind == .erased ? "what is left of an erased session" : "a swap file with no readable session")
    let eraser = try FileEraser(session.path, beginning: SessionFile.erasedMark)
    if !force { try ask("\(name) holds \(what)") }
    Interruption.install()
    try erase(eraser, name)
    print("\(name): erased, \(SizeLabel(session.bytes)) overwritten and removed")
    let isEnciphered = description?.tiers.contains { $0.isMandatory } ?? false
    print(
      "What a disk, a snapshot or a backup has kept of it "
        + (isEnciphered
          ? "opens with its key only: destroy its key file, or forget its passphrase."
          : "can still be read, as it was not enciphered."))
  }

  /// - Throws: when the answer is not yes.
  private func ask(_ what: String) throws {
    guard Terminal.isTerminal(0) else {
      throw ValidationError("\(what); there is no terminal to ask on: say --force to erase it")
    }
    print("\(what). Erase it? [y/N] ", terminator: "")
    fflush(nil)
    guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
      throw TrialError.input("not erased")
    }
  }

  private func erase(_ eraser: FileEraser, _ name: String) throws {
    let shown = ShownWork(.fit(for: Terminal.output, isPlainWanted: true), to: Terminal.output)
    defer { shown.stop() }
    shown.start("erase") { eraser.sample }
    do throws(TrialError) {
      try eraser.run(headLength: SessionFile.beginningBytes)
    } catch {
      guard case .interrupted(let signal) = error else { throw error }
      shown.stop()
      Terminal.complain(
        "stopped by signal \(signal): the session cannot be resumed any more, but \(name) is not overwritten to its "
          + "end; erase it again")
      throw ExitCode(128 + signal)
    }
  }
}

/// What a session says of itself, for people.
enum SessionText {
  static func fields(_ session: SessionDescription, file: SessionFile) -> [(String, String)] {
    var fields = [
      ("session", session.name), ("state", state(session)), ("file", "\(file.path), \(SizeLabel(file.bytes))"),
      ("made", "\(time(session.time)), checkpoint \(session.sequence)"),
      ("pages", "\(grouped(session.pages)) of \(grouped(session.pageSize)) bytes"),
      (
        "index",
        "\(SizeLabel(session.indexBytes))"
          + (session.deltaBytes > 0 ? ", and \(SizeLabel(session.deltaBytes)) of changes since it was written" : "")
      ),
    ]
    if session.hasEndToEndChecksums { fields.append(("checksums", "of every page, from put to take")) }
    for (key, value) in session.attributes.sorted(by: { $0.key < $1.key }) {
      fields.append(("attribute", "\(key) = \(value)"))
    }
    for tier in session.tiers {
      var text = tier.name + (tier.name == tier.plugin ? "" : " (\(tier.plugin))") + " \(tier.version)"
      if tier.isMandatory { text += ", mandatory" }
      for (key, value) in tier.options.sorted(by: { $0.key < $1.key }) { text += ", \(key) = \(value)" }
      fields.append(("tier", text))
    }
    if session.tiers.contains(where: \.isMandatory) {
      fields.append(("", "options of tiers that are not mandatory are enciphered"))
    }
    fields.append(("identity", session.identity))
    return fields
  }

  static func state(_ session: SessionDescription) -> String {
    let once = session.isOnce ? "; it may be resumed only once" : ""
    if session.isUsed { return "used up: it was to be resumed once, and was" }
    if session.isSuspended { return "suspended" + once }
    return "not suspended: the store that had it last ended without that, or still runs; its last checkpoint stands"
      + once
  }

  /// "2026-01-31 08:15:00 UTC".
  static func time(_ seconds: UInt64) -> String {
    var when = time_t(clamping: seconds)
    var parts = tm()
    gmtime_r(&when, &parts)
    var text = [CChar](repeating: 0, count: 64)
    let count = strftime(&text, text.count, "%Y-%m-%d %H:%M:%S UTC", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The same for programs.
enum SessionJSON {
  static func of(_ session: SessionDescription, file: SessionFile) -> JSONValue {
    func texts(_ texts: [String: String]) -> JSONValue {
      .object(texts.sorted { $0.key < $1.key }.map { JSONValue.Member($0.key, .text($0.value)) })
    }
    return .object([
      "file": .text(file.path), "file_bytes": .number(file.bytes), "name": .text(session.name),
      "attributes": texts(session.attributes), "is_suspended": .flag(session.isSuspended),
      "is_once": .flag(session.isOnce),
      "is_used": .flag(session.isUsed), "identity": .text(session.identity),
      "sequence": .number(Int(clamping: session.sequence)),
      "time": .number(Int(clamping: session.time)), "page_size": .number(session.pageSize),
      "pages": .number(session.pages),
      "has_end_to_end_checksums": .flag(session.hasEndToEndChecksums), "index_bytes": .number(session.indexBytes),
      "delta_bytes": .number(session.deltaBytes),
      "tiers": .list(
        session.tiers.map {
          .object([
            "name": .text($0.name), "plugin": .text($0.plugin), "version": .text($0.version),
            "is_mandatory": .flag($0.isMandatory), "options": texts($0.options),
          ])
        }),
    ])
  }
}
