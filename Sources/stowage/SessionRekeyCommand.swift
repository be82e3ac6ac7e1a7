// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageBasics
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

struct SessionRekeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rekey", abstract: "Give a session another key file or passphrase.",
    discussion: """
      Pages stay as they are: only the key that they are enciphered with is put under another one. \
      Who has an old copy of the file and the old key can still open that, and read what is written later.

      If the old key may be known to others, say --reencrypt: every page is written anew under a key of its own, in a \
      file beside this one that takes its place when all of it has been read back; the old one is overwritten. There \
      must be room for both.

      If it ends before its time, the session has the old key or the new one, and is whole.
      """)

  @Argument(help: ArgumentHelp("The file that the session is in.", valueName: "file")) var file: String
  @Flag(help: "Write every page anew, under a key that nothing of the old file opens.") var reencrypt = false
  @OptionGroup(title: "The new key") var keys: KeyOptions
  @OptionGroup(title: "The key until now") var oldKeys: OldKeyOptions
  @OptionGroup(title: "Chain") var chain: SessionChainOptions

  func validate() throws {
    guard keys.isGiven else {
      throw ValidationError("the new key is missing; give --key-file, --passphrase or --passphrase-fd")
    }
    if let fd = keys.passphraseFd, fd == oldKeys.passphraseFd {
      throw ValidationError("--passphrase-fd and --old-passphrase-fd are the same descriptor; give two")
    }
  }

  func run() throws {
    Interruption.install()
    do {
      try rekey()
    } catch TrialError.interrupted(let signal) {
      Terminal.complain("stopped by signal \(signal): the session has the key that it had")
      throw ExitCode(128 + signal)
    }
  }

  private func rekey() throws {
    var opening = try SessionOpening(file, for: reencrypt ? .readOnly : .existing, chain)
    guard !opening.description.isUsed else {
      throw TrialError.input(
        "\(DisplayText.plain(file)): the session was to be resumed once, and was; there is nothing to keep")
    }
    let takers = SessionKey.takers(opening.resolved.chain)
    guard !takers.isEmpty else {
      throw TrialError.input("\(DisplayText.plain(file)): the session has no cipher, and so no key")
    }
    let old = try oldKeys.read()
    guard let new = try keys.read(isNew: true, prompt: "New passphrase") else { return }
    do {
      if reencrypt {
        let count = try SessionReencryption(opening, chain).run(old: old, new: new)
        print("\(DisplayText.plain(file)) opens with \(Self.words(new)) from now on; \(grouped(count)) pages were written anew")
      } else {
        try old?.apply(to: &opening.resolved.chain)
        opening.resolved.configuration.session = opening.session(.alter)
        try rekey(opening, takers, new)
        let pages = grouped(opening.description.pages)
        print("\(DisplayText.plain(file)) opens with \(Self.words(new)) from now on; \(pages) pages stay as they are")
      }
    } catch let error as StoreError {
      throw SessionOpening.explained(error, key: old, opening.resolved.chain, keyOptions: "--old-")
    }
  }

  private static func words(_ key: SessionKey) -> String {
    switch key {
    case .file(let name): "the key file \(DisplayText.plain(name))"
    case .passphrase: "the new passphrase"
    }
  }

  private func rekey(_ opening: SessionOpening, _ takers: [String], _ new: SessionKey) throws {
    let store = try Store(configuration: opening.resolved.configuration, chain: opening.resolved.chain)
    defer { store.close() }
    for tier in opening.resolved.chain where takers.contains(tier.name) {
      try store.rekey(tier: tier.name, options: new.options(for: tier))
    }
    try Interruption.check()
    try store.suspend()
  }
}
