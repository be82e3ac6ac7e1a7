// SPDX-License-Identifier: Apache-2.0
import Glibc

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
    var generator = SplitMix64(seed: seed)
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

/// A small generator of random numbers that gives the same ones for the same seed, everywhere.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
