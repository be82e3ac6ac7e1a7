// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// Runs programs, for tests.
public enum Command {
  /// What a program said, and how it ended.
  public struct Outcome: Sendable {
    /// What it wrote to its standard output.
    public var output: String
    /// What it wrote to its standard error.
    public var errors: String
    /// The exit status; 128 and the signal's number when a signal ended it.
    public var status: Int32
  }

  /// The `stowage` executable that was built with these tests: beside the test bundle, or the one that
  /// STOWAGE_EXECUTABLE names.
  public static let stowage: String = {
    if let named = ProcessInfo.processInfo.environment["STOWAGE_EXECUTABLE"] { return named }
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return own.deletingLastPathComponent().appendingPathComponent("stowage").path
  }()

  /// Runs a program to its end; its standard input is empty. One that takes longer than 20 minutes is killed.
  /// - Parameter environment: set in addition to this process's; nil values are taken out.
  public static func run(
    _ program: String, _ arguments: [String], environment: [String: String?] = [:], in folder: URL? = nil
  ) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment.compactMapValues(\.self)) { $1 }
    for (key, value) in environment where value == nil { process.environment?.removeValue(forKey: key) }
    process.currentDirectoryURL = folder
    process.standardInput = FileHandle.nullDevice
    let scratch = try TemporaryFolder()
    let (output, errors) = (scratch.file("output"), scratch.file("errors"))
    for file in [output, errors] { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    try process.waitUntilExit(within: .seconds(1200))
    let isSignal = process.terminationReason == .uncaughtSignal
    let status = isSignal ? 128 + process.terminationStatus : process.terminationStatus
    return Outcome(
      output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self), status: status)
  }

  /// Runs `stowage`, without the plug-in path of whoever runs the tests.
  public static func stowage(
    _ arguments: String..., environment: [String: String?] = [:], in folder: URL? = nil
  ) throws -> Outcome {
    let clean: [String: String?] = ["STOWAGE_PLUGIN_PATH": nil, "HOME": "/nonexistent"]
    return try run(stowage, arguments, environment: clean.merging(environment) { $1 }, in: folder)
  }
}

extension Process {
  /// Waits for its end. After `limit` it is killed, and that is an error.
  public func waitUntilExit(within limit: Duration) throws {
    let end = ContinuousClock.now + limit
    while isRunning, ContinuousClock.now < end { usleep(2000) }
    let isLate = isRunning
    if isLate { kill(processIdentifier, SIGKILL) }
    waitUntilExit()
    guard !isLate else {
      let words = [executableURL?.path ?? ""] + (arguments ?? [])
      throw TestFailure("'\(words.joined(separator: " "))' has not ended within \(limit)")
    }
  }
}
