// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// `stowage trial --suspend-to` and `--resume-from`, and `stowage session`: each step in a process of its own.
@Suite(.serialized) struct SessionCommandTests {
  @Test("suspended under a key file, resumed twice, verified, erased", .timeLimit(.minutes(3)))
  func keyFile() throws {
    let shop = try SessionWorkshop()
    try shop.keyFile("key")
    let suspended = try shop.suspend("s", ["--key-file", "key"])
    #expect(suspended.status == 0, "\(suspended.errors)")
    #expect(suspended.output.contains("3,000 pages are suspended in s."))
    #expect(suspended.output.contains("stowage trial --resume-from s "))
    // The key file is named in the session.
    for more in [[], ["--key-file", "key"]] {
      let resumed = try shop.resume("s", more)
      #expect(resumed.status == 0, "\(resumed.output) \(resumed.errors)")
      #expect(resumed.output.contains("All 3,000 pages came back as the first process put them."))
    }
    let verified = try shop.session("verify", "s")
    #expect(verified.status == 0, "\(verified.output) \(verified.errors)")
    #expect(verified.output.contains("pages of s are good"))

    try shop.keyFile("other")
    let other = ["--key-file", "other"]
    for outcome in [try shop.resume("s", other), try shop.session("verify", "s", other)] {
      #expect(outcome.errors.contains("is not the one that this session was saved with"), "\(outcome.errors)")
      #expect(!outcome.errors.lowercased().contains("damaged"))
      #expect(outcome.status == 1 || outcome.status == 3)
    }

    let refused = try shop.session("erase", "s")
    #expect(refused.status == 2 && refused.errors.contains("--force"), "\(refused.errors)")
    let erased = try shop.session("erase", "s", ["--force"])
    #expect(erased.status == 0, "\(erased.errors)")
    #expect(erased.output.contains("destroy its key file"))
    #expect(!FileManager.default.fileExists(atPath: shop.path("s")))
    let gone = try shop.resume("s")
    #expect(gone.status == 1 && gone.errors.contains("No such file"), "\(gone.errors)")
  }

  @Test("a passphrase by descriptor: right, wrong, missing, of the other kind", .timeLimit(.minutes(3)))
  func passphrase() throws {
    let shop = try SessionWorkshop(pages: 1_000)
    let suspended = try shop.suspend("s", ["--passphrase-fd", "3"], fd3: "correct horse\nmore")
    #expect(suspended.status == 0, "\(suspended.errors)")
    #expect(suspended.output.contains("--resume-from s --passphrase"))
    // Without the newline too.
    let resumed = try shop.resume("s", ["--passphrase-fd", "3", "--json"], fd3: "correct horse")
    #expect(resumed.status == 0, "\(resumed.errors)")
    let report = try parsedJSON(resumed.output)
    #expect(report["pages"] as? Int == 1_000 && report["same"] as? Int == 1_000 && report["mismatches"] as? Int == 0)

    let wrong = try shop.resume("s", ["--passphrase-fd", "3"], fd3: "incorrect horse\n")
    #expect(wrong.status == 1 && wrong.errors.contains("the passphrase is not the one"), "\(wrong.errors)")
    let missing = try shop.resume("s")
    #expect(missing.status == 1 && missing.errors.contains("with --passphrase"), "\(missing.errors)")
    try shop.keyFile("key")
    let other = try shop.resume("s", ["--key-file", "key"])
    #expect(other.status == 1 && other.errors.contains("saved with a passphrase"), "\(other.errors)")
    let unknown = try shop.session("verify", "s", ["--passphrase-fd", "3", "--json"], fd3: "wrong\n")
    #expect(unknown.status == 3)
    #expect(try parsedJSON(unknown.output)["fault"] as? String == "unknown")
    for outcome in [wrong, missing, other, unknown] {
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
      #expect(!outcome.errors.contains("amaged"), "\(outcome.errors)")
    }
    let good = try shop.session("verify", "s", ["--passphrase-fd", "3", "--json"], fd3: "correct horse\n")
    #expect(good.status == 0, "\(good.errors)")
    #expect(try parsedJSON(good.output)["is_good"] as? Bool == true)
  }

