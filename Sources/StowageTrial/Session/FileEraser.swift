// SPDX-License-Identifier: Apache-2.0
import Glibc
import StowageBasics
import Synchronization

/// Overwrites a file and removes it. Its beginning goes first and is brought to the disk at once: what is told by it,
/// such as the roots of a session, is gone from then on, whatever happens to the rest.
public final class FileEraser: Sendable {
  private static let chunk = 1 << 20
  /// SEEK_DATA and SEEK_HOLE of Linux.
  private static let seekData: Int32 = 3
  private static let seekHole: Int32 = 4

  private let path: String
  private let file: OpenFile
  private let beginning: [UInt8]
  private let done = Atomic<Int>(0)
  private let total: Int

  /// Opens and locks the file.
  /// - Parameter beginning: what the file begins with when its beginning is gone; the rest of it gets zeros.
  /// - Throws: when the file cannot be written to, or is in use.
  public init(_ path: String, beginning: [UInt8]) throws(TrialError) {
    self.path = path
    self.beginning = beginning
    let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { throw .input("\(path) cannot be opened for writing: \(Errno(errno))") }
    file = OpenFile(descriptor: descriptor)
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .input("\(path) is no regular file")
    }
    guard status.st_nlink <= 1 else {
      throw .input(
        "\(path) has \(status.st_nlink) names, and all would lose what is in it; remove those that are too many")
    }
    // As a store locks it.
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw .input("\(path) is in use by a store, in this process or another; end that first")
    }
    total = Int(status.st_size)
  }

  /// How far it is, in bytes; room that was never written counts as done when it is reached.
  public var sample: WorkSample { WorkSample(done: done.load(ordering: .relaxed), total: total) }

  /// Overwrites and removes the file.
  /// - Parameter headLength: bytes of the beginning that go first.
  /// - Throws: when writing fails, or the process is asked to stop: the beginning is gone then, and the file is still
  ///   there.
  public func run(headLength: Int) throws(TrialError) {
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunk, alignment: 4096)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    zeros.copyBytes(from: beginning)
    let head = min(headLength, total, Self.chunk)
    try write(zeros, head, at: 0)
    for index in beginning.indices { zeros[index] = 0 }
    try sync()
    done.store(head, ordering: .relaxed)
    var place = head
    while let range = nextData(from: place) {
      place = range.lowerBound
      while place < range.upperBound {
        try Interruption.check()
        let count = min(Self.chunk, range.upperBound - place)
        try write(zeros, count, at: place)
        place += count
        done.store(place, ordering: .relaxed)
      }
    }
    try sync()
    done.store(total, ordering: .relaxed)
    // The name first: who is killed in between must not leave an empty file, which says of nothing that it may be removed.
    guard unlink(path) == 0 else {
      throw .input("\(path) was overwritten, but cannot be removed: \(Errno(errno))")
    }
    // Its room is free now, whoever else has it open.
    _ = ftruncate(file.descriptor, 0)
  }

  /// The next part that has something in it: room that was reserved and never written is left alone.
  private func nextData(from place: Int) -> Range<Int>? {
    guard place < total else { return nil }
    let start = lseek(file.descriptor, place, Self.seekData)
    guard start >= 0 else { return errno == ENXIO ? nil : place..<total }
    let end = lseek(file.descriptor, start, Self.seekHole)
    return start..<min(total, max(start + 1, end < 0 ? total : end))
  }

  private func write(_ bytes: UnsafeMutableRawBufferPointer, _ count: Int, at place: Int) throws(TrialError) {
    var written = 0
    while written < count {
      let now = pwrite(file.descriptor, bytes.baseAddress! + written, count - written, place + written)
      if now < 0, errno == EINTR { continue }
      guard now > 0 else { throw .input("\(path) cannot be overwritten: \(Errno(errno))") }
      written += now
    }
  }

  private func sync() throws(TrialError) {
    guard fdatasync(file.descriptor) == 0 else {
      throw .input("\(path) cannot be brought to the disk: \(Errno(errno))")
    }
  }
}
