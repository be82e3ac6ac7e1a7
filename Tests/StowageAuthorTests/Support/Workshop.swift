// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTemplates
import StowageTestSupport

/// Makes and builds new tiers as an author does: with the `stowage` command on the path, and make.
enum Workshop {
  /// Makes `folder/NAME` with `stowage plugins new`.
  static func make(
    _ name: String, _ language: TierTemplateLanguage, _ role: TierTemplateRole, in folder: TemporaryFolder
  )
    throws -> URL
  {
    let made = try Command.stowage(
      "plugins", "new", name, "--language", language.rawValue, "--role", role.rawValue, "--into", folder.path)
    guard made.status == 0 else { throw TestFailure("plugins new \(name): \(made.errors)") }
    return folder.file(name)
  }

  /// Builds NAME.tier.so with make in the folder.
  static func build(_ name: String, in folder: URL) throws -> String {
    let built = try run("make", in: folder)
    guard built.status == 0 else {
      throw TestFailure("make in \(folder.path): \(built.errors) \(built.output.suffix(2000))")
    }
    return folder.appendingPathComponent("\(name).tier.so").path
  }

  /// Runs a line of shell in the folder, with `stowage` on the path and a time limit.
  static func run(_ line: String, in folder: URL, seconds: Int = 300, home: String? = nil) throws -> Command.Outcome {
    let tools = URL(fileURLWithPath: Command.stowage).deletingLastPathComponent().path
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    var environment: [String: String?] = ["PATH": "\(tools):\(path)", "STOWAGE_PLUGIN_PATH": nil, "MAKEFLAGS": nil]
    if let home {
      // Where rustup is used, it keeps its compilers in the real home.
      let own = ProcessInfo.processInfo.environment
      let rustup: String? = own["RUSTUP_HOME"] ?? own["HOME"].map { "\($0)/.rustup" }
      environment.updateValue(rustup, forKey: "RUSTUP_HOME")
      environment["HOME"] = home
    }
    return try Command.run(
      "/usr/bin/timeout", ["-k", "5", "\(seconds)", "/bin/sh", "-c", line], environment: environment, in: folder)
  }
}
