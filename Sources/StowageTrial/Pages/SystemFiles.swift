// SPDX-License-Identifier: Apache-2.0
import Glibc
internal import StowageBasics

/// Real files of the system, as the stuff of a disk cache and of realistic memory.
enum SystemFiles {
  static let root = "/usr"
  /// Files below this are left out: most of their last page would be padding.
  static let minimumBytes = 16 << 10
  /// The walk ends after so many files, so that a huge installation costs no more than a large one.
  static let maximumFiles = 50_000

  struct File: Equatable {
    var path: String
    var bytes: Int
  }

  /// Regular files under `/usr`, shuffled by a seed.
  static func list(seed: UInt64, under root: String = Self.root) -> [File] {
    var files: [File] = []
    walk(root, &files)
    files.sort { $0.path < $1.path }
    var generator = SeededRandom(seed: seed)
    files.shuffle(using: &generator)
    return files
  }

  /// Goes down breadth first, never through a symbolic link.
  private static func walk(_ root: String, _ files: inout [File]) {
    var folders = [root]
    var next = 0
    while next < folders.count, files.count < maximumFiles {
      let path = folders[next]
      next += 1
      guard let folder = opendir(path) else { continue }
      defer { closedir(folder) }
      while let item = readdir(folder) {
        let name = fileName(item)
        guard name != ".", name != ".." else { continue }
        var status = stat()
        guard lstat("\(path)/\(name)", &status) == 0 else { continue }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: folders.append("\(path)/\(name)")
        case S_IFREG where status.st_size >= minimumBytes:
          files.append(File(path: "\(path)/\(name)", bytes: Int(status.st_size)))
        default: break
        }
      }
    }
  }
}
