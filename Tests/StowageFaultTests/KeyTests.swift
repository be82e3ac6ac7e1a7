// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import Glibc
import StowageBasics
import StowageTestSupport
import Testing

extension FaultTests {
  /// aes-gcm: keys that outlive an instance.
  @Suite struct KeyTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    enum Source: CaseIterable { case keyFile, passphrase }

    private func keyFile(_ mark: UInt8, name: String = "key") throws -> OpenedTier.Value {
      let file = folder.file("\(name)-\(mark)")
      try Data((0..<32).map { $0 ^ mark }).write(to: file)
      chmod(file.path, 0o600)
      return .text(file.path)
    }

    private func options(_ source: Source, _ mark: UInt8 = 1) throws -> [String: OpenedTier.Value] {
      switch source {
      case .keyFile: ["key-file": try keyFile(mark)]
      case .passphrase: ["passphrase": .text("phrase \(mark)")]
      }
    }

    private func open(_ options: [String: OpenedTier.Value], epoch: UInt32 = 1) throws -> OpenedTier {
      try OpenedTier("aes-gcm", options, epoch: epoch)
    }

    private func seal(_ tier: OpenedTier, ids: Range<UInt64> = 0..<5) throws -> [SealedObject] {
      let context = try tier.context()
      return try ids.map { try tier.encode([UInt8](repeating: UInt8($0), count: 777), id: $0, context) }
    }

