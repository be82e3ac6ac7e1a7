// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageBasics
internal import StowageEngine
internal import StowageTrial

/// Reads passphrases into memory that is wiped, and nowhere else.
enum PassphraseReader {
  private static let limit = 1024
  private static let moment: Int32 = 100

  /// Reads up to the end of the line, or of the data, byte by byte: what follows is somebody else's.
  static func read(descriptor: Int32) throws -> SecretText {
    let secret = try SecretText(capacity: limit + 1) { try line(from: descriptor, into: $0) }
    try check(secret)
    return secret
  }

  /// Asks on the terminal, without echo.
  static func ask(_ prompt: String) throws -> SecretText {
    let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
    guard terminal >= 0 else {
      throw TrialError.input("there is no terminal to ask for the passphrase on; give it with --passphrase-fd NUMBER")
    }
    defer { close(terminal) }
    var before = termios()
    guard tcgetattr(terminal, &before) == 0 else {
      throw TrialError.input("the terminal does not let itself be asked: \(String(cString: strerror(errno)))")
    }
    var quiet = before
    quiet.c_lflag &= ~tcflag_t(ECHO | ECHONL)
    quiet.c_lflag |= tcflag_t(ICANON | ISIG)
    guard tcsetattr(terminal, TCSAFLUSH, &quiet) == 0 else {
      throw TrialError.input("the terminal's echo cannot be turned off: \(String(cString: strerror(errno)))")
    }
    defer {
      tcsetattr(terminal, TCSAFLUSH, &before)
      _ = write(terminal, "\n", 1)
    }
    _ = prompt.withCString { write(terminal, $0, strlen($0)) }
    let secret = try SecretText(capacity: limit + 1) { try line(from: terminal, into: $0) }
    try check(secret)
    return secret
  }

  /// - Throws: when the process is asked to stop meanwhile, so that the terminal gets its echo back.
  private static func line(from descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer) throws -> Int {
    var count = 0
    while count < bytes.count {
      try Interruption.check()
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, moment) > 0 else { continue }
      let got = Glibc.read(descriptor, bytes.baseAddress! + count, 1)
      if got < 0, errno == EINTR || errno == EAGAIN { continue }
      guard got >= 0 else {
        throw TrialError.input(
          "the passphrase cannot be read from descriptor \(descriptor): \(String(cString: strerror(errno)))")
      }
      if got == 0 || bytes[count] == UInt8(ascii: "\n") { return count }
      count += 1
    }
    return count
  }

  private static func check(_ secret: SecretText) throws {
    guard secret.count > 0 else { throw TrialError.input("the passphrase is empty") }
    guard secret.count <= limit else { throw TrialError.input("the passphrase is longer than \(limit) bytes") }
    guard secret.withBytes({ !$0.contains(0) }) else { throw TrialError.input("the passphrase has a zero byte in it") }
  }
}
