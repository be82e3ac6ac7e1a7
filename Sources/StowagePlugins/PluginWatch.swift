// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Notices plug-in files that come into the folders of a path, or are replaced there, and probes them.
///
/// A file counts once it is whole: when whoever wrote it closes it, or when it is renamed or linked into place. A folder
/// that is not there yet is watched from when it is made. What becomes of a file is the caller's affair: nothing is
/// loaded into this process, and no store takes it in by itself.
///
/// Belongs to one thread at a time.
public final class PluginWatch {
  private let finder: PluginFinder
  private let descriptor: Int32
  /// By watch: a folder of the path, or one in which a folder of the path is to be made.
  private var folders: [Int32: String] = [:]
  /// Folders of the path that are watched themselves.
  private var present: Set<String> = []
  /// What was reported last, by file.
  private var known: [String: FileStamp] = [:]
  /// Seen, but not probed yet, as probing did not work.
  private var pending: [String] = []

  private static let mask = UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR)

  /// Begins to watch. Files that are there already are not reported, unless their contents change.
  /// - Throws: `helper` when the kernel refuses, or no folder of the path can be watched.
  public init(_ finder: PluginFinder) throws(PluginError) {
    self.finder = finder
    descriptor = inotify_init1(Int32(O_CLOEXEC | O_NONBLOCK))
    guard descriptor >= 0 else { throw .helper("folders cannot be watched: \(errnoText(errno))") }
    _ = watchFolders()
    // The deinitialiser closes it, also now.
    guard !folders.isEmpty else {
      throw .helper("none of the plug-in folders can be watched: \(finder.path.folders.joined(separator: ", "))")
    }
    for file in PluginSearch(finder.path).files { known[file.file] = FileStamp(of: file.file) }
  }

  deinit { close(descriptor) }

  /// To be polled for reading; `next` does not wait when it is readable.
  public var fileDescriptor: Int32 { descriptor }

  /// Waits for files, at most `timeout`, and probes them.
  /// - Returns: a record for each new or changed plug-in file, the bad ones too, in order of arrival; empty when there
  ///   was none in time.
  /// - Throws: `helper` when probing does not work.
  public func next(timeout: Duration) throws(PluginError) -> [PluginRecord] {
    let until = ContinuousClock.now + timeout
    while true {
      let left = max(.zero, until - ContinuousClock.now)
      let milliseconds = Int32(clamping: Int(left / .milliseconds(1)))
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = Glibc.poll(&poll, 1, milliseconds)
      if ready > 0 { noteChanges() }
      if !pending.isEmpty { return try probePending() }
      if ContinuousClock.now >= until { return [] }
    }
  }

  /// A file counts as reported only once it was probed.
  private func probePending() throws(PluginError) -> [PluginRecord] {
    let stamps = pending.map { ($0, FileStamp(of: $0)) }
    let records = try finder.prober.probe(pending)
    for (file, stamp) in stamps { known[file] = stamp }
    pending = []
    return records
  }

  private func noteChanges() {
    var files = readEvents()
    // Files that came with a folder, or with events that the kernel dropped, are looked for.
    if watchFolders() || hasOverflowed { files += PluginSearch(finder.path).files.map(\.file) }
    hasOverflowed = false
    for file in files where !pending.contains(file) {
      guard let stamp = FileStamp(of: file), known[file] != stamp else { continue }
      pending.append(file)
    }
  }

  /// Watches what is to be watched now: every folder of the path, of one that is not there the nearest folder above it that
  /// is. True when a folder of the path has come.
  private func watchFolders() -> Bool {
    var hasCome = false
    for folder in finder.path.folders where !present.contains(folder) {
      if watch(folder) {
        present.insert(folder)
        hasCome = true
        continue
      }
      var above = folder
      while let slash = above.lastIndex(of: "/"), above.count > 1 {
        above = slash == above.startIndex ? "/" : String(above[..<slash])
        if watch(above) { break }
      }
      // It may have been made meanwhile.
      if watch(folder) {
        present.insert(folder)
        hasCome = true
      }
    }
    return hasCome
  }

  private func watch(_ folder: String) -> Bool {
    let number = inotify_add_watch(descriptor, folder, Self.mask)
    guard number >= 0 else { return false }
    folders[number] = folder
    return true
  }

  private var hasOverflowed = false

  /// The plug-in files that the kernel names.
  private func readEvents() -> [String] {
    var files: [String] = []
    withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 8) { buffer in
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      var at = 0
      while at + MemoryLayout<inotify_event>.size <= count {
        let event = buffer.loadUnaligned(fromByteOffset: at, as: inotify_event.self)
        let start = at + MemoryLayout<inotify_event>.size
        at = start + Int(event.len)
        guard at <= count else { break }
        if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { hasOverflowed = true }
        if event.mask & UInt32(IN_IGNORED) != 0, let gone = folders.removeValue(forKey: event.wd) {
          present.remove(gone)
        }
        guard event.len > 0, let folder = folders[event.wd], present.contains(folder) else { continue }
        let bytes = buffer[start..<at].prefix { $0 != 0 }
        let name = String(decoding: bytes, as: UTF8.self)
        guard PluginFile.name(of: name) != nil else { continue }
        let file = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
        // One that is made is written yet; one that is linked is whole.
        if event.mask & UInt32(IN_CREATE) == 0 || Self.isLink(file) { files.append(file) }
      }
    }
    return files
  }

  private static func isLink(_ file: String) -> Bool {
    var status = stat()
    return lstat(file, &status) == 0 && (status.st_mode & S_IFMT == S_IFLNK || status.st_nlink > 1)
  }
}

/// What tells one state of a file from another, without reading it.
private struct FileStamp: Equatable {
  private let identity: FileIdentity
  private let bytes: Int
  private let changed: [Int]

  init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    identity = FileIdentity(status)
    bytes = Int(status.st_size)
    changed = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
  }
}
