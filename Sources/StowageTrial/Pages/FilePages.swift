// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A file cut into pages; the last one is padded with zeros.
///
/// The file stays open, so its pages can be read again although its name may by then stand for
/// another file.
final class FilePages: PageSource {
  let name: String
  let pageCount: Int
  private let file: OpenFile
  private let length: Int
  private let changed: timespec
  private let pageSize: Int

  convenience init(path: String, pageSize: Int) throws(TrialError) {
    switch OpenFile.reading(path) {
    case .failure(let error): throw .input("\(path) cannot be read: \(error)")
    case .success(let file): try self.init(path: path, file: file, pageSize: pageSize)
    }
  }

  private init(path: String, file: OpenFile, pageSize: Int) throws(TrialError) {
    var status = stat()
    guard fstat(file.descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
      throw .input("\(path) is a folder; name a file")
    }
    // A block device has no size of its own, but an end.
    length = status.st_mode & S_IFMT == S_IFREG ? status.st_size : lseek(file.descriptor, 0, SEEK_END)
    guard length > 0 else { throw .input("\(path) is empty, or not a file that has pages") }
    changed = status.st_mtim
    name = path
    self.file = file
    self.pageSize = pageSize
    pageCount = Int((length + Int(pageSize) - 1) / Int(pageSize))
  }

  /// Whether nobody has written to the file since it was opened, by its length and time.
  var isUnchanged: Bool {
    var status = stat()
    return fstat(file.descriptor, &status) == 0 && status.st_mtim.tv_sec == changed.tv_sec
      && status.st_mtim.tv_nsec == changed.tv_nsec
      && (status.st_mode & S_IFMT != S_IFREG || status.st_size == length)
  }

  func describe(_ position: UInt64) -> String { "\(name), page \(position)" }

  func read(
    _ positions: UnsafeBufferPointer<UInt64>, into buffer: UnsafeMutableRawBufferPointer,
    present: UnsafeMutableBufferPointer<Bool>
  ) {
    readRuns(positions, pageSize: pageSize, into: buffer, present: present) { offset, target, count in
      let wanted = Int(min(Int(count), length - offset))
      guard wanted > 0 else { return 0 }
      let got = file.read(into: .init(start: target, count: wanted), at: offset)
      guard got == wanted, wanted < count else { return got }
      memset(target + got, 0, count - got)
      return count
    }
  }
}
