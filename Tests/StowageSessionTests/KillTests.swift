// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport
import Testing

/// A process that is killed while it uses a store and makes checkpoints, over a real file.
@Suite(.serialized) struct KillTests {
  /// STOWAGE_TEST_KILLS: how often, in each form.
  private static let kills = ProcessInfo.processInfo.environment["STOWAGE_TEST_KILLS"].flatMap { Int($0) } ?? 40

  private static let program: String = {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent("session-churn").path
  }()

  /// What a process that was killed had said.
  private struct Journal {
    var records: [ChurnJournal.Record] = []

    init(_ data: Data) {
      data.withUnsafeBytes { bytes in
        for at in stride(from: 0, to: bytes.count - 23, by: 24) {
          func word(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: at + index * 8, as: UInt64.self) }
          if let record = ChurnJournal.Record((word(0), word(1), word(2))) { records.append(record) }
        }
      }
    }

    var completed: UInt64 {
      records.reduce(0) { $1.kind == .completed || $1.kind == .opened ? max($0, $1.subject) : $0 }
    }

    /// The pages at a checkpoint's cut, from those at the beginning; and the operation that was under way then.
    func state(at number: UInt64, from start: [UInt64: UInt64]) -> (
      pages: [UInt64: UInt64], open: ChurnJournal.Record?
    )? {
      if records.contains(where: { $0.kind == .opened && $0.subject == number }) || records.isEmpty {
        return (start, nil)
      }
      var pages = start
      var open: ChurnJournal.Record?
      for record in records {
        switch record.kind {
        case .begins: open = record
        case .ended:
          open = nil
          switch record.operation {
          case .put, .replace: pages[record.subject] = record.version
          case .take, .discard: pages[record.subject] = nil
          case nil: break
          }
        case .cut where record.subject == number: return (pages, open)
        case .cut, .completed, .opened: break
        }
      }
      return nil
    }
  }

  /// Runs the process for some milliseconds, then kills it.
  private func run(_ arguments: [String], milliseconds: Int) throws -> Journal {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.program)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let reader = Locked(Data())
    let ended = DispatchSemaphore(value: 0)
    Thread {
      let data = output.fileHandleForReading.readDataToEndOfFile()
      reader.withLock { $0 = data }
      ended.signal()
    }.start()
    usleep(UInt32(milliseconds) * 1000)
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    if process.terminationReason != .uncaughtSignal {
      Issue.record("the process ended by itself, with \(process.terminationStatus)")
    }
    guard ended.wait(timeout: .now() + 20) == .success else { throw TestFailure("its output has no end") }
    return Journal(reader.withLock { $0 })
  }

  @Test("killed at any moment, the last checkpoint is there", arguments: [false, true])
  func kills(isEncrypted: Bool) throws {
    let folder = try TemporaryFolder()
    let file = folder.file("swap").path
    var keyFile: String?
    if isEncrypted {
      let url = folder.file("key")
      try Data((0..<32).map { UInt8($0 * 7) }).write(to: url)
      chmod(url.path, 0o600)
      keyFile = url.path
    }
    let size: Int64 = 48 << 20
    var known: (sequence: UInt64, pages: [UInt64: UInt64]) = (0, [:])
    var counts = (resumes: 0, pages: 0, checkpoints: 0, wrong: 0)
    let seed = TestSeed.value
    var random = SeededRandom(seed, "kills \(isEncrypted)")
    for round in 0..<Self.kills {
      let arguments = [file, "\(size)", "\(seed &+ UInt64(round))"] + (keyFile.map { [$0] } ?? [])
      let journal = try run(arguments, milliseconds: .random(in: round % 7 == 0 ? 1..<40 : 40..<250, using: &random))
      counts.checkpoints += journal.records.count { $0.kind == .completed }
      let completed = max(journal.completed, known.sequence)
      let store: Store
      do {
        store = try Store(
          configuration: ChurnJournal.configuration(.resume(force: false)),
          chain: try ChurnJournal.chain(file: file, size: size, keyFile: keyFile))
      } catch StoreError.session(.none, _) where completed == 0 {
        continue
      } catch StoreError.configuration where completed == 0 {
        // It was killed while it made the file.
        try? FileManager.default.removeItem(atPath: file)
        continue
      }
      counts.resumes += 1
      let sequence = store.sessionSummary?.sequence ?? 0
      #expect(sequence >= completed, "round \(round): checkpoint \(completed) had completed, \(sequence) is there")
      guard let expected = journal.state(at: sequence, from: known.pages) else {
        Issue.record("round \(round): checkpoint \(sequence) was never cut")
        return
      }
      let (found, wrong) = try compare(store, expected.pages, expected.open, round)
      known = (sequence, found)
      counts.wrong += wrong
      counts.pages += known.pages.count
      if round % 5 == 4 { known.sequence = try store.suspend().sequence } else { store.close() }
    }
    print("kills: \(Self.kills), resumes \(counts.resumes), checkpoints \(counts.checkpoints), pages compared \(counts.pages)")
    try SharedReport.append(
      """
      kills: seed \(seed)\(isEncrypted ? ", encrypted" : "")
      real kills\t\(Self.kills)
      resumes after real kills\t\(counts.resumes)
      checkpoints before real kills\t\(counts.checkpoints)
      pages compared after real kills\t\(counts.pages)
      wrong pages after real kills\t\(counts.wrong)

      """)
    #expect(counts.resumes > Self.kills / 2 && counts.pages > Self.kills * 50)
  }

  /// Compares every page; what is there, and how many are wrong.
  private func compare(
    _ store: Store, _ expected: [UInt64: UInt64], _ open: ChurnJournal.Record?, _ round: Int
  ) throws -> (pages: [UInt64: UInt64], wrong: Int) {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    let wanted = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    defer {
      page.deallocate()
      wanted.deallocate()
    }
    var found: [UInt64: UInt64] = [:]
    var handles: [Handle] = []
    try store.forEachPage { handles.append($0.handle) }
    var wrong: [String] = []
    for handle in handles {
      try store.peek(handle, into: page)
      let version = ChurnJournal.version(of: UnsafeRawBufferPointer(page))
      ChurnJournal.fill(wanted, version: version)
      if memcmp(page.baseAddress!, wanted.baseAddress!, 4096) != 0 { wrong.append("page \(handle) is torn") }
      found[handle.rawValue] = version
      let isOpen = version == open?.version || (open?.subject == handle.rawValue)
      if expected[handle.rawValue] != version, !isOpen { wrong.append("page \(handle) has version \(version)") }
    }
    for handle in expected.keys where found[handle] == nil && open?.subject != handle {
      wrong.append("page \(handle) is missing")
    }
    if !wrong.isEmpty { Issue.record("round \(round): \(wrong.count) wrong: \(wrong.prefix(5))") }
    return (found, wrong.count)
  }
}
