// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import StowageTestSupport
import Testing

@testable import StowageTrial

extension TemporaryFolder {
  /// Writes pages of which each begins with its number and goes on with a pattern of its own.
  func pages(_ count: Int, named name: String = "pages", pageSize: Int = 4096, extra: Int = 0) throws -> String {
    var data = Data()
    for page in 0..<count {
      var generator = SeededRandom(seed: UInt64(page))
      for word in 0..<pageSize / 8 {
        let value = word < pageSize / 16 ? generator.next() : UInt64(page)
        withUnsafeBytes(of: value) { data.append(contentsOf: $0) }
      }
    }
    data.append(contentsOf: [UInt8](repeating: 0xEE, count: extra))
    let file = path + "/" + name
    try data.write(to: URL(fileURLWithPath: file))
    return file
  }
}

/// A program that runs until it is told to end. It says one line when it is ready, and reads its standard
/// input for ever.
final class ChildProcess {
  let pid: pid_t
  private let pipes: [Int32]
  private var hasEnded = false

  init(shell script: String) throws {
    var input: [Int32] = [0, 0]
    var output: [Int32] = [0, 0]
    try #require(pipe(&input) == 0 && pipe(&output) == 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    let words = ["sh", "-c", script]
    var arguments = words.map { word in strdup(word) } + [nil]
    defer { arguments.forEach { free($0) } }
    var pid: pid_t = 0
    try #require(posix_spawn(&pid, "/bin/sh", &actions, nil, &arguments, environ) == 0)
    self.pid = pid
    close(input[0])
    close(output[1])
    pipes = [input[1], output[0]]
    var byte: UInt8 = 0
    while read(output[0], &byte, 1) == 1, byte != UInt8(ascii: "\n") {}
  }

  func end() {
    guard !hasEnded else { return }
    hasEnded = true
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
    pipes.forEach { close($0) }
  }

  deinit { end() }
}
