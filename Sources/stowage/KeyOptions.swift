// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageControl
internal import StowageEngine
internal import StowageTrial

/// The key of a session.
struct KeyOptions: ParsableArguments {
  @Option(
    name: .customLong("key-file"),
    help: ArgumentHelp(
      "Keep the session's key under this file: 32 random bytes that only you may read.",
      discussion: "To make one: (umask 077; head -c 32 /dev/urandom >FILE)", valueName: "file"))
  var keyFile: String?

  @Flag(help: "Keep it under a passphrase, which is asked for on the terminal.") var passphrase = false

  @Option(
    name: .customLong("passphrase-fd"),
    help: ArgumentHelp("Read that passphrase from this descriptor, up to the end of the line.", valueName: "number"))
  var passphraseFd: Int32?

  func validate() throws {
    try KeyInput.check(
      [keyFile != nil, passphrase, passphraseFd != nil], "--key-file, --passphrase and --passphrase-fd")
    try KeyInput.check(descriptor: passphraseFd, "--passphrase-fd")
  }

  var isGiven: Bool { keyFile != nil || passphrase || passphraseFd != nil }

  /// The key that is asked for; nil when there is none.
  /// - Parameters:
  ///   - isNew: it is asked for twice, as a mistyped one would lock the session for ever.
  ///   - prompt: what is asked for, such as "Passphrase".
  func read(isNew: Bool, prompt: String = "Passphrase") throws -> SessionKey? {
    try KeyInput.read(file: keyFile, asks: passphrase, descriptor: passphraseFd, isNew: isNew, prompt: prompt)
  }

  /// How a later command gives the same key; empty when it finds it by itself.
  var hint: String { passphrase || passphraseFd != nil ? " --passphrase" : "" }
}

/// The key that a session has now, where another one is to be given to it.
struct OldKeyOptions: ParsableArguments {
  @Option(
    name: .customLong("old-key-file"),
    help: ArgumentHelp("The key file that the session has now (default: the one that it names).", valueName: "file"))
  var keyFile: String?

  @Flag(name: .customLong("old-passphrase"), help: "It has a passphrase now, which is asked for on the terminal.")
  var passphrase = false

  @Option(
    name: .customLong("old-passphrase-fd"),
    help: ArgumentHelp("Read that passphrase from this descriptor, up to the end of the line.", valueName: "number"))
  var passphraseFd: Int32?

  func validate() throws {
    try KeyInput.check(
      [keyFile != nil, passphrase, passphraseFd != nil], "--old-key-file, --old-passphrase and --old-passphrase-fd")
    try KeyInput.check(descriptor: passphraseFd, "--old-passphrase-fd")
  }

  func read() throws -> SessionKey? {
    try KeyInput.read(
      file: keyFile, asks: passphrase, descriptor: passphraseFd, isNew: false, prompt: "Passphrase until now")
  }
}

/// Where keys come from.
enum KeyInput {
  static func check(_ given: [Bool], _ names: String) throws {
    guard given.count(where: { $0 }) < 2 else {
      throw ValidationError("\(names): a session has one key; give one of them")
    }
  }

  static func check(descriptor: Int32?, _ name: String) throws {
    guard let descriptor else { return }
    guard descriptor >= 0, fcntl(descriptor, F_GETFD) >= 0 else {
      throw ValidationError(
        "\(name) \(descriptor): this descriptor is not open; give one that the shell opens, such as 3<FILE")
    }
  }

  static func read(
    file: String?, asks: Bool, descriptor: Int32?, isNew: Bool, prompt: String
  ) throws -> SessionKey? {
    if let file { return .file(file) }
    if let descriptor { return .passphrase(try PassphraseReader.read(descriptor: descriptor)) }
    guard asks else { return nil }
    let first = try PassphraseReader.ask("\(prompt): ")
    guard isNew else { return .passphrase(first) }
    guard try PassphraseReader.ask("\(prompt), once more: ") == first else {
      throw TrialError.input("the two passphrases differ: nothing was done")
    }
    return .passphrase(first)
  }
}
