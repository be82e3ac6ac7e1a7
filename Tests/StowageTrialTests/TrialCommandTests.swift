// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// Bad input to `stowage trial` and `stowage capture`: one clear message, and a status that is not 0.
@Suite struct TrialCommandTests {
  @Test(arguments: [
    (["trial", "--pid", "2147483646"], "there is no process 2147483646"),
    (["trial", "--pid", "0"], "process numbers begin with 1"),
    (["trial", "--file", "/nonexistent/file"], "/nonexistent/file cannot be read"),
    (["trial", "--file", "/usr"], "/usr is a folder"),
    (["trial", "--pages", "0"], "--pages is 0"),
    (["trial", "--pages=-3"], "--pages is -3"),
    (["trial", "--cache-pages=-1"], "--cache-pages is -1"),
    (["trial", "--memory", "much"], "expected a size in bytes"),
    (["trial", "--swap-file", "/proc/self/exe", "--file", "/proc/self/exe"], "overwrites nothing"),
    (["trial", "--swap-size", "900000T", "--file", "/proc/self/exe"], "name one with --swap-file"),
    (["trial", "--file", "/proc/self/exe", "--pages", "10", "--plugin-path", "/nonexistent", "--plugin-path-only"],
      "--plugin-path"),
    (["capture", "--pid", "2147483646", "--out", "/nonexistent/out"], "there is no process"),
    (["capture", "--pid", "1", "--out", "x", "--pages", "0"], "--pages is 0"),
    (["capture", "--pid", "1"], "--out"),
  ] as [([String], String)])
  func badInputIsExplained(arguments: [String], message: String) throws {
    let outcome = try Command.run(Command.stowage, arguments)
    #expect(outcome.status != 0)
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
    #expect(outcome.errors.hasPrefix("Error: "))
  }

  @Test func anExistingFileIsNotCapturedInto() throws {
    let folder = try TemporaryFolder()
    let out = try folder.write("precious", to: "out")
    let outcome = try Command.run(Command.stowage, ["capture", "--pid", "1", "--out", out])
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("--force"))
    #expect(try String(contentsOfFile: out, encoding: .utf8) == "precious")
  }
}
