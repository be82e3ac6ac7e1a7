// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier
import Synchronization

/// Opening: from a path to a file that is ours, locked, of the right format, and long enough.
struct FileOpening {
  let path: String
  let mode: OpenMode
  /// Room for slots, in bytes; for `create` only.
  let size: Int
  let slotSize: Int
  let host: TierHost

  func open() throws(TierError) -> SwapFile {
    let (descriptor, isNew) = try claim()
    do {
      return try prepare(descriptor, isNew: isNew)
    } catch {
      // Nothing was ever stored in a file that could not be set up.
      if isNew && mode == .create { unlink(path) }
      _ = Glibc.close(descriptor)
      throw error
    }
  }

  // MARK: Claiming

  /// Opens and locks. The lock belongs to the open file, so it also keeps out a second instance in this process.
  private func claim() throws(TierError) -> (Int32, isNew: Bool) {
    // Between open and lock another may remove the file: then the path names another file, and we start again.
    for _ in 0..<16 {
      let descriptor = Glibc.open(path, mode.systemFlags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0o600)
      guard descriptor >= 0 else { throw openFailure() }
      if let length = try lockedLength(descriptor) { return (descriptor, isNew: length == 0) }
      _ = Glibc.close(descriptor)
    }
    throw host.fail(.retry, "\(path) is being replaced by someone else all the time")
  }

