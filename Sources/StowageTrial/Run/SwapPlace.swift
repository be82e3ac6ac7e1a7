// SPDX-License-Identifier: Apache-2.0
import CStowageTrial
import Glibc

/// Where a trial's swap file is, and how large. What the trial brought there is removed at the end.
public final class SwapPlace {
  public let path: String
  public let bytes: Int
  /// What the user should know of the choice; empty when there is nothing.
  public let note: String
  private let folder: String?
  private var isKept = false

  private init(path: String, bytes: Int, note: String, folder: String?) {
    self.path = path
    self.bytes = bytes
    self.note = note
    self.folder = folder
  }

  deinit { remove() }

  /// Enough for a number of pages, should none of them become smaller.
  public static func bytesNeeded(pages: Int, pageSize: Int) -> Int {
    (pages + pages / 16) * pageSize + 16 << 20
  }

  /// A file at a path that the user chose; one that has contents is not overwritten.
  public static func named(_ path: String, bytes: Int) throws(TrialError) -> SwapPlace {
    var status = stat()
    if lstat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG, status.st_size == 0 else {
        throw .input("\(path) exists, and a trial overwrites nothing: remove it, or name another --swap-file")
      }
    }
    return SwapPlace(path: path, bytes: bytes, note: "", folder: nil)
  }

  /// A file for a session, which stays when there is one: see `keep`.
  public static func session(_ path: String, bytes: Int) throws(TrialError) -> SwapPlace {
    try checkSession(path)
    return SwapPlace(path: path, bytes: bytes, note: "", folder: nil)
  }

  /// - Throws: when there is a file with contents.
  public static func checkSession(_ path: String) throws(TrialError) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG || status.st_size != 0 else { return }
    throw .input(
      "\(path) exists, and a trial overwrites nothing: name another file; 'stowage session erase' ends a session")
  }

  /// The file is not removed at the end: a session is in it.
  public func keep() { isKept = true }

  /// A new folder on a disk that has room: below TMPDIR, /var/tmp, /tmp or the current folder.
  /// - Parameter isExact: take no less than `bytes`.
  public static func temporary(bytes: Int, isExact: Bool) throws(TrialError) -> SwapPlace {
    var roomiest: (folder: String, free: Int)?
    for folder in candidates() {
      guard let free = freeOnDisk(folder) else { continue }
      // A disk is left some room for others.
      if free - free / 8 >= bytes { return try make(in: folder, bytes: bytes, note: "") }
      if free > roomiest?.free ?? 0 { roomiest = (folder, free) }
    }
    if let (folder, free) = roomiest, !isExact, free / 2 >= bytes / 4 {
      return try make(
        in: folder, bytes: free / 2,
        note: "\(folder) has little room: the swap file gets \(SizeLabel(free / 2))")
    }
    throw .input(
      "there is no folder on a disk with \(SizeLabel(bytes)) free for the swap file"
        + " (looked at \(candidates().joined(separator: ", "))): name one with --swap-file, or take fewer --pages")
  }

  private static func candidates() -> [String] {
    let given = getenv("TMPDIR").map { String(cString: $0) } ?? ""
    return (given.isEmpty ? [] : [given]) + ["/var/tmp", "/tmp", "."]
  }

  /// nil for what is not there, not writable, or not on a disk.
  private static func freeOnDisk(_ folder: String) -> Int? {
    var free: Int64 = 0
    var inMemory: Int32 = 0
    guard access(folder, W_OK | X_OK) == 0, stowage_trial_free_space(folder, &free, &inMemory) == 0
    else { return nil }
    return inMemory == 0 ? Int(free) : nil
  }

  private static func make(in parent: String, bytes: Int, note: String) throws(TrialError) -> SwapPlace {
    var template = Array("\(parent)/stowage-trial-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
    guard made else { throw .input("no folder can be made in \(parent): \(Errno(errno))") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return SwapPlace(path: folder + "/swap", bytes: bytes, note: note, folder: folder)
  }

  /// Takes the name away, once the file is open: its room is then given back whatever becomes of this
  /// process. A file that the user named keeps its name to the end.
  public func hide() {
    if folder != nil { remove() }
  }

  /// Takes away what the trial brought, unless it is to be kept.
  public func remove() {
    guard !isKept else { return }
    unlink(path)
    if let folder { rmdir(folder) }
  }
}
