// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageControl
internal import StowageNBD
internal import StowagePlugins
internal import StowageTrial

/// What a daemon says: lines for people, or a JSON object on a line for each event.
struct ServeOutput {
  let json: Bool

  func ready(_ listeners: [Listener], _ exports: ExportSet, isEncrypted: Bool, control: String) {
    let uris = exports.exports.map { export in
      listeners.map { $0.address.uri(export: export.settings.name, isEncrypted: isEncrypted) }
    }
    if json {
      return event([
        "event": .text("ready"), "control": .text(control),
        "exports": .list(
          zip(exports.exports, uris).map { export, uris in
            .object([
              "name": .text(export.settings.name), "size": .number(export.settings.size),
              "uris": .list(uris.map { .text($0) }),
            ])
          }),
      ])
    }
    for (export, uris) in zip(exports.exports, uris) {
      let words = (export.settings.isReadOnly ? ["read-only"] : []) + [export.settings.durability.rawValue]
      let name = DisplayText.plain(export.settings.name)
      for uri in uris { say("\(name): \(SizeLabel(export.settings.size)), \(words.joined(separator: ", ")): \(uri)") }
    }
    say("ready; 'stowage status' tells how it is, 'stowage suspend' ends it")
  }

  func ended(_ text: String, _ members: KeyValuePairs<String, JSONValue>) {
    if json {
      event([JSONValue.Member("event", .text("ended"))] + members.map { JSONValue.Member($0.key, $0.value) })
    } else {
      say(text)
    }
  }

  func note(_ text: String) { Terminal.complain("note: \(text)") }
  func complain(_ text: String) { Terminal.complain(text) }

  private func say(_ line: String) {
    print(line)
    fflush(nil)
  }

  private func event(_ members: KeyValuePairs<String, JSONValue>) {
    event(members.map { JSONValue.Member($0.key, $0.value) })
  }

  private func event(_ members: [JSONValue.Member]) { say(JSONValue.object(members).renderedOnOneLine()) }

  /// A descriptor for each client, and some for the tiers: as many as the system lets it have.
  static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else {
      return
    }
    limit.rlim_cur = min(limit.rlim_max, 65_536)
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
