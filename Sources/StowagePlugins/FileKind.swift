// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// What a name stands for, in words for people. Nothing is opened: that can wait for ever, or move a tape.
package enum FileKind {
  /// Why there is no regular file of this name; nil when there is one.
  package static func objection(to file: String) -> String? {
    var status = stat()
    guard stat(file, &status) == 0 else { return absence(of: file) }
    return status.st_mode & S_IFMT == S_IFREG ? nil : "it is no regular file but \(words(status))"
  }

  /// Why a file cannot be seen.
  package static func absence(of file: String) -> String {
    var status = stat()
    guard stat(file, &status) != 0 else { return "it is there" }
    let error = errno
    if error == ENOENT { return lstat(file, &status) == 0 ? dangling : "there is no such file" }
    return "it cannot be read: \(errnoText(error))"
  }

  private static let dangling = "it is a symbolic link to a file that is not there"

  static func words(_ status: stat) -> String {
    switch status.st_mode & S_IFMT {
    case S_IFDIR: "a folder"
    case S_IFIFO: "a named pipe"
    case S_IFSOCK: "a socket"
    default: "a device"
    }
  }
}
