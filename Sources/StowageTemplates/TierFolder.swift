// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Writes a template to the disk.
public enum TierFolder {
  /// Makes the folder of the template's name below `parent`, with all its files. What is there is never written over;
  /// if something goes wrong half-way, what was made is taken away again.
  /// - Parameter parent: a folder that exists.
  /// - Returns: the folder that was made.
  public static func write(_ template: TierTemplate, into parent: String) throws(TierTemplateError) -> String {
    let files = try template.files()
    let folder = parent.hasSuffix("/") ? parent + template.name : "\(parent)/\(template.name)"
    // A plug-in in a folder that others can write is refused: not writable for them, whatever the umask.
    guard mkdir(folder, 0o755) == 0 else {
      throw errno == EEXIST ? .exists(folder) : failure(folder)
    }
    var made = [folder]
    do throws(TierTemplateError) {
      for file in files { try write(file, below: folder, made: &made) }
    } catch {
      for path in made.reversed() { _ = remove(path) }
      throw error
    }
    return folder
  }

  private static func write(_ file: TierTemplate.File, below folder: String, made: inout [String])
    throws(TierTemplateError)
  {
    var path = folder
    let parts = file.path.split(separator: "/")
    for part in parts.dropLast() {
      path += "/\(part)"
      if mkdir(path, 0o755) == 0 { made.append(path) } else if errno != EEXIST { throw failure(path) }
    }
    path += "/\(parts[parts.count - 1])"
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure(path) }
    made.append(path)
    let isWritten = writeAll(Array(file.text.utf8), to: descriptor)
    let number = errno
    guard close(descriptor) == 0, isWritten else {
      throw .system(path: path, reason: String(cString: strerror(isWritten ? errno : number)))
    }
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  private static func failure(_ path: String) -> TierTemplateError {
    .system(path: path, reason: String(cString: strerror(errno)))
  }
}
