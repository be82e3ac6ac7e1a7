// SPDX-License-Identifier: Apache-2.0
import Glibc
internal import StowageBasics

/// Writes the resident private pages of a process to a file, from which a trial can take them again.
public enum Capture {
  /// - Parameters:
  ///   - path: made readable for its owner only, as memory holds secrets. It is there only when it is
  ///     complete.
  ///   - pages: at most so many, taken evenly; nil: all.
  ///   - overwrites: whether a file that is there already is replaced.
  /// - Returns: how many pages were written, and how many were gone before they could be read.
  public static func run(
    pid: Int32, to path: String, pages limit: Int?, pageSize: Int, overwrites: Bool
  ) throws(TrialError) -> (written: Int, absent: Int) {
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else { throw .input("\(path) is no regular file: name another") }
      guard overwrites else { throw .input("\(path) exists: name another file, or add --force") }
    }
    let (source, runs) = try ProcessPages.plan(pid: pid, pageSize: pageSize)
    var references: [UInt64] = []
    runs.forEachEvenly(min(limit ?? runs.count, runs.count)) {
      references.append(PageReference(source: 0, position: $0).rawValue)
    }
    guard !references.isEmpty else { throw .input("process \(pid) has no resident private memory") }
    let table = PageTable(persistent: references, discardable: [])
    let reader = PageReader(sources: [source], table: table, pageSize: pageSize)
    return try write(table.count, reader, pageSize: pageSize, to: path)
  }

  private static func write(_ count: Int, _ reader: PageReader, pageSize: Int, to path: String)
    throws(TrialError) -> (written: Int, absent: Int)
  {
    var template = Array((path + ".XXXXXX").utf8CString)
    let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
    guard descriptor >= 0 else { throw .input("\(path) cannot be written: \(Errno(errno))") }
    let file = OpenFile(descriptor: descriptor)
    let temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    do throws(TrialError) {
      let written = try copy(count, reader, pageSize: pageSize, to: file, path)
      guard written > 0 else { throw .input("the process ended before any page was read") }
      guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
        throw .input("\(path) cannot be written: \(Errno(errno))")
      }
      return (written, count - written)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private static func copy(
    _ count: Int, _ reader: PageReader, pageSize: Int, to file: OpenFile, _ path: String
  ) throws(TrialError) -> Int {
    var written = 0
    var first = 0
    while first < count {
      try Interruption.check()
      let batch = (first..<min(first + reader.capacity, count)).map(UInt32.init)
      batch.withUnsafeBufferPointer(reader.read)
      for i in batch.indices {
        guard let page = reader.page(i) else { continue }
        var done = 0
        while done < pageSize {
          let got = Glibc.write(file.descriptor, page.baseAddress! + done, pageSize - done)
          if got < 0, errno == EINTR { continue }
          guard got > 0 else { throw .input("\(path) cannot be written: \(Errno(errno))") }
          done += got
        }
        written += 1
      }
      first += batch.count
    }
    return written
  }
}
