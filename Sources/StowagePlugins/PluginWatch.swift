// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Notices plug-in files that come into the folders of a path, or are replaced there, and probes them.
///
/// A file counts once it is whole: when whoever wrote it closes it, or when it is renamed into place. What becomes of it
/// is the caller's affair: nothing is loaded into this process, and no store takes it in by itself.
///
/// Belongs to one thread at a time.
public final class PluginWatch {
  private let finder: PluginFinder
  private let descriptor: Int32
  private var folders: [Int32: String] = [:]
  /// What was reported last, by file.
  private var known: [String: FileStamp] = [:]

  /// Begins to watch. Files that are there already are not reported, unless their contents change.
  /// - Throws: `helper` when the kernel refuses, or no folder of the path can be watched.
  public init(_ finder: PluginFinder) throws(PluginError) {
    self.finder = finder
    descriptor = inotify_init1(Int32(O_CLOEXEC | O_NONBLOCK))
    guard descriptor >= 0 else { throw .helper("folders cannot be watched: \(errnoText(errno))") }
    for folder in finder.path.folders {
      let number = inotify_add_watch(descriptor, folder, UInt32(IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR))
      if number >= 0 { folders[number] = folder }
    }
    guard !folders.isEmpty else {
      close(descriptor)
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
      let files = ready > 0 ? changedFiles() : []
      if !files.isEmpty { return try finder.prober.probe(files) }
      if ContinuousClock.now >= until { return [] }
    }
  }

  private func changedFiles() -> [String] {
    var files: [String] = []
    for name in readEvents() where !files.contains(name) {
      guard let stamp = FileStamp(of: name), known[name] != stamp else { continue }
      known[name] = stamp
      files.append(name)
    }
    return files
  }

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
        guard at <= count, event.len > 0, let folder = folders[event.wd] else { continue }
        let bytes = buffer[start..<at].prefix { $0 != 0 }
        let name = String(decoding: bytes, as: UTF8.self)
        if PluginFile.name(of: name) != nil { files.append(folder == "/" ? "/\(name)" : "\(folder)/\(name)") }
      }
    }
    return files
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
