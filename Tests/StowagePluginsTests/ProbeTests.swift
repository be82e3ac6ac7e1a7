// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowagePlugins
import StowageTestSupport
import Testing

/// Nothing hangs in most tests, so the limit is out of a busy machine's way; where something does, it is short.
func prober(trust: PluginTrust = .ownOnly, time: Duration = .seconds(30)) -> PluginProber {
  PluginProber(helper: Command.stowage, limits: .init(time: time), trust: trust)
}

@Suite struct ProbeTests {
  @Test("each file is what it is", arguments: BadTiers.expectations)
  func status(_ expected: BadTiers.Expectation) throws {
    let time: Duration = expected.name.hasPrefix("hang") ? .milliseconds(500) : .seconds(30)
    let record = try prober(time: time).probe([try BadTiers.file(expected.name)])[0]
    #expect(record.name == expected.name)
    #expect(record.status == expected.status, "\(record.reason ?? "no reason")")
    for part in expected.says {
      #expect(record.reason?.contains(part) == true, "'\(part)' is not in: \(record.reason ?? "no reason")")
    }
    if expected.status == .ok { #expect(record.reason == nil) }
    #expect((record.description != nil) == [.ok, .unavailable].contains(expected.status))
  }

  @Test("every fixture is expected to be something")
  func complete() throws {
    let sources = try FileManager.default.contentsOfDirectory(
      atPath: TierCompiler.fixtures.appendingPathComponent("bad-tiers").path)
    let names = Set(sources.filter { $0.hasSuffix(".c") }.map { String($0.dropLast(2)) })
    #expect(names.subtracting(BadTiers.expectations.map(\.name)) == ["memory-hog"])
  }

  @Test("a whole folder: order kept, the bad ones stop nobody, and hanging ones hang side by side")
  func folder() throws {
    let files = try BadTiers.expectations.map { try BadTiers.file($0.name) }
    let records = try prober(time: .seconds(4)).probe(files)
    #expect(records.map(\.file) == files)
    for (record, expected) in zip(records, BadTiers.expectations) {
      #expect(record.status == expected.status, "\(record.name): \(record.reason ?? "no reason")")
    }
  }

  @Test("the description comes over whole")
  func description() throws {
    let known = try #require(try prober().probe([try BadTiers.file("needs-option")])[0].description)
    #expect(known.version == "1.2.3")
    #expect(known.vendor == "Test")
    #expect(known.url == "https://example.org/tier")
    #expect(known.priority == 500)
    #expect(known.threadModel == .parallel)
    #expect(known.options.map(\.key) == ["path", "level", "size", "sync", "mode", "passphrase", "pin"])
    #expect(known.options[1].numberRange == 1...9)
    #expect(known.options[4].choices == ["fast", "small"])
    #expect(known.options[5].isSecret)
  }

  @Test(
    "what a plug-in forks does not outlive its probe, not even in a session of its own",
    arguments: [("leave-child", PluginStatus.ok), ("escape", .crashed)])
  func noChildLeft(_ name: String, _ status: PluginStatus) throws {
    let file = try BadTiers.file(name)
    #expect(try prober().probe([file])[0].status == status)
    // The forked process has the helper's command line, which ends in the file.
    var left: [String] = []
    for _ in 0..<50 {
      left = try processes(naming: file)
      if left.isEmpty { break }
      usleep(20_000)
    }
    #expect(left.isEmpty)
  }

  private func processes(naming file: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { $0.allSatisfy(\.isNumber) }.filter { id in
      let line = try? String(contentsOfFile: "/proc/\(id)/cmdline", encoding: .utf8)
      return line?.contains("__probe") == true && line?.contains(file) == true
    }
  }

  @Test("memory is bounded", .enabled(if: dlsym(nil, "__asan_init") == nil && dlsym(nil, "__tsan_init") == nil))
  func memory() throws {
    let file = try BadTiers.file("memory-hog")
    let record = try prober().probe([file])[0]
    #expect(record.status == .refused)
    #expect(record.reason?.contains("no memory for me") == true)
    var generous = prober()
    generous.limits.memoryBytes = 0
    #expect(try generous.probe([file])[0].status == .ok)
  }

  @Test("a helper that is none is an error of its own, and no verdict on a plug-in")
  func wrongHelper() throws {
    let file = try BadTiers.file("good")
    let before = openDescriptors()
    for helper in ["/bin/true", "/bin/cat", "/nonexistent/stowage"] {
      let error = #expect(throws: PluginError.self) {
        try PluginProber(helper: helper).probe([file])
      }
      guard case .helper = error else {
        Issue.record("\(helper): \(String(describing: error))")
        continue
      }
    }
    #expect(throws: PluginError.self) { try PluginProber().probe([file]) }
    #expect(openDescriptors() == before, "the standard descriptors are the caller's")
  }

  /// What the standard descriptors are, by device and inode.
  private func openDescriptors() -> [String] {
    (0...2).map { number in
      var status = stat()
      return fstat(Int32(number), &status) == 0 ? "\(status.st_dev):\(status.st_ino)" : "closed"
    }
  }

  @Test("files of other users are refused, unless told otherwise", .enabled(if: geteuid() == 0))
  func otherOwner() throws {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("bad-tiers/good.c", into: folder.url).path
    #expect(chown(file, 4711, 0) == 0)
    let record = try prober().probe([file])[0]
    #expect(record.status == .refused)
    #expect(record.reason?.contains("belongs to user 4711") == true)
    #expect(try prober(trust: .anyone).probe([file])[0].status == .ok)
  }

  @Test("a folder that others can write is refused, unless it is sticky")
  func openFolder() throws {
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("bad-tiers/good.c", into: folder.url).path
    #expect(chmod(folder.path, 0o777) == 0)
    let record = try prober().probe([file])[0]
    #expect(record.status == .refused)
    #expect(record.reason?.contains("its folder \(folder.path) can be written by its group and everybody") == true)
    #expect(try prober(trust: .anyone).probe([file])[0].status == .ok)
    #expect(chmod(folder.path, 0o1777) == 0)
    #expect(try prober().probe([file])[0].status == .ok)
  }
}
