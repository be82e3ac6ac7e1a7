// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowagePlugins
internal import StowageTrial

/// A file that is kept from being written by stores while this lives; they lock it as a whole.
final class SharedHold {
  private let path: String
  private var descriptor: Int32

  init(_ path: String) throws {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw TrialError.input("\(DisplayText.plain(path)): \(String(cString: strerror(errno)))")
    }
    guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else {
      close(descriptor)
      descriptor = -1
      throw TrialError.input("\(DisplayText.plain(path)) is in use by a store; end that first")
    }
  }

  /// Whether a name is still that of the file.
  func isStill(_ name: String) -> Bool {
    var (own, named) = (stat(), stat())
    return fstat(descriptor, &own) == 0 && stat(name, &named) == 0 && own.st_dev == named.st_dev
      && own.st_ino == named.st_ino
  }

  static func isSame(_ one: String, _ other: String) -> Bool {
    var (first, second) = (stat(), stat())
    return lstat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_dev == second.st_dev
      && first.st_ino == second.st_ino
  }

  func release() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  deinit { release() }
}
