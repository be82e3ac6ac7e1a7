// SPDX-License-Identifier: Apache-2.0
package import Glibc

/// Whose files are loaded. What is loaded can do all that this process can, so by default a file, and the
/// folder in which it really lies, must belong to the user or root and be writable by nobody else. (A
/// folder with the sticky bit, such as /tmp, may be writable by others: they cannot replace the file.)
public enum PluginTrust: String, Sendable, Hashable {
  case ownOnly = "own"
  /// Whatever the user asked to load, whoever can change it.
  case anyone

  /// Why the file is not trusted; nil if it is.
  package func objection(to status: stat, of file: String) -> String? {
    guard self == .ownOnly else { return nil }
    if let reason = owner(status, "the file") { return reason + advice }
    if status.st_mode & 0o022 != 0 {
      return "the file can be written by \(writers(status)) (mode \(octal(status))); run chmod go-w on it" + orAllow
    }
    return folderObjection(FilePaths.folder(of: file))
  }

  private func folderObjection(_ folder: String) -> String? {
    var status = stat()
    guard stat(folder, &status) == 0 else { return "its folder \(folder): \(errnoText(errno))" }
    if let reason = owner(status, "its folder \(folder)") { return reason + advice }
    let isSticky = status.st_mode & S_ISVTX != 0
    if status.st_mode & 0o022 != 0, !isSticky {
      return "its folder \(folder) can be written by \(writers(status)) (mode \(octal(status))); run chmod go-w on it"
        + orAllow
    }
    return nil
  }

  private func owner(_ status: stat, _ what: String) -> String? {
    let user = geteuid()
    guard status.st_uid != user, status.st_uid != 0 else { return nil }
    return "\(what) belongs to user \(status.st_uid), neither to you (\(user)) nor to root"
  }

  private var advice: String { "; copy it to a place of your own" + orAllow }
  private var orAllow: String { ", or use --allow-unsafe-plugins" }

  private func writers(_ status: stat) -> String {
    switch status.st_mode & 0o022 {
    case 0o020: "its group"
    case 0o002: "everybody"
    default: "its group and everybody"
    }
  }

  private func octal(_ status: stat) -> String {
    let digits = String(status.st_mode & 0o7777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }
}
