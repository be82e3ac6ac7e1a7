// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowagePlugins

/// The file that pages are to come from, when the user names one.
public enum PagesFile {
  /// The smallest page there is.
  private static let leastBytes = 4096

  /// Why no pages can come from this file; nil when they can.
  public static func objection(_ file: String) -> String? {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { return "it cannot be read: \(errnoText(errno))" }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return "it cannot be read: \(errnoText(errno))" }
    // Every check reads it from its beginning.
    guard [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT) else { return "it is no regular file" }
    var page = [UInt8](repeating: 0, count: leastBytes)
    let count = pread(descriptor, &page, page.count, 0)
    guard count >= 0 else { return "it cannot be read: \(errnoText(errno))" }
    return count < leastBytes ? "it is shorter than a page of \(leastBytes) bytes" : nil
  }
}