  @Test("without a cipher; marked to be resumed once", .timeLimit(.minutes(3)))
  func once() throws {
    let shop = try SessionWorkshop(pages: 1_000)
    let chain = try shop.chain("lz4", "swapfile")
    let suspended = try shop.suspend("s", ["--config", chain, "--once", "--json"])
    #expect(suspended.status == 0, "\(suspended.errors)")
    let report = try parsedJSON(suspended.output)
    #expect(report["pages"] as? Int == 1_000 && report["destructor_faults"] as? Int == 0)
    #expect(!FileManager.default.fileExists(atPath: shop.path("elsewhere")))

    let before = try parsedJSON(try shop.session("info", "s", ["--json"]).output)
    #expect(before["is_suspended"] as? Bool == true && before["is_used"] as? Bool == false)
    #expect(before["is_once"] as? Bool == true && before["name"] as? String == "stowage trial")
    #expect((before["tiers"] as? [[String: Any]])?.compactMap { $0["plugin"] as? String } == ["lz4", "swapfile"])

    #expect(try shop.resume("s").status == 0)
    let again = try shop.resume("s")
    #expect(again.status == 1 && again.errors.contains("to be resumed once"), "\(again.errors)")
    #expect(again.errors.contains("--force"), "\(again.errors)")
    let info = try shop.session("info", "s")
    #expect(info.status == 0 && info.output.contains("used up"))
    let forced = try shop.resume("s", ["--force"])
    #expect(forced.status == 0, "\(forced.errors)")
    let erased = try shop.session("erase", "s", ["--force"])
    #expect(erased.status == 0 && erased.output.contains("can still be read"), "\(erased.errors)")
  }

