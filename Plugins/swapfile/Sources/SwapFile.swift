// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// The open, locked file and where things lie in it.
///
///     0        identity: one block, written once
///     8 KiB    root, first copy
///     16 KiB   root, second copy
///     64 KiB   slot 0, slot 1, ...
struct SwapFile {
  let path: String
  let descriptor: Int32
  let slotSize: Int
  let slotCount: Int
  /// Whether transfers go past the system's page cache.
  let isDirect: Bool

  /// Where slot 0 begins: past the roots, aligned for the largest page.
  static let firstSlotOffset = 65536
  static let blockSize = 4096

  func offset(of run: SlotRun) -> Int { SwapFile.firstSlotOffset + run.offset }

  // MARK: Opening

  /// Opens the file, or makes it, and claims it for this instance.
  static func open(path: String, size: Int, slotSize: Int, host: TierHost) throws(TierError) -> SwapFile {
    let (descriptor, isNew) = try claim(path, host)
    do {
      return try prepare(path, descriptor, isNew: isNew, size: size, slotSize: slotSize, host)
    } catch {
      // Nothing was ever stored in a file that could not be set up.
      if isNew { unlink(path) }
      _ = Glibc.close(descriptor)
      throw error
    }
  }

  /// Opens and locks. The lock belongs to the open file, so it also keeps out a second instance in this process.
  private static func claim(_ path: String, _ host: TierHost) throws(TierError) -> (Int32, isNew: Bool) {
    // Between open and lock another may remove the file: then the path names another file, and we start again.
    for _ in 0..<16 {
      let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0o600)
      guard descriptor >= 0 else { throw openFailure(path, host) }
      var mine = stat()
      var named = stat()
      guard fstat(descriptor, &mine) == 0 else {
        let failure = FileFailure(path)
        _ = Glibc.close(descriptor)
        throw failure.told(to: host, "ask for its size")
      }
      guard mine.st_mode & 0o170000 == 0o100000 else {
        _ = Glibc.close(descriptor)
        throw host.fail(.invalid, "\(path) is not a regular file; 'path' must name a file that this tier may make")
      }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        _ = Glibc.close(descriptor)
        throw host.fail(.retry, "\(path) is in use by another store; each needs a file of its own")
      }
      if stat(path, &named) == 0, named.st_ino == mine.st_ino, named.st_dev == mine.st_dev,
        fstat(descriptor, &mine) == 0
      {
        return (descriptor, isNew: mine.st_size == 0)
      }
      _ = Glibc.close(descriptor)
    }
    throw host.fail(.retry, "\(path) is being replaced by someone else all the time")
  }

  private static func openFailure(_ path: String, _ host: TierHost) -> TierError {
    let failure = FileFailure(path)
    switch failure.code {
    case ENOENT, ENOTDIR:
      let folder = parent(of: path)
      return host.fail(.invalid, "\(path): there is no folder \(folder); make it, or set 'path' to another place")
    case EACCES, EPERM, EROFS:
      return host.fail(.invalid, "\(path): \(failure.systemText); set 'path' to a place that this user may write to")
    case EISDIR:
      return host.fail(.invalid, "\(path) is a folder; 'path' must name a file in it")
    default:
      return failure.told(to: host, "open it")
    }
  }

  private static func prepare(
    _ path: String, _ descriptor: Int32, isNew: Bool, size: Int, slotSize: Int, _ host: TierHost
  ) throws(TierError) -> SwapFile {
    let block = try host.allocate(blockSize, alignment: blockSize)
    defer { host.free(block) }
    if isNew {
      // First of all, so that a crash while room is being reserved leaves a file that we know again.
      FileIdentity(slotSize: slotSize).write(to: block)
      guard pwrite(descriptor, block.baseAddress, blockSize, 0) == blockSize else {
        throw FileFailure(path).told(to: host, "write its first block")
      }
    } else {
      guard pread(descriptor, block.baseAddress, blockSize, 0) == blockSize, let found = FileIdentity(block) else {
        throw host.fail(
          .invalid, "\(path) exists and is no swap file of this tier; it was left as it is. Set 'path' to another name")
      }
      try found.check(path, slotSize: slotSize, host)
    }
    // Ours from here on: nobody else has business in it.
    _ = fchmod(descriptor, 0o600)
    let slots = try reserve(path, descriptor, isNew: isNew, size: size, slotSize: slotSize, host)
    if isNew {
      guard fsync(descriptor) == 0 else { throw FileFailure(path).told(to: host, "bring it to the disk") }
      syncFolder(of: path)
    }
    return SwapFile(
      path: path, descriptor: descriptor, slotSize: slotSize, slotCount: slots,
      isDirect: goDirect(descriptor, block))
  }

  /// Makes room for all slots now, rather than failing in the middle of a swap-out. Gives how many there are: a
  /// file is never made shorter, as it may hold a session.
  private static func reserve(
    _ path: String, _ descriptor: Int32, isNew: Bool, size: Int, slotSize: Int, _ host: TierHost
  ) throws(TierError) -> Int {
    var now = stat()
    guard fstat(descriptor, &now) == 0 else { throw FileFailure(path).told(to: host, "ask for its size") }
    let oldLength = Int(now.st_size)
    let length = max(oldLength, firstSlotOffset + size)

    var disk = statvfs()
    let missing = length - Int(now.st_blocks) * 512
    if fstatvfs(descriptor, &disk) == 0, missing > Int(disk.f_bavail) * Int(disk.f_frsize) {
      let free = Int(disk.f_bavail) * Int(disk.f_frsize)
      // A file that is long enough still works where it was written before; the host hears FULL elsewhere.
      if oldLength == length {
        host.log(.warning, "\(path): the disk has no room for the parts that were given back: writes may fail")
        return (oldLength - firstSlotOffset) / slotSize
      }
      throw host.fail(
        .full, "\(path): the disk is too full: \(missing) bytes are needed, \(free) are free. Set 'size' lower")
    }
    if fallocate(descriptor, 0, 0, length) != 0 {
      let failure = FileFailure(path)
      guard failure.code == EOPNOTSUPP || failure.code == ENOSYS else {
        if !isNew { _ = ftruncate(descriptor, oldLength) }
        throw failure.told(to: host, "reserve \(length) bytes")
      }
      guard ftruncate(descriptor, length) == 0 else { throw FileFailure(path).told(to: host, "grow it") }
      host.log(.warning, "\(path): this file system cannot reserve room: writes may find the disk full")
    }
    return (length - firstSlotOffset) / slotSize
  }

  /// Turns the page cache off where the file system can do without it, and tries it out.
  private static func goDirect(_ descriptor: Int32, _ block: UnsafeMutableRawBufferPointer) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | stowage_o_direct) == 0 else { return false }
    if pread(descriptor, block.baseAddress, blockSize, 0) == blockSize { return true }
    _ = fcntl(descriptor, F_SETFL, flags)
    return false
  }

  /// Makes the new name durable. A failure here only means that the file may be missing after a crash.
  private static func syncFolder(of path: String) {
    let folder = Glibc.open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { return }
    _ = fsync(folder)
    _ = Glibc.close(folder)
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  func close() { _ = Glibc.close(descriptor) }

  // MARK: Plain input and output

  /// A write past the last slot would make the file longer than what was reserved.
  func has(_ run: SlotRun) -> Bool { run.first < UInt64(slotCount) && run.count <= slotCount - Int(run.first) }

  /// Refuses runs past the last slot.
  func check(_ run: SlotRun, _ host: TierHost) throws(TierError) {
    guard has(run) else { throw host.fail(.gone, "\(path) has \(slotCount) slots: there is no \(run.words)") }
  }

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _ host: TierHost) throws(TierError) {
    try check(run, host)
    var done = 0
    while done < buffer.count {
      // The host's buffer is as long as the run; `done` stays inside it.
      let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset(of: run) + done)
      if count > 0 {
        done += count
      } else if count == 0 || (errno == EINVAL && done % SwapFile.blockSize != 0) {
        throw cutShort(host)
      } else if errno != EINTR {
        throw FileFailure(path).told(to: host, "read \(run.words)")
      }
    }
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _ host: TierHost) throws(TierError) {
    try check(run, host)
    var done = 0
    while done < buffer.count {
      let count = pwrite(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset(of: run) + done)
      if count >= 0 {
        done += count
      } else if errno != EINTR {
        throw FileFailure(path).told(to: host, "write \(run.words)")
      }
    }
  }

  /// A read met the end of the file, or (with direct transfers) a broken last block.
  func cutShort(_ host: TierHost) -> TierError {
    host.fail(.gone, "\(path) was cut short: slots at its end are lost")
  }

  func trim(_ run: SlotRun, _ host: TierHost) throws(TierError) {
    try check(run, host)
    while fallocate(descriptor, stowage_punch_hole, offset(of: run), run.byteCount) != 0 {
      guard errno == EINTR else { throw FileFailure(path).told(to: host, "give back \(run.words)") }
    }
  }

  func sync(_ host: TierHost) throws(TierError) {
    while fdatasync(descriptor) != 0 {
      guard errno == EINTR else { throw FileFailure(path).told(to: host, "bring it to the disk") }
    }
  }
}

extension SlotRun {
  /// For messages.
  var words: String {
    count == 1 ? "slot \(first)" : "slots \(first) to \(first &+ UInt64(count) &- 1)"
  }
}
