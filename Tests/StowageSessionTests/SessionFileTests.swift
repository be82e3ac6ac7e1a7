// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// A real swap file with a session that is harmed: flipped bits anywhere, an end that is missing, a disk that is full.
@Suite(.serialized) struct SessionFileTests {
  /// For each slot what a flipped bit in it costs: nil the session, else pages.
  private func costs(_ session: FileSession) throws -> [Int: Set<Handle>?] {
    var costs: [Int: Set<Handle>?] = [:]
    var random = SeededRandom(seed: TestSeed.value)
    for slot in 0..<(session.size - FileSession.slotsBegin) / FileSession.pageSize {
      let place = FileSession.slotsBegin + slot * FileSession.pageSize + random.below(FileSession.pageSize)
      let bit = random.below(8)
      try FileSession.flip(session.path, at: place, bit: bit)
      let outcome = session.read(session.path, "read-only")
      try FileSession.flip(session.path, at: place, bit: bit)
      #expect(outcome.wrong.isEmpty, "slot \(slot): \(outcome.wrong.prefix(3))")
      if let refusal = outcome.refusal { #expect(refusal.contains("slot \(slot) "), "slot \(slot): \(refusal)") }
      costs[slot] = outcome.refusal == nil ? .some(outcome.lost) : .some(nil)
    }
    return costs
  }

  @Test("a flipped bit anywhere in the file, an end that is missing: exactly the pages hit are named")
  func anywhere() throws {
    let session = try made()
    let costs = try costs(session)
    let refused = costs.filter { $0.value == nil }.keys
    let harmless = costs.count { $0.value == .some([]) }
    #expect(refused.count > 3 && harmless > 10 && costs.count - refused.count - harmless > 10)
    let begin = try flipBeginning(session)
    let cuts = try cutShort(session, costs)
    #expect(cuts.partial > 10, "\(cuts)")
    print(
      "file: \(costs.count) slots: session refused \(refused.count), nothing lost \(harmless), pages lost "
        + "\(costs.count - refused.count - harmless); beginning: \(begin); cuts: \(cuts)")
  }

  /// A session with pages behind its index: a store that resumes one uses the first free slots, and this one merges all
  /// deltas.
  private func made() throws -> FileSession {
    var session = try FileSession()
    try session.make(checkpoints: 6)
    session.deltasMax = 2
    try session.open(.resume(force: false), "existing").suspend()
    let slots = (session.size - FileSession.slotsBegin) / FileSession.pageSize
    var behind = 0
    for slot in stride(from: slots - 1, to: 0, by: -1) {
      let place = FileSession.slotsBegin + slot * FileSession.pageSize + 100
      try FileSession.flip(session.path, at: place, bit: 0)
      let outcome = session.read(session.path, "read-only")
      try FileSession.flip(session.path, at: place, bit: 0)
      if outcome.refusal != nil { break }
      if !outcome.lost.isEmpty { behind += 1 }
      if behind == 12 { return session }
    }
    throw TestFailure("\(behind) pages' frames are behind the index")
  }

  /// What is before the slots, sector after sector: refused with a reason, or nothing is lost.
  private func flipBeginning(_ session: FileSession) throws -> String {
    var random = SeededRandom(seed: TestSeed.value &+ 1)
    var (refused, whole) = (0, 0)
    let places = stride(from: 0, to: FileSession.slotsBegin, by: 256).map { $0 + random.below(256) } + Array(0..<80)
    for place in places {
      let bit = random.below(8)
      try FileSession.flip(session.path, at: place, bit: bit)
      let outcome = session.read(session.path, "read-only")
      try FileSession.flip(session.path, at: place, bit: bit)
      #expect(outcome.wrong.isEmpty && outcome.lost.isEmpty, "byte \(place): \(outcome)")
      if outcome.refusal == nil { whole += 1 } else { refused += 1 }
    }
    #expect(whole > 100 && refused > 10)
    return "\(refused) refused, \(whole) whole"
  }

  /// As it is, and as a store with the file's former size finds it: made as long again, with zeros.
  private func cutShort(
    _ session: FileSession, _ costs: [Int: Set<Handle>?]
  ) throws -> (refused: Int, partial: Int, whole: Int) {
    let copy = session.folder.file("copy").path
    var random = SeededRandom(seed: TestSeed.value &+ 2)
    var (refused, partial, untouched) = (0, 0, 0)
    let slots = (session.size - FileSession.slotsBegin) / FileSession.pageSize
    var lengths = [0, 1, 4095, 4096, 8192, 16384, 65535, 65536]
    lengths += stride(from: 0, through: slots, by: 3).map { FileSession.slotsBegin + $0 * FileSession.pageSize }
    lengths += (0..<40).map { _ in random.below(session.size) }
    for length in lengths {
      let whole = max(0, length - FileSession.slotsBegin) / FileSession.pageSize
      // A slot that is there in part is not there; made whole with zeros, it may be as it was.
      let (least, most) = (harm(costs, whole + 1..<slots + 1), harm(costs, whole..<slots + 1))
      for how in ["existing", "read-only", "create"] {
        try cut(session.path, to: copy, length)
        let outcome = session.read(copy, how)
        #expect(outcome.wrong.isEmpty, "\(length) bytes, \(how): \(outcome.wrong.prefix(3))")
        let isRefused = length <= FileSession.slotsBegin || most == nil
        if outcome.refusal != nil {
          #expect(isRefused, "\(length) bytes, \(how): \(outcome.refusal ?? "")")
          refused += 1
        } else {
          let expected = how == "create" ? [least, most] : [most]
          #expect(expected.contains(outcome.lost), "\(length) bytes, \(how): \(outcome.lost.count) pages are lost")
          if outcome.lost.isEmpty { untouched += 1 } else { partial += 1 }
        }
      }
    }
    return (refused, partial, untouched)
  }

  /// What the loss of slots costs: nil the session.
  private func harm(_ costs: [Int: Set<Handle>?], _ slots: Range<Int>) -> Set<Handle>? {
    var lost: Set<Handle> = []
    for slot in slots {
      guard let pages = costs[slot] ?? .some([]) else { return nil }
      lost.formUnion(pages)
    }
    return lost
  }

  private func cut(_ from: String, to copy: String, _ length: Int) throws {
    try? FileManager.default.removeItem(atPath: copy)
    try FileManager.default.copyItem(atPath: from, toPath: copy)
    guard truncate(copy, length) == 0 else { throw TestFailure("not cut to \(length)") }
  }

  @Test("a file system that fills up refuses checkpoint and suspend; the last one holds, and there is a next")
  func fullFileSystem() throws {
    let folder = try TemporaryFolder()
    guard mount("tmpfs", folder.path, "tmpfs", 0, "size=3m,mode=700") == 0 else {
      try Test.cancel("no file system can be mounted here (\(String(cString: strerror(errno))))")
    }
    defer { umount2(folder.path, Int32(MNT_DETACH)) }
    var session = try FileSession(size: 2 << 20, in: folder)
    let store = try session.open(.create(replacing: false))
    // Pages that come and go leave holes, as slots are given back to the file system. Somebody else's file takes these.
    var passing = session
    try session.put(store, 1..<120)
    try passing.putPlain(store, 0..<350)
    try store.checkpoint()
    for handle in passing.pages.keys { try store.discard(handle) }
    try store.checkpoint()
    try store.checkpoint()
    try waitForHoles(session.path, session.size)
    let known = session
    let filler = folder.file("filler")
    try fill(filler)
    let used = try attempt(store, &session)
    // What completed is as it was, whoever looks at a copy of the file.
    let elsewhere = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: session.path, toPath: elsewhere.file("swap").path)
    let held = known.read(elsewhere.file("swap").path, "read-only")
    #expect(held == FileSession.Outcome(), "\(held)")
    // And the store goes on.
    #expect(session.read(store) == FileSession.Outcome())
    try FileManager.default.removeItem(at: filler)
    try checkpointWhenThereIsRoom(store)
    try store.suspend()
    let after = session.read(session.path, "existing", .resume(force: false))
    #expect(after == FileSession.Outcome(), "\(after)")
    #expect(used >= 50)
  }

