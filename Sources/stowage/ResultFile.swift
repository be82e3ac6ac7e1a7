// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowagePlugins

/// A file for results, opened before the work whose results it is to hold: that it cannot be written must not be found
/// out at the end.
struct ResultFile {
  private let path: String
  private let descriptor: Int32
  private let wasThere: Bool

  /// What is in the file stays until the results are written.
  init(_ path: String) throws {
    self.path = path
    wasThere = access(path, F_OK) == 0
    descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw ValidationError("\(PluginError.output(file: DisplayText.plain(path), reason: Self.text(errno)))")
    }
  }

  func write(_ text: String) throws {
    // A pipe has no length.
    _ = ftruncate(descriptor, 0)
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw PluginError.output(file: path, reason: Self.text(errno)) }
      done += count
    }
    guard close(descriptor) == 0 else { throw PluginError.output(file: path, reason: Self.text(errno)) }
  }

  /// There will be no results: an empty file would be taken for some.
  func abandon() {
    close(descriptor)
    if !wasThere { unlink(path) }
  }

  private static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
