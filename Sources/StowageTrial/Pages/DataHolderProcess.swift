// SPDX-License-Identifier: Apache-2.0
import CStowageTrial
import Glibc
internal import StowageBasics

/// The helper process of `DataHolder`, from outside. It ends when this value does, or when this
/// process ends in whatever way.
final class DataHolderProcess {
  let pid: Int32
  private let input: OpenFile
  private let output: OpenFile

  /// Starts a helper, which loads at least `bytes` of data.
  /// - Parameter program: this program; something else in tests.
  init(bytes: Int, seed: UInt64, program: String = "/proc/self/exe") throws(TrialError) {
    let (childInput, input) = try Self.pipe()
    let (output, childOutput) = try Self.pipe()
    self.input = input
    self.output = output
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, childInput.descriptor, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, childOutput.descriptor, STDOUT_FILENO)
    let arguments = ["stowage"] + DataHolder.arguments(bytes: bytes, seed: seed)
    var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { pointers.forEach { free($0) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, program, &actions, nil, &pointers, environ)
    guard code == 0 else {
      throw .input("a helper process for real data cannot be started: \(Errno(code))")
    }
    self.pid = pid
  }

  deinit {
    kill(pid, SIGKILL)
    while waitpid(pid, nil, 0) < 0, errno == EINTR {}
  }

  private static func pipe() throws(TrialError) -> (read: OpenFile, write: OpenFile) {
    var read: Int32 = -1
    var write: Int32 = -1
    let code = stowage_trial_pipe(&read, &write)
    guard code == 0 else { throw .input("a pipe cannot be made: \(Errno(code))") }
    return (OpenFile(descriptor: read), OpenFile(descriptor: write))
  }

  /// Waits until the data is in place. False when the helper found none or failed.
  func waitUntilReady() throws(TrialError) -> Bool {
    while true {
      try Interruption.check()
      var poll = pollfd(fd: output.descriptor, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, 100) > 0 else { continue }
      var word = [UInt8](repeating: 0, count: 6)
      return read(output.descriptor, &word, word.count) == word.count
        && word == Array("ready\n".utf8)
    }
  }
}