  /// The length of the file, now locked; nil if the path names another one meanwhile. Closes the file on error.
  private func lockedLength(_ descriptor: Int32) throws(TierError) -> Int? {
    do throws(TierError) {
      var mine = stat()
      var named = stat()
      guard fstat(descriptor, &mine) == 0 else { throw FileFailure(path).told(to: host, "ask for its size") }
      guard mine.st_mode & S_IFMT == S_IFREG else {
        throw host.fail(.invalid, "\(path) is not a regular file; 'path' must name a file that this tier may make")
      }
      guard isLocked(descriptor) else { throw host.fail(.retry, "\(path) \(mode.inUse)") }
      let isStillNamed = stat(path, &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev
      return isStillNamed && fstat(descriptor, &mine) == 0 ? Int(mine.st_size) : nil
    } catch {
      _ = Glibc.close(descriptor)
      throw error
    }
  }

  /// Takes the lock. A process that was killed keeps its file for some moments, until the kernel has wound up the requests
  /// that it had in flight: so a lock that is held is asked for again.
  private func isLocked(_ descriptor: Int32) -> Bool {
    for attempt in 0..<20 {
      if attempt > 0 { usleep(50_000) }
      if flock(descriptor, mode.lock | LOCK_NB) == 0 { return true }
    }
    return false
  }

  private func openFailure() -> TierError {
    let failure = FileFailure(path)
    switch failure.code {
    case ENOENT where mode != .create, ENOTDIR where mode != .create:
      return host.fail(.gone, "\(path) does not exist, and 'open' is \(mode.rawValue): it is not made")
    case ENOENT, ENOTDIR:
      let folder = parent
      return host.fail(.invalid, "\(path): there is no folder \(folder); make it, or set 'path' to another place")
    case EACCES, EPERM, EROFS:
      let need = mode == .readOnly ? "read from" : "write to"
      return host.fail(.invalid, "\(path): \(failure.systemText); set 'path' to a place that this user may \(need)")
    case EISDIR:
      return host.fail(.invalid, "\(path) is a folder; 'path' must name a file in it")
    default:
      return failure.told(to: host, "open it")
    }
  }

  // MARK: Preparing

  private func prepare(_ descriptor: Int32, isNew: Bool) throws(TierError) -> SwapFile {
    guard !isNew || mode == .create else {
      throw host.fail(.gone, "\(path) is empty: there is nothing in it, and 'open' is \(mode.rawValue)")
    }
    let block = try host.allocate(SwapFile.blockSize, alignment: SwapFile.blockSize)
    defer { host.free(block) }
    let identity = isNew ? try makeIdentity(descriptor, block) : try readIdentity(descriptor, block)
    // Ours from here on: nobody else has business in it.
    if mode != .readOnly { _ = fchmod(descriptor, 0o600) }
    let length = mode == .readOnly ? try self.length(descriptor) : try reserve(descriptor, isNew: isNew)
    if isNew {
      guard fsync(descriptor) == 0 else { throw FileFailure(path).told(to: host, "bring it to the disk") }
      syncFolder()
    }
    let lostWrites = try SwapFile.makeLostWrites(host)
    return SwapFile(
      path: path, descriptor: descriptor, identity: identity,
      slotCount: (length - SwapFile.firstSlotOffset) / slotSize, isReadOnly: mode == .readOnly,
      isDirect: goDirect(descriptor, block), lostWrites: lostWrites)
  }

  /// First of all, so that a crash while room is being reserved leaves a file that we know again: as long as the part
  /// before the slots, and with its identity.
  private func makeIdentity(
    _ descriptor: Int32, _ block: UnsafeMutableRawBufferPointer
  ) throws(TierError) -> FileIdentity {
    let identity = try FileIdentity(slotSize: slotSize, host)
    identity.write(to: block)
    guard ftruncate(descriptor, SwapFile.firstSlotOffset) == 0 else {
      throw FileFailure(path).told(to: host, "grow it")
    }
    guard pwrite(descriptor, block.baseAddress, block.count, 0) == block.count else {
      throw FileFailure(path).told(to: host, "write its first block")
    }
    return identity
  }

  private func readIdentity(
    _ descriptor: Int32, _ block: UnsafeMutableRawBufferPointer
  ) throws(TierError) -> FileIdentity {
    let count = pread(descriptor, block.baseAddress, block.count, 0)
    guard count >= 0 else { throw FileFailure(path).told(to: host, "read its first block") }
    // What a shorter file lacks is zero in the block, and does not fit the checksum.
    let identity = try FileIdentity(block, path, host)
    try identity.check(path, slotSize: slotSize, host)
    let length = try length(descriptor)
    // Growing it would make its roots zeros: a session that was never there.
    guard length >= SwapFile.firstSlotOffset else {
      throw host.fail(
        .corrupt, "\(path) was cut short: it has \(length) bytes, and not even its roots are whole; restore the file "
          + "from a copy, or remove it to start afresh")
    }
    return identity
  }

  private func length(_ descriptor: Int32) throws(TierError) -> Int {
    var now = stat()
    guard fstat(descriptor, &now) == 0 else { throw FileFailure(path).told(to: host, "ask for its size") }
    return Int(now.st_size)
  }

  /// Makes room for all slots now, rather than failing in the middle of a swap-out. Gives how long the file is: it is
  /// never made shorter, as it may hold a session.
  private func reserve(_ descriptor: Int32, isNew: Bool) throws(TierError) -> Int {
    var now = stat()
    guard fstat(descriptor, &now) == 0 else { throw FileFailure(path).told(to: host, "ask for its size") }
    let oldLength = Int(now.st_size)
    let length = mode == .create ? max(oldLength, SwapFile.firstSlotOffset + size) : oldLength

    var disk = statvfs()
    let missing = length - Int(now.st_blocks) * 512
    if fstatvfs(descriptor, &disk) == 0, missing > Int(disk.f_bavail) * Int(disk.f_frsize) {
      let free = Int(disk.f_bavail) * Int(disk.f_frsize)
      // A file that is long enough still works where it was written before; the host hears FULL elsewhere.
      if oldLength == length {
        host.log(.warning, "\(path): the disk has no room for the parts that were given back: writes may fail")
        return oldLength
      }
      throw host.fail(
        .full, "\(path): the disk is too full: \(missing) bytes are needed, \(free) are free. Set 'size' lower")
    }
    var result: Int32
    repeat { result = fallocate(descriptor, 0, 0, length) } while result != 0 && errno == EINTR
    if result != 0 {
      let failure = FileFailure(path)
      guard failure.code == EOPNOTSUPP || failure.code == ENOSYS else {
        if !isNew { _ = ftruncate(descriptor, oldLength) }
        throw failure.told(to: host, "reserve \(length) bytes")
      }
      guard ftruncate(descriptor, length) == 0 else { throw FileFailure(path).told(to: host, "grow it") }
      host.log(.warning, "\(path): this file system cannot reserve room: writes may find the disk full")
    }
    return length
  }

  /// Turns the page cache off where the file system can do without it, and tries it out.
  private func goDirect(_ descriptor: Int32, _ block: UnsafeMutableRawBufferPointer) -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | stowage_o_direct) == 0 else { return false }
    if pread(descriptor, block.baseAddress, block.count, 0) == block.count { return true }
    _ = fcntl(descriptor, F_SETFL, flags)
    return false
  }

  /// Makes the new name durable. A failure here only means that the file may be missing after a crash.
  private func syncFolder() {
    let folder = Glibc.open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { return }
    _ = fsync(folder)
    _ = Glibc.close(folder)
  }

  private var parent: String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
