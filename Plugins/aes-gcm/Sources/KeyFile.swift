// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageTier

/// A key file: 32 bytes, for its owner only.
enum KeyFile {
  /// Reads a key file straight into secret memory.
  static func read(_ path: String, _ host: TierHost) throws(TierError) -> Secret {
    // Not to wait for the other end, should it be a pipe.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    guard descriptor >= 0 else { throw refusal(path, "open", host) }
    defer { _ = Glibc.close(descriptor) }
    try check(path, descriptor, host)
    let secret = try Secret(host)
    var done = 0
    while done < Secret.keyLength {
      let count = Glibc.read(descriptor, secret.address + done, Secret.keyLength - done)
      if count > 0 {
        done += count
      } else if count == 0 {
        throw host.fail(.invalid, "the key file \(path) became shorter while it was read")
      } else if errno != EINTR {
        throw refusal(path, "read", host)
      }
    }
    return secret
  }

  private static func check(_ path: String, _ descriptor: Int32, _ host: TierHost) throws(TierError) {
    var file = stat()
    guard fstat(descriptor, &file) == 0 else { throw refusal(path, "look at", host) }
    guard file.st_mode & S_IFMT == S_IFREG else {
      throw host.fail(.invalid, "the key file \(path) is not a regular file")
    }
    guard file.st_uid == geteuid() else {
      throw host.fail(
        .invalid, "the key file \(path) belongs to user \(file.st_uid), this process is of user \(geteuid()); "
          + "use a file of your own")
    }
    let mode = file.st_mode & 0o7777
    guard mode & 0o077 == 0 else {
      throw host.fail(
        .invalid, "the key file \(path) has mode 0\(String(mode, radix: 8)): others than its owner can use it. "
          + "Do 'chmod 600 \(path)', and consider another key")
    }
    guard file.st_size == Secret.keyLength else {
      throw host.fail(
        .invalid, "the key file \(path) has \(file.st_size) bytes, a key has exactly \(Secret.keyLength); "
          + "make one with '(umask 077; head -c \(Secret.keyLength) /dev/urandom >FILE)'")
    }
  }

  private static func refusal(_ path: String, _ action: String, _ host: TierHost) -> TierError {
    let code = errno
    let missing = code == ENOENT || code == ENOTDIR
    return host.fail(
      missing ? .gone : .invalid, "could not \(action) the key file \(path): \(String(cString: strerror(code)))")
  }
}