  @Test("the ephemeral key is refused before anything is put, and nothing is left", .timeLimit(.minutes(1)))
  func ephemeral() throws {
    let shop = try SessionWorkshop(pages: 1_000)
    let outcome = try shop.suspend("s", [])
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("only as long as the process"), "\(outcome.errors)")
    #expect(outcome.errors.contains("--key-file FILE or --passphrase"), "\(outcome.errors)")
    #expect(!outcome.output.contains("burst"))
    #expect(!FileManager.default.fileExists(atPath: shop.path("s")))
  }

  @Test("wrong uses are explained")
  func wrongUse() throws {
    let shop = try SessionWorkshop(pages: 10)
    try shop.folder.write("precious", to: "precious")
    try shop.folder.write("", to: "empty")
    let (key, chain) = (try shop.keyFile("key"), try shop.chain("lz4", "swapfile"))
    for (arguments, message) in [
      (["trial", "--suspend-to", "a", "--resume-from", "b"], "give one of them"),
      (["trial", "--suspend-to", "precious", "--file", "pages"], "overwrites nothing"),
      (["trial", "--suspend-to", "s", "--file", "pages", "--set", "aes-gcm.passphrase=x"], "--passphrase-fd"),
      (["trial", "--resume-from", "b", "--file", "pages"], "takes the pages that were suspended"),
      (["trial", "--once"], "with --suspend-to"),
      (["trial", "--suspend-to", "s", "--passphrase-fd", "77"], "is not open"),
      (["trial", "--suspend-to", "s", "--passphrase-fd", "3", "--file", "pages"], "the passphrase is empty"),
      (["trial", "--suspend-to", "s", "--key-file", key, "--passphrase"], "a session has one key"),
      (["trial", "--suspend-to", "s", "--file", "pages", "--key-file", "missing"], "missing"),
      (
        ["trial", "--suspend-to", "s", "--file", "pages", "--key-file", key, "--config", chain],
        "no tier of this chain"
      ),
      (["trial", "--resume-from", "precious"], "it is no swap file of Stowage"),
      (["session", "info", "precious"], "it is no swap file of Stowage"),
      (["session", "verify", "empty"], "it is empty"),
      (["session", "verify", "."], "no regular file"),
      (["session", "info", "missing"], "No such file"),
      (["session", "erase", "precious", "--force"], "it is no swap file of Stowage"),
      (["session", "rekey", "precious"], "the new key is missing"),
      (["session", "rekey", "precious", "--passphrase-fd", "3", "--old-passphrase-fd", "3"], "give two"),
    ] {
      let outcome = try shop.stowage(arguments)
      #expect(outcome.status != 0, "\(arguments)")
      #expect(outcome.errors.contains(message), "\(arguments): \(outcome.errors)")
    }
    #expect(try String(contentsOfFile: shop.path("precious"), encoding: .utf8) == "precious")
    #expect(!FileManager.default.fileExists(atPath: shop.path("s")))
  }

  @Test("another key: from a key file to a passphrase and back", .timeLimit(.minutes(3)))
  func rekey() throws {
    let shop = try SessionWorkshop(pages: 1_000)
    try shop.keyFile("first")
    try shop.keyFile("second")
    #expect(try shop.suspend("s", ["--key-file", "first"]).status == 0)
    let wrong = try shop.session("rekey", "s", ["--passphrase-fd", "3", "--old-key-file", "second"], fd3: "new\n")
    #expect(wrong.status == 1 && wrong.errors.contains("is not the one"), "\(wrong.errors)")

    let changed = try shop.session("rekey", "s", ["--passphrase-fd", "3"], fd3: "new\n")
    #expect(changed.status == 0, "\(changed.errors)")
    let old = try shop.resume("s", ["--key-file", "first"])
    #expect(old.status == 1 && old.errors.contains("saved with a passphrase"), "\(old.errors)")
    let resumed = try shop.resume("s", ["--passphrase-fd", "3"], fd3: "new\n")
    #expect(resumed.status == 0, "\(resumed.output) \(resumed.errors)")

    let back = try shop.session(
      "rekey", "s", ["--key-file", "second", "--old-passphrase-fd", "4"], fd4: "new\n")
    #expect(back.status == 0, "\(back.errors)")
    #expect(try shop.session("verify", "s", ["--passphrase-fd", "3"], fd3: "new\n").status == 3)
    let verified = try shop.session("verify", "s")
    #expect(verified.status == 0, "\(verified.output) \(verified.errors)")
    #expect(try shop.session("info", "s").output.contains("suspended"))
    #expect(try shop.resume("s").status == 0)
  }

  @Test(
    "every page anew: the old key opens nothing any more, and nothing is left of the old file", .timeLimit(.minutes(3)))
  func reencrypt() throws {
    let shop = try SessionWorkshop(pages: 2_000)
    try shop.keyFile("first")
    try shop.keyFile("second")
    #expect(try shop.suspend("s", ["--key-file", "first"]).status == 0)
    let before = try Data(contentsOf: shop.folder.file("s"))
    let wrong = try shop.session("rekey", "s", ["--reencrypt", "--key-file", "second", "--old-key-file", "second"])
    #expect(wrong.status == 1 && wrong.errors.contains("is not the one"), "\(wrong.errors)")
    #expect(try Data(contentsOf: shop.folder.file("s")) == before)
    // What is in the way stays.
    try shop.folder.write("precious", to: "s.reencrypted")
    let blocked = try shop.session("rekey", "s", ["--reencrypt", "--key-file", "second"])
    #expect(blocked.status == 1 && blocked.errors.contains("s.reencrypted is in the way"), "\(blocked.errors)")
    #expect(try String(contentsOfFile: shop.path("s.reencrypted"), encoding: .utf8) == "precious")
    try FileManager.default.removeItem(at: shop.folder.file("s.reencrypted"))

    let changed = try shop.session("rekey", "s", ["--reencrypt", "--key-file", "second"])
    #expect(
      changed.status == 0 && changed.output.contains(" pages were written anew"), "\(changed.output) \(changed.errors)")
    for left in ["s.reencrypted", "s.replaced"] { #expect(!FileManager.default.fileExists(atPath: shop.path(left))) }
    let old = try shop.resume("s", ["--key-file", "first"])
    #expect(old.status == 1 && old.errors.contains("is not the one"), "\(old.errors)")
    #expect(try shop.session("verify", "s").status == 0)
    // No slot is as it was: neither of an old page, nor of an old key.
    let after = try Data(contentsOf: shop.folder.file("s"))
    func slots(_ file: Data) -> Set<Data> {
      Set(
        stride(from: 65_536, to: file.count - 4095, by: 4096).map { file[$0..<$0 + 4096] }.filter {
          $0.contains { $0 != 0 }
        })
    }
    #expect(slots(before).count > 100 && slots(before).isDisjoint(with: slots(after)))
    let resumed = try shop.resume("s")
    #expect(resumed.status == 0, "\(resumed.output) \(resumed.errors)")
  }

  @Test(
    "killed while every page is written anew, the session has one key or the other, and is whole",
    .timeLimit(.minutes(5)))
  func reencryptKilled() throws {
    let shop = try SessionWorkshop(pages: 2_000)
    try shop.keyFile("first")
    try shop.keyFile("second")
    #expect(try shop.suspend("s", ["--key-file", "first"]).status == 0)
    var (killed, keys) = (0, ["first", "second"])
    for round in 0..<24 {
      // From the first moments to a little longer than it takes.
      let seconds = 0.05 + Double(round) * 0.06
      let run = try Command.run(
        "/usr/bin/timeout",
        ["-s", "KILL", "\(seconds)", Command.stowage, "session", "rekey", "s", "--reencrypt", "--key-file", keys[1]]
          + SessionWorkshop.search,
        environment: ["STOWAGE_PLUGIN_PATH": nil, "HOME": "/nonexistent"], in: shop.folder.url)
      #expect([0, 137].contains(run.status), "round \(round): \(run.status) \(run.errors)")
      if run.status == 137 { killed += 1 }
      let verified = try shop.session("verify", "s")
      #expect(verified.status == 0, "round \(round): \(verified.output) \(verified.errors)")
      let description = try parsedJSON(try shop.session("info", "s", ["--json"]).output)
      if "\(description)".contains("/" + keys[1]) { keys.swapAt(0, 1) }
      if FileManager.default.fileExists(atPath: shop.path("s.replaced")) {
        let refused = try shop.session("rekey", "s", ["--reencrypt", "--key-file", keys[1]])
        #expect(refused.status == 1 && refused.errors.contains("stowage session erase"), "\(refused.errors)")
        let erased = try shop.session("erase", "s.replaced", ["--force"])
        #expect(erased.status == 0, "round \(round): \(erased.errors)")
      }
    }
    print("reencrypt: \(killed) of 24 killed")
    // Between the two steps of the exchange: the name is a second one of the session.
    if FileManager.default.fileExists(atPath: shop.path("s.replaced")) {
      try FileManager.default.removeItem(at: shop.folder.file("s.replaced"))
    }
    #expect(link(shop.path("s"), shop.path("s.replaced")) == 0)
    let twice = try shop.session("erase", "s.replaced", ["--force"])
    #expect(twice.status == 1 && twice.errors.contains("has 2 names"), "\(twice.errors)")
    let again = try shop.session("rekey", "s", ["--reencrypt", "--key-file", keys[1]])
    #expect(again.status == 0, "\(again.output) \(again.errors)")
    #expect(!FileManager.default.fileExists(atPath: shop.path("s.replaced")))
    #expect(killed > 5)
    #expect(try shop.resume("s").status == 0)
  }

  @Test("a passphrase is asked for on the terminal, twice when it is new, and never shown", .timeLimit(.minutes(3)))
  func terminal() throws {
    let shop = try SessionWorkshop(pages: 500)
    let suspend =
      ["trial", "--suspend-to", "s", "--file", "pages", "--cache-pages", "0", "--passphrase"] + SessionWorkshop.search
    var terminal = try TestTerminal(suspend, in: shop.folder.url)
    try terminal.when("Passphrase: ", type: "quite secret\n")
    try terminal.when("once more: ", type: "quite secrte\n")
    #expect(terminal.wait() == 1)
    #expect(terminal.shown.contains("differ"), "\(terminal.shown)")

    terminal = try TestTerminal(suspend, in: shop.folder.url)
    try terminal.when("Passphrase: ", type: "quite secret\n")
    try terminal.when("once more: ", type: "quite secret\n")
    #expect(terminal.wait() == 0, "\(terminal.shown)")
    #expect(!terminal.shown.contains("secret"))

    terminal = try TestTerminal(
      ["session", "verify", "s", "--passphrase"] + SessionWorkshop.search, in: shop.folder.url)
    try terminal.when("Passphrase: ", type: "quite secret\n")
    #expect(terminal.wait() == 0, "\(terminal.shown)")
    #expect(terminal.shown.contains("pages of s are good") && !terminal.shown.contains("secret"))

    // Ctrl-C while asked: the terminal has its echo again.
    terminal = try TestTerminal(
      ["session", "verify", "s", "--passphrase"] + SessionWorkshop.search, in: shop.folder.url)
    try terminal.when("Passphrase: ", type: "\u{3}")
    #expect(terminal.wait() == 130, "\(terminal.shown)")

    terminal = try TestTerminal(["session", "erase", "s"] + SessionWorkshop.search, in: shop.folder.url)
    try terminal.when("Erase it?", type: "n\n")
    #expect(terminal.wait() == 1 && FileManager.default.fileExists(atPath: shop.path("s")))
    terminal = try TestTerminal(["session", "erase", "s"] + SessionWorkshop.search, in: shop.folder.url)
    try terminal.when("Erase it?", type: "y\n")
    #expect(terminal.wait() == 0 && !FileManager.default.fileExists(atPath: shop.path("s")))
  }

  @Test("what the README says of suspending works as it stands there", .timeLimit(.minutes(3)))
  func readme() throws {
    let text = try String(contentsOf: TierCompiler.checkout.appendingPathComponent("README.md"), encoding: .utf8)
    let rest = try #require(text.components(separatedBy: "## Suspend and resume\n").last)
    let section = try #require(rest.components(separatedBy: "\n## ").first)
    let parts = section.components(separatedBy: "```")
    let block = try #require(parts.count >= 2 ? parts[1] : nil)
    #expect(block.hasPrefix("sh\n") && block.contains("--suspend-to") && block.contains("--resume-from"))
    let shop = try SessionWorkshop(pages: 1)
    let bin = shop.folder.file("bin")
    try FileManager.default.createDirectory(at: bin, withIntermediateDirectories: false)
    try FileManager.default.copyItem(atPath: Command.stowage, toPath: bin.appendingPathComponent("stowage").path)
    try FileManager.default.moveItem(at: shop.folder.file("plugins"), to: bin.appendingPathComponent("plugins"))
    let outcome = try Command.run(
      "/bin/sh", ["-euc", String(block.dropFirst(3))],
      environment: ["STOWAGE_PLUGIN_PATH": nil, "HOME": "/nonexistent"], in: shop.folder.url)
    #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
    #expect(outcome.output.contains("came back as the first process put them."))
  }
}
