// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageBasics
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

/// Writes a session anew under a key that nothing of the old file opens.
///
/// The new session is made beside the old file, read back as a whole, and renamed over it; then the old one is
/// overwritten. Whenever that ends, the file has one of the two, whole.
struct SessionReencryption {
  private let opening: SessionOpening
  private let options: SessionChainOptions
  private let path: String
  /// The new session until it is complete, and the old one from then on.
  private let new: String
  private let replaced: String

  init(_ opening: SessionOpening, _ options: SessionChainOptions) throws {
    self.opening = opening
    self.options = options
    // Names are exchanged, so the file's own is needed.
    guard let real = realpath(opening.file.path, nil) else {
      throw TrialError.input("\(DisplayText.plain(opening.file.path)): \(String(cString: strerror(errno)))")
    }
    defer { free(real) }
    path = String(cString: real)
    new = path + ".reencrypted"
    replaced = path + ".replaced"
  }

  /// - Returns: how many pages it has.
  func run(old: SessionKey?, new key: SessionKey) throws -> Int {
    // From here to the exchange nobody else opens the session to write: what came after the copy would be lost.
    let hold = try SharedHold(path)
    try checkPlace()
    var source = opening.resolved
    try old?.apply(to: &source.chain)
    source.configuration.session = opening.session(.inspect)
    let shown = ShownWork(.fit(for: Terminal.output, isPlainWanted: true), to: Terminal.output)
    defer { shown.stop() }
    do {
      let count = try copy(source, try target(key), shown)
      try verify(try target(key, isComplete: true), count, shown)
      try exchange(hold)
      hold.release()
      try erase(shown)
      return count
    } catch {
      unlink(new)
      throw error
    }
  }

  /// What an earlier run left behind may go when it is nothing else, and not in use.
  private func checkPlace() throws {
    // Ended between its two steps: the name is a second one of the session itself.
    if SharedHold.isSame(replaced, path) { unlink(replaced) }
    guard access(replaced, F_OK) != 0 else {
      let name = DisplayText.plain(replaced)
      throw TrialError.input(
        "\(name) is there, the session as it was before an earlier change of the key: end it with "
          + "'stowage session erase \(name)', and try again")
    }
    guard access(new, F_OK) == 0 else { return }
    let left = try SessionFile(new)
    guard left.kind == .swapFile || left.kind == .empty else {
      throw TrialError.input("\(DisplayText.plain(new)) is in the way: the new session is written there first; move it")
    }
    // It is refused while it is in use.
    _ = try FileEraser(new, beginning: SessionFile.erasedMark)
    guard unlink(new) == 0 else { throw failure("cannot be removed", new) }
  }

  /// The chain of the new session: that of the old one, with a file and keys of its own.
  private func target(_ key: SessionKey, isComplete: Bool = false) throws -> ResolvedChain {
    var settings = ChainSettings()
    settings.memory = opening.resolved.configuration.memoryLimit
    let file = isComplete ? try SessionFile(new) : opening.file
    SessionChain.adopt(opening.description, file, for: isComplete ? .readOnly : .existing, in: &settings)
    if !isComplete {
      let room = max(opening.file.bytes - SessionFile.beginningBytes, 0)
      SessionChain.place(["path": .text(new), "open": .text("create"), "size": .word(String(room))], in: &settings)
    }
    let resolver = ChainResolver(
      finder: options.plugins.finder, overrides: try OptionOverride.parse(options.set))
    var resolved = try resolver.resolve(settings, defaultMemory: SessionOpening.memory(for: opening.description))
    try key.apply(to: &resolved.chain)
    resolved.configuration.session = opening.session(isComplete ? .inspect : .create(replacing: false))
    return resolved
  }

  private func copy(_ source: ResolvedChain, _ target: ResolvedChain, _ shown: ShownWork) throws -> Int {
    let from = try Store(configuration: source.configuration, chain: source.chain)
    defer { from.close() }
    let to: Store
    do {
      to = try Store(configuration: target.configuration, chain: target.chain)
    } catch {
      throw TrialError.input("the new session cannot be begun: \(error)")
    }
    defer { to.close() }
    do {
      let count = try SessionCopy(from: from, to: to).run { shown.start("reencrypt", $0) }
      try Interruption.check()
      try to.suspend()
      shown.stop()
      return count
    } catch StoreError.full(let reason) {
      throw TrialError.input(
        "\(reason); the new file has the size of the old one, or what --set \(swapName).size=SIZE says")
    } catch StoreError.unreadable(let handle, _, let reason) {
      throw TrialError.input(
        "page \(handle) cannot be read (\(reason)), and a session is written anew as a whole or not at all; "
          + "'stowage session verify' names all such pages")
    }
  }

  private var swapName: String { opening.description.tiers.last?.name ?? SessionFile.plugin }

  /// Reads all of the new session before the old one goes.
  private func verify(_ target: ResolvedChain, _ count: Int, _ shown: ShownWork) throws {
    let check = PageCheck(configuration: target.configuration, chain: target.chain)
    let result = try check.run { shown.start("verify", $0) }
    shown.stop()
    guard result.pages == count, result.findings.isEmpty else {
      let why =
        result.findings.first.map { "page \($0.handle): \($0.reason)" } ?? "it has \(result.pages) of \(count) pages"
      throw TrialError.input("the new session does not read back as it was written (\(why)); the old one is as it was")
    }
  }

  /// The file's name goes to the new session, and the old one gets another name, so that it can be overwritten.
  private func exchange(_ hold: SharedHold) throws {
    guard hold.isStill(path) else {
      throw TrialError.input("\(DisplayText.plain(path)) is another file than when this began; nothing was changed")
    }
    var status = stat()
    guard stat(path, &status) == 0, chmod(new, status.st_mode & 0o7777) == 0 else {
      throw failure("cannot be looked at", path)
    }
    if geteuid() == 0 { _ = chown(new, status.st_uid, status.st_gid) }
    guard link(path, replaced) == 0 else { throw failure("cannot get a second name", path) }
    guard rename(new, path) == 0 else {
      let problem = failure("cannot take the place of the old session", new)
      unlink(replaced)
      throw problem
    }
    try syncFolder()
  }

  /// The old session is not overwritten before the new one is sure to be found.
  private func syncFolder() throws {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let descriptor = open(folder.isEmpty ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    let result = descriptor >= 0 ? fsync(descriptor) : -1
    let reason = String(cString: strerror(errno))
    if descriptor >= 0 { close(descriptor) }
    guard result == 0 else {
      throw TrialError.input(
        "the session has its new key, but whether that outlives a power cut is not known (\(reason)): the old one is kept, as "
          + DisplayText.plain(replaced))
    }
  }

  private func erase(_ shown: ShownWork) throws {
    do throws(TrialError) {
      let eraser = try FileEraser(replaced, beginning: SessionFile.erasedMark)
      shown.start("erase") { eraser.sample }
      try eraser.run(headLength: SessionFile.beginningBytes)
    } catch {
      let name = DisplayText.plain(replaced)
      throw TrialError.input(
        "the session has its new key, but the old one is not overwritten to its end (\(error)): end it with "
          + "'stowage session erase \(name)'")
    }
    shown.stop()
  }

  private func failure(_ what: String, _ name: String) -> TrialError {
    .input("\(DisplayText.plain(name)) \(what): \(String(cString: strerror(errno)))")
  }
}