  /// Waits until the store has given back a third of the file.
  private func waitForHoles(_ path: String, _ size: Int) throws {
    var file = stat()
    for _ in 0..<1000 {
      if stat(path, &file) == 0, Int(file.st_blocks) * 512 < size * 2 / 3 { return }
      usleep(10_000)
    }
    throw TestFailure("the file still takes \(file.st_blocks * 512) bytes of \(size)")
  }

  /// Takes all that is left of a file system.
  private func fill(_ url: URL) throws {
    let file = Glibc.open(url.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw TestFailure("no filler") }
    defer { close(file) }
    let zeros = [UInt8](repeating: 1, count: 4096)
    while write(file, zeros, zeros.count) > 0 {}
    guard errno == ENOSPC else { throw TestFailure("the file system is not full: \(errno)") }
  }

  /// Checkpoints and a suspend while there is no room, until one was refused.
  private func attempt(_ store: Store, _ session: inout FileSession) throws -> Int {
    let before = session.pages.count
    var reasons: [String] = []
    for round in UInt64(0)..<8 where reasons.count < 2 {
      try session.putPlain(store, 1000 + round * 25..<1025 + round * 25)
      do {
        if reasons.isEmpty { try store.checkpoint() } else { try store.suspend() }
      } catch {
        reasons.append("\(error)")
      }
    }
    print("full disk: \(reasons)")
    #expect(reasons.count == 2 && reasons.allSatisfy { $0.contains("swapfile") }, "\(reasons)")
    return session.pages.count - before
  }

  /// A tier that failed is tried again after a while.
  private func checkpointWhenThereIsRoom(_ store: Store) throws {
    let end = ContinuousClock.now + .seconds(30)
    while true {
      do {
        try store.checkpoint()
        return
      } catch {
        guard ContinuousClock.now < end else { throw error }
        usleep(100_000)
      }
    }
  }
}
