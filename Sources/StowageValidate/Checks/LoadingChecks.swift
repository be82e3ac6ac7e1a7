// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import CStowageTier
internal import Glibc
internal import StowagePlugins

/// From the file to the descriptor.
enum LoadingChecks {
  static let all = [link, symbol, ownSymbol, entry, threads, files, surroundings, silence, time]

  static let link = Check(
    "loading-link", .loading, needs: ["file-shared-library", "file-libraries"], timeLimit: .seconds(10),
    proves: "The dynamic linker loads the library with every symbol resolved, and its constructors do no harm.",
    advice:
      "Link against every library whose functions are used (-Wl,-z,defs finds them), and do nothing in constructors."
  ) { run in
    _ = try LoadedTier.link(run)
    try run.expect(true, "")
  }

  static let symbol = Check(
    "loading-symbol", .loading, needs: ["loading-link"], timeLimit: .seconds(10),
    proves: "The symbol stowage_tier_entry is found.",
    advice: "Define stowage_tier_entry as extern \"C\" with default visibility."
  ) { run in
    _ = try LoadedTier.entry(run, try LoadedTier.link(run))
    try run.expect(true, "")
  }

  static let ownSymbol = Check(
    "loading-own-symbol", .loading, needs: ["loading-symbol"], timeLimit: .seconds(10),
    proves: "stowage_tier_entry is in the library itself, and not in one on which it depends.",
    advice: "Export stowage_tier_entry from the library itself, and do not link against another plug-in."
  ) { run in
    let entry = try LoadedTier.entry(run, try LoadedTier.link(run))
    let file = stowage_file_of_address(unsafeBitCast(entry, to: UnsafeMutableRawPointer.self)).map {
      String(cString: $0)
    }
    try run.expect(
      file.flatMap(FilePaths.real) == FilePaths.real(run.order.file),
      "stowage_tier_entry is not in it but in \(file ?? "no known file"), on which it depends")
  }

  static let entry = Check(
    "loading-entry", .loading, needs: ["loading-own-symbol"], timeLimit: .seconds(10),
    proves: "The entry function gives a descriptor.",
    advice: "Return a constant descriptor, and do nothing else there; say with set_error why it cannot be given."
  ) { run in
    _ = try run.load()
    try run.expect(true, "")
  }

  static let threads = Check(
    "loading-threads", .loading, needs: ["loading-own-symbol"], survivors: ["loading-entry"], timeLimit: .seconds(10),
    proves: "Loading starts no thread.",
    advice: "Start threads in open and end them in close; a tier that is only listed must cost nothing."
  ) { run in
    try compare(run, \.threads) { "loading it started a thread: \($0)" }
  }

  static let files = Check(
    "loading-files", .loading, needs: ["loading-own-symbol"], survivors: ["loading-entry"], timeLimit: .seconds(10),
    proves: "Loading opens no file and closes none.",
    advice: "Open files in open and close them in close, and never close descriptors that are not the tier's own."
  ) { run in
    try compare(run, \.descriptors) { "loading it changed the open descriptors: \($0)" }
  }

  static let surroundings = Check(
    "loading-surroundings", .loading, needs: ["loading-own-symbol"], survivors: ["loading-entry"],
    timeLimit: .seconds(10),
    proves: "Loading leaves working folder, umask, signal handlers and mask, environment and locale as they were.",
    advice: "These belong to the program: a tier must not change them, neither while loading nor later."
  ) { run in
    try compare(run, \.process) { "loading it changed the process: \($0)" }
  }

  /// As `load`; here it is no matter whether there is a descriptor.
  private static func callEntry(_ run: CheckRun) throws {
    let entry = try LoadedTier.entry(run, try LoadedTier.link(run))
    run.notes.note(.entry)
    _ = entry(CheckHost.make(.init()))
  }

  private static func compare(
    _ run: CheckRun, _ part: KeyPath<Surroundings, [String: String]>, _ otherwise: (String) -> String
  ) throws {
    let before = Surroundings.now()[keyPath: part]
    try callEntry(run)
    let after = Surroundings.now()[keyPath: part]
    let changes = Surroundings.changes(before, after)
    run.summary = "\(before.count) things compared"
    try run.expect(changes.isEmpty, otherwise(changes.prefix(5).joined(separator: ", ")))
  }

  static let silence = Check(
    "loading-silence", .loading, needs: ["loading-own-symbol", "loading-files"], survivors: ["loading-entry"],
    timeLimit: .seconds(10),
    proves: "Loading prints nothing.",
    advice: "Say what there is to say with host->log; standard output and error belong to the program."
  ) { run in
    let file = stowage_memory_file("stowage-output")
    let own = [1, 2].map { (number: Int32($0), copy: fcntl(Int32($0), F_DUPFD_CLOEXEC, 10)) }
    guard file >= 0, own.allSatisfy({ $0.copy >= 0 }) else {
      throw run.notRun("no descriptors are left: \(errnoText(errno))")
    }
    for output in own { dup2(file, output.number) }
    defer { for output in own { dup2(output.copy, output.number) } }
    try callEntry(run)
    fflush(nil)
    var bytes = [UInt8](repeating: 0, count: 200)
    let count = pread(file, &bytes, bytes.count, 0)
    let text = String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    try run.expect(count == 0, "loading it printed: \(text)")
  }

  static let time = Check(
    "loading-time", .loading, needs: ["loading-entry"], timeLimit: .seconds(15),
    proves: "Loading and the entry function take less than 100 ms.",
    advice: "Leave tables, self-tests and devices to open: every command that lists plug-ins loads all of them."
  ) { run in
    let limit = Duration.milliseconds(100)
    var best = Duration.seconds(60)
    // The machine may be busy with something else: the best of several is the tier's own time.
    for attempt in 0..<5 where best >= limit {
      if attempt > 0 { usleep(20_000) }
      let answer = ProcessCopy.bytes { withUnsafeBytes(of: nanosecondsToLoad(run)) { Array($0) } }
      guard let bytes = answer.bytes, bytes.count == 8 else { throw run.fail("loading it once more: \(answer.ended)") }
      best = min(best, .nanoseconds(bytes.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) }))
    }
    run.summary = "\(best / .microseconds(1)) µs".replacing(/\.[0-9]+/, with: "")
    try run.expectInTime(
      best < limit, "loading it took \(Int(best / .milliseconds(1))) ms at best, expected less than 100 ms")
  }

  /// In a copy of this process, as a process loads a library only once.
  private static func nanosecondsToLoad(_ run: CheckRun) -> Int64 {
    let host = CheckHost.make(.init())
    let began = ContinuousClock.now
    guard let library = try? LoadedTier.link(run), let entry = try? LoadedTier.entry(run, library), entry(host) != nil
    else { return .max }
    return Int64((ContinuousClock.now - began) / .nanoseconds(1))
  }
}
