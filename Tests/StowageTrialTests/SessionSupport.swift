// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// A folder with the shipped plug-ins, pages to put and key files; runs `stowage` in it.
struct SessionWorkshop {
  static let tiers = ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"]
  static let pageSize = 4096

  let folder: TemporaryFolder
  let pageCount: Int

  init(pages: Int = 3_000) throws {
    folder = try TemporaryFolder()
    pageCount = pages
    let built = URL(fileURLWithPath: Command.stowage).deletingLastPathComponent()
    let plugins = folder.file("plugins")
    try FileManager.default.createDirectory(at: plugins, withIntermediateDirectories: false)
    for tier in Self.tiers {
      let target = plugins.appendingPathComponent("\(tier).tier.so")
      try FileManager.default.copyItem(at: built.appendingPathComponent("lib\(tier)-tier.so"), to: target)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: target.path)
    }
    _ = try folder.pages(pages)
  }

  /// The bytes of the page that was put with this number.
  func page(_ number: Int) throws -> Data {
    let all = try Data(contentsOf: folder.file("pages"), options: .alwaysMapped)
    return Data(all[number * Self.pageSize..<(number + 1) * Self.pageSize])
  }

  func path(_ name: String) -> String { folder.file(name).path }

  @discardableResult
  func keyFile(_ name: String) throws -> String {
    try TestSeed.key(name).write(to: folder.file(name))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path(name))
    return path(name)
  }

  /// A configuration with these tiers.
  func chain(_ tiers: String...) throws -> String {
    var text = ""
    for tier in tiers {
      text += "[[tier]]\nplugin = \"\(tier)\"\n"
      if tier == "swapfile" { text += "options = { path = \"elsewhere\" }\n" }
    }
    return try folder.write(text, to: tiers.joined(separator: "-") + ".toml")
  }

  /// Runs `stowage`, the working folder being the workshop's.
  /// - Parameters:
  ///   - fd3: what can be read from descriptor 3.
  ///   - fd4: and from 4.
  func stowage(_ arguments: [String], fd3: String = "", fd4: String = "") throws -> Command.Outcome {
    let input = UUID().uuidString
    let (three, four) = (try folder.write(fd3, to: input + "-3"), try folder.write(fd4, to: input + "-4"))
    return try Command.run(
      "/bin/sh", ["-c", "exec \"$0\" \"$@\" 3<\(three) 4<\(four)", Command.stowage] + arguments + Self.search,
      environment: ["STOWAGE_PLUGIN_PATH": nil, "HOME": "/nonexistent"], in: folder.url)
  }

  static let search = ["--plugin-path", "plugins", "--plugin-path-only"]

  /// `trial --suspend-to`, of all pages.
  func suspend(_ file: String, _ more: [String], fd3: String = "") throws -> Command.Outcome {
    try stowage(
      [
        "trial", "--suspend-to", file, "--file", "pages", "--pages", "\(pageCount)", "--cache-pages", "100", "--seed",
        "5",
      ] + more, fd3: fd3)
  }

  func resume(_ file: String, _ more: [String] = [], fd3: String = "") throws -> Command.Outcome {
    try stowage(["trial", "--resume-from", file] + more, fd3: fd3)
  }

  func session(_ verb: String, _ file: String, _ more: [String] = [], fd3: String = "", fd4: String = "") throws
    -> Command.Outcome
  {
    try stowage(["session", verb, file] + more, fd3: fd3, fd4: fd4)
  }

  /// Turns bits over in a file.
  func flip(_ file: String, at places: [Int]) throws {
    let handle = try FileHandle(forUpdating: folder.file(file))
    defer { try? handle.close() }
    for place in places {
      try handle.seek(toOffset: UInt64(place))
      let byte = try #require(try handle.read(upToCount: 1)?.first)
      try handle.seek(toOffset: UInt64(place))
      try handle.write(contentsOf: [byte ^ 0x10])
    }
  }
}

/// The JSON that a command wrote.
func parsedJSON(_ text: String) throws -> [String: Any] {
  try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

/// A terminal whose other end is a program's.
final class TestTerminal {
  private let master: Int32
  private(set) var shown = ""
  private let process = Process()

  /// Runs `stowage` with this terminal as its own.
  init(_ arguments: [String], in folder: URL) throws {
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var (number, isLocked) = (Int32(0), Int32(0))
    // TIOCSPTLCK and TIOCGPTN: what unlockpt and ptsname do.
    try #require(master >= 0 && ioctl(master, 0x4004_5431, &isLocked) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
    let name = "/dev/pts/\(number)"
    // A session leader's first terminal becomes its own.
    process.executableURL = URL(fileURLWithPath: "/usr/bin/setsid")
    let script = "exec \"$0\" \"$@\" <\(name) >\(name) 2>&1"
    process.arguments = ["--wait", "/bin/sh", "-c", script, Command.stowage] + arguments
    process.currentDirectoryURL = folder
    process.environment = ["PATH": "/usr/bin:/bin", "TERM": "xterm", "HOME": "/nonexistent", "LANG": "C"]
    process.standardInput = FileHandle.nullDevice
    try process.run()
  }

  deinit { close(master) }

  /// Waits until a text was shown, and types.
  func when(_ text: String, type answer: String, patience: Double = 60) throws {
    let end = Date(timeIntervalSinceNow: patience)
    while !shown.contains(text) {
      guard Date() < end, process.isRunning || pump() else { throw TestFailure("no '\(text)' in: \(shown)") }
      pump()
    }
    shown = ""
    let bytes = Array(answer.utf8)
    try #require(write(master, bytes, bytes.count) == bytes.count)
  }

  /// The status at the end.
  func wait(patience: Double = 60) -> Int32 {
    let end = Date(timeIntervalSinceNow: patience)
    while process.isRunning {
      pump()
      if Date() > end { kill(process.processIdentifier, SIGKILL) }
    }
    while pump() {}
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// Takes in what was shown meanwhile; false when there was nothing.
  @discardableResult private func pump() -> Bool {
    var waiting = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
    guard poll(&waiting, 1, 50) > 0 else { return false }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(master, &bytes, bytes.count)
    guard count > 0 else { return false }
    shown += String(decoding: bytes[..<count], as: UTF8.self)
    return true
  }
}