    /// All of them, in an order of its own.
    private func expectBack(_ objects: [SealedObject], _ tier: OpenedTier) throws {
      var random = SeededRandom(TestSeed.value, #function)
      let context = try tier.context()
      for object in objects.shuffled(using: &random) { #expect(try tier.decode(object, context) == object.plain) }
    }

    // MARK: Ways that work

    @Test("a state made by another program, and objects under it, are read", arguments: SavedStates.all.map(\.name))
    func knownAnswers(_ name: String) throws {
      let known = try SavedStates.named(name)
      let tier = try known.open(epoch: 90, folder)
      try tier.loadState(known.savedState)
      let objects = known.objects.map(\.sealed)
      #expect(!objects.isEmpty || name == "no epochs")
      try expectBack(objects, tier)
      // And what it writes begins with what it was given: version, wrapped key and epochs.
      let saved = try tier.saveState()
      let given = known.savedState
      #expect(saved.count == given.count + 56)
      #expect(saved[16..<given.count - 48] == given[16..<given.count - 48])
    }

    @Test("the fixture has all cases") func fixture() {
      #expect(SavedStates.all.count == 5)
    }

    @Test("three runs: each reads what all before it encrypted, its own too", arguments: Source.allCases)
    func generations(_ source: Source) throws {
      var objects: [SealedObject] = []
      var states: [[UInt8]] = []
      for epoch in [UInt32(8), 3, 900] {
        let tier = try open(try options(source), epoch: epoch)
        if let state = states.last { try tier.loadState(state) }
        states.append(try tier.saveState())
        // The same ids in every run.
        objects += try seal(tier)
        try expectBack(objects, tier)
        #expect(try tier.saveState() == states.last)
      }
      #expect(states.map(\.count) == [216, 272, 328])
      let last = try open(try options(source), epoch: 5)
      try last.loadState(states[2])
      try expectBack(objects, last)
      // A state knows nothing of later runs.
      let early = try open(try options(source), epoch: 5)
      try early.loadState(states[1])
      let context = try early.context()
      try expectBack(Array(objects.prefix(10)), early)
      for object in objects.suffix(5) {
        let answer = TierAnswer.of { _ = try early.decode(object, context) }
        let isNamed = answer?.code == STOWAGE_AUTH && answer?.text.contains("epoch 900") == true
        #expect(isNamed, "\(String(describing: answer))")
        // And the context goes on.
        #expect(try early.decode(objects[0], context) == objects[0].plain)
      }
    }

    @Test("many threads read objects of several epochs, and save, at once")
    func threads() throws {
      let known = try SavedStates.named("a key file")
      let tier = try known.open(epoch: 4, folder)
      try tier.loadState(known.savedState)
      let objects = known.objects.map(\.sealed) + (try seal(tier, ids: 100..<110))
      // One for each thread.
      nonisolated(unsafe) let contexts = try (0..<4).map { _ in try tier.context() }
      let state = try tier.saveState()
      let wrong = Locked(0)
      DispatchQueue.concurrentPerform(iterations: 4) { thread in
        for round in 0..<500 {
          let object = objects[(round * 7 + thread * 3) % objects.count]
          let isRight = (try? tier.decode(object, contexts[thread])) == object.plain
          let isSaved = round % 50 > 0 || (try? tier.saveState()) == state
          if !isRight || !isSaved { wrong.withLock { $0 += 1 } }
        }
      }
      #expect(wrong.withLock { $0 } == 0)
    }

    @Test("no two instances encrypt alike, though key, name, epoch and ids are the same")
    func unique() throws {
      let state = try open(try options(.keyFile), epoch: 2).saveState()
      var seen: Set<[UInt8]> = []
      var salts: Set<[UInt8]> = []
      for round in 0..<60 {
        let tier = try open(round % 3 == 0 ? [:] : try options(.keyFile))
        if round % 3 == 2 { try tier.loadState(state) }
        for object in try seal(tier, ids: 7..<8) { seen.insert(object.bytes) }
        if round % 3 > 0 { salts.insert(Array(try tier.saveState().suffix(80).prefix(32))) }
      }
      #expect(seen.count == 60)
      #expect(salts.count == 40)
    }

    // MARK: Ways that are refused

    private func expect(_ code: Int32, _ texts: [String], _ body: () throws -> Void) {
      let answer = TierAnswer.of(body)
      #expect(answer?.code == code, "\(String(describing: answer))")
      for text in texts { #expect(answer?.text.contains(text) == true, "\(String(describing: answer))") }
    }

    @Test("keys that end with the process are not saved, and the way out is named")
    func ephemeral() throws {
      let tier = try open([:])
      expect(STOWAGE_UNSUPPORTED, ["lasts only as long", "'key-file'", "'passphrase'"]) { _ = try tier.saveState() }
      #expect(try seal(tier).count == 5)
    }

    @Test("another key is told apart from damage, in words")
    func otherKeys() throws {
      let file = try open(try options(.keyFile)).saveState()
      let phrase = try open(try options(.passphrase)).saveState()
      func load(_ state: [UInt8], _ options: [String: OpenedTier.Value]) throws {
        try open(options, epoch: 2).loadState(state)
      }
      expect(STOWAGE_AUTH, ["key-2 is not the one"]) { try load(file, ["key-file": try keyFile(2)]) }
      expect(STOWAGE_AUTH, ["the passphrase is not the one"]) { try load(phrase, try options(.passphrase, 2)) }
      expect(STOWAGE_INVALID, ["a key file", "'passphrase' is given", "'key-file'"]) {
        try load(file, try options(.passphrase))
      }
      expect(STOWAGE_INVALID, ["a passphrase", "'key-file' is given", "'passphrase'"]) {
        try load(phrase, try options(.keyFile))
      }
      expect(STOWAGE_INVALID, ["'key-file'"]) { try load(file, [:]) }
      expect(STOWAGE_INVALID, ["'passphrase'"]) { try load(phrase, [:]) }
      expect(STOWAGE_INVALID, ["'key-file'", "'passphrase'"]) {
        _ = try open(["key-file": try keyFile(1), "passphrase": .text("phrase 1")])
      }
      for text in ["", String(repeating: "x", count: 1025)] {
        expect(STOWAGE_INVALID, ["\(text.count) bytes"]) { _ = try open(["passphrase": .text(text)]) }
      }
      try load(phrase, ["passphrase": .text("phrase 1")])
    }

    @Test("a state comes first, once, and is not of the instance's own epoch")
    func order() throws {
      let state = try open(try options(.keyFile), epoch: 6).saveState()
      expect(STOWAGE_INVALID, ["epoch 6"]) { try open(try options(.keyFile), epoch: 6).loadState(state) }
      let tier = try open(try options(.keyFile), epoch: 7)
      try tier.loadState(state)
      expect(STOWAGE_INVALID, ["once"]) { try tier.loadState(state) }
      let used = try open(try options(.keyFile), epoch: 7)
      _ = try seal(used)
      expect(STOWAGE_INVALID, ["before any other use"]) { try used.loadState(state) }
    }

    @Test(
      "a key file that others can use is refused, with what to do",
      arguments: [0o640, 0o604, 0o660, 0o602, 0o777, 0o620])
    func looseRights(_ mode: mode_t) throws {
      let file = try keyFile(1)
      guard case .text(let path) = file else { return }
      chmod(path, mode)
      expect(STOWAGE_INVALID, [path, "mode 0\(String(mode, radix: 8))", "chmod 600"]) {
        _ = try open(["key-file": file])
      }
      for mode in [mode_t(0o600), 0o400] {
        chmod(path, mode)
        _ = try open(["key-file": file]).saveState()
      }
    }

    @Test("a key file has 32 bytes, is a file, and is there")
    func keyFiles() throws {
      for count in [0, 1, 31, 33, 64] {
        let file = folder.file("\(count)")
        try Data(count: count).write(to: file)
        chmod(file.path, 0o600)
        expect(STOWAGE_INVALID, [file.path, "\(count) bytes", "/dev/urandom"]) {
          _ = try open(["key-file": .text(file.path)])
        }
      }
      expect(STOWAGE_GONE, [folder.file("none").path]) { _ = try open(["key-file": .text(folder.file("none").path)]) }
      expect(STOWAGE_INVALID, ["not a regular file"]) { _ = try open(["key-file": .text(folder.path)]) }
      let pipe = folder.file("pipe").path
      mkfifo(pipe, 0o600)
      expect(STOWAGE_INVALID, ["not a regular file"]) { _ = try open(["key-file": .text(pipe)]) }
      guard geteuid() == 0, case .text(let path) = try keyFile(1) else { return }
      chown(path, 12345, 0)
      expect(STOWAGE_INVALID, ["belongs to user 12345"]) { _ = try open(["key-file": .text(path)]) }
    }

    // MARK: Another key

    @Test("rekey: the new key reads everything, the old one nothing")
    func rekey() throws {
      let first = try open(try options(.keyFile), epoch: 1)
      var objects = try seal(first)
      let old = try first.saveState()
      // As a command does it: instances for this only.
      let from = try open(try options(.keyFile), epoch: 50)
      try from.loadState(old)
      let byPhrase = try from.saveState(for: try open(try options(.passphrase), epoch: 51))
      #expect(byPhrase.count == old.count, "an epoch in which nothing was encoded is not kept")
      expect(STOWAGE_INVALID, ["a passphrase"]) { try open(try options(.keyFile), epoch: 2).loadState(byPhrase) }
      let second = try open(try options(.passphrase), epoch: 50)
      try second.loadState(byPhrase)
      try expectBack(objects, second)
      objects += try seal(second)
      // And back to a file, from an instance in use.
      let byFile = try second.saveState(for: try open(try options(.keyFile, 9), epoch: 3))
      let third = try open(try options(.keyFile, 9), epoch: 3)
      try third.loadState(byFile)
      try expectBack(objects, third)
      expect(STOWAGE_AUTH, ["not the one"]) { try open(try options(.keyFile), epoch: 3).loadState(byFile) }
      // The one that gave goes on as before.
      #expect(try second.saveState().count == byFile.count)
    }

    @Test("rekey says why it cannot")
    func rekeyRefused() throws {
      let kept = try open(try options(.keyFile))
      expect(STOWAGE_UNSUPPORTED, ["lasts only as long"]) { _ = try open([:]).saveState(for: kept) }
      expect(STOWAGE_INVALID, ["new key is missing"]) { _ = try kept.saveState(for: try open([:])) }
      let used = try open(try options(.keyFile), epoch: 2)
      try used.loadState(try kept.saveState())
      expect(STOWAGE_INVALID, ["in use"]) { _ = try kept.saveState(for: used) }
    }
  }
}
