// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// `stowage serve` as a process of its own, in a folder of its own with the shipped plug-ins.
final class DaemonRig {
  let folder: TemporaryFolder
  private(set) var process: Process?
  private var environment: [String: String] = [:]

  init() throws {
    folder = try TemporaryFolder()
    let built = URL(fileURLWithPath: Command.stowage).deletingLastPathComponent()
    let plugins = folder.file("plugins")
    try FileManager.default.createDirectory(at: plugins, withIntermediateDirectories: false)
    for tier in ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"] {
      let target = plugins.appendingPathComponent("\(tier).tier.so")
      try FileManager.default.copyItem(at: built.appendingPathComponent("lib\(tier)-tier.so"), to: target)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: target.path)
    }
    let key = folder.file("key")
    try TestSeed.key("daemon").write(to: key)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
  }

  deinit { if let process, process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var socket: String { path("nbd") }
  func path(_ name: String) -> String { folder.file(name).path }
  func uri(_ export: String) -> String { "nbd+unix:///\(export)?socket=\(socket)" }
  var output: String { (try? String(contentsOf: folder.file("output"), encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOf: folder.file("errors"), encoding: .utf8)) ?? "" }

  static let session = ["--session", "test", "--key-file", "key", "--swap-file", "swap", "--swap-size", "1GiB"]
  private static let plugins = ["--plugin-path", "plugins", "--plugin-path-only"]

  /// Starts it, and waits until it is ready.
  func start(_ arguments: [String], environment: [String: String] = [:], program: [String] = []) throws {
    for name in ["output", "errors"] { try Data().write(to: folder.file(name)) }
    let process = Process()
    let words = program + [Command.stowage, "serve", "--listen", "unix:\(socket)"] + Self.plugins + arguments
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    process.currentDirectoryURL = folder.url
    self.environment = ["XDG_RUNTIME_DIR": folder.path]
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_RUNTIME_DIR": folder.path]
      .merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: folder.file("output"))
    process.standardError = try FileHandle(forWritingTo: folder.file("errors"))
    try process.run()
    self.process = process
    for _ in 0..<6000 {
      if output.contains("ready") { return }
      guard process.isRunning else { break }
      usleep(5000)
    }
    throw TestFailure("serve is not ready: \(output) \(errors)")
  }

  /// Sends a signal, and waits for the end.
  /// - Returns: the status.
  func end(_ signal: Int32 = SIGTERM) throws -> Int32 {
    let process = try #require(process)
    kill(process.processIdentifier, signal)
    try process.waitUntilExit(within: .seconds(120))
    return process.terminationStatus
  }

  func stowage(_ arguments: String...) throws -> Command.Outcome {
    try Command.run(
      Command.stowage, arguments,
      environment: environment.merging(["HOME": "/nonexistent", "STOWAGE_CONTROL": ""]) { $1 }, in: folder.url)
  }

  /// A status of the daemon, as a program sees it.
  func status() throws -> [String: Any] {
    let outcome = try stowage("status", "--json")
    guard outcome.status == 0 else { throw TestFailure(outcome.errors) }
    return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }
}
