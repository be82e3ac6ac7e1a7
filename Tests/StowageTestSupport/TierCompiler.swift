// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// Builds small tiers from C, for tests.
public enum TierCompiler {
  /// The checkout.
  public static let checkout: URL = {
    var folder = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { folder.deleteLastPathComponent() }
    return folder
  }()

  public static let fixtures = checkout.appendingPathComponent("Tests/Fixtures")

  /// Compiles a C file into `folder/NAME.tier.so`, NAME being the file's; `FIXTURE_NAME` is the name as a
  /// string.
  /// - Parameters:
  ///   - source: below Tests/Fixtures, such as "bad-tiers/good.c".
  ///   - name: another NAME for the result; `FIXTURE_NAME` follows it.
  ///   - libraries: shared libraries to depend on.
  ///   - defines: macros, such as "PERSISTENT" or "ACCESS=2".
  @discardableResult
  public static func compile(
    _ source: String, into folder: URL, name: String? = nil, libraries: [URL] = [], defines: [String] = []
  ) throws -> URL {
    let file = fixtures.appendingPathComponent(source)
    let name = name ?? file.deletingPathExtension().lastPathComponent
    let target = folder.appendingPathComponent("\(name).tier.so")
    var arguments = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    arguments += ["-I", checkout.appendingPathComponent("plugin-sdk/include").path]
    arguments += ["-DFIXTURE_NAME=\"\(name)\"", file.path, "-o", target.path, "-Wl,--no-as-needed"]
    for library in libraries { arguments += [library.path, "-Wl,-rpath,\(library.deletingLastPathComponent().path)"] }
    arguments += defines.map { "-D\($0)" }
    // With a sanitizer the tiers are built with it too, by the compiler whose runtime the process has.
    let environment = ProcessInfo.processInfo.environment
    if let sanitizer = environment["STOWAGE_TEST_SANITIZER"] { arguments += ["-g", "-fsanitize=\(sanitizer)"] }
    let result = try Command.run(environment["STOWAGE_TEST_CC"] ?? "/usr/bin/cc", arguments)
    guard result.status == 0 else { throw TestFailure("cc \(source): \(result.errors)") }
    // Whatever the umask: a plug-in that others can write is refused.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: target.path)
    return target
  }
}

/// Something in a test's own machinery went wrong.
public struct TestFailure: Error, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// A folder that only its owner can use, gone with this object.
public final class TemporaryFolder: Sendable {
  public let url: URL
  public var path: String { url.path }

  public init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("stowage-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(
      at: url, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  public func file(_ name: String) -> URL { url.appendingPathComponent(name) }

  /// Writes a text file and returns its path.
  @discardableResult
  public func write(_ text: String, to name: String) throws -> String {
    try Data(text.utf8).write(to: file(name))
    return file(name).path
  }
}
