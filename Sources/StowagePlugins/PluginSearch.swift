// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Goes through the folders of a path and picks, for each name, the first file.
struct PluginSearch {
  private(set) var files: [(name: String, file: String)] = []
  private(set) var searched: [SearchedFolder] = []
  private(set) var notes: [String] = []

  init(_ path: PluginPath) {
    // One folder may stand in the path under two names.
    var seen: Set<FileIdentity> = []
    for folder in path.folders {
      guard let identity = FileIdentity(of: folder) else {
        let isMissing = errno == ENOENT || errno == ENOTDIR
        searched.append(SearchedFolder(path: folder, state: isMissing ? .missing : .unreadable))
        if !isMissing || path.named.contains(folder) { noteUnreadable(folder, errno) }
        continue
      }
      guard seen.insert(identity).inserted else { continue }
      search(folder)
    }
  }

  private mutating func noteUnreadable(_ folder: String, _ error: Int32) {
    notes.append("plug-in folder \(DisplayText.plain(folder)) cannot be read: \(errnoText(error))")
  }

  private mutating func search(_ folder: String) {
    guard let entries = Self.fileNames(in: folder) else {
      searched.append(SearchedFolder(path: folder, state: .unreadable))
      return noteUnreadable(folder, errno)
    }
    searched.append(SearchedFolder(path: folder, state: .read))
    for entry in entries.sorted() {
      guard let name = PluginFile.name(of: entry) else { continue }
      add(name: name, file: folder == "/" ? "/" + entry : folder + "/" + entry)
    }
  }

  private mutating func add(name: String, file: String) {
    guard let first = files.first(where: { $0.name == name }) else { return files.append((name, file)) }
    if let here = FileIdentity(of: file), here == FileIdentity(of: first.file) { return }
    notes.append(
      "\(DisplayText.plain(file)) is shadowed by \(DisplayText.plain(first.file)), which comes first in the plug-in path")
  }

  /// nil, with errno set, if the folder cannot be read.
  private static func fileNames(in folder: String) -> [String]? {
    guard let stream = opendir(folder) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let offset = MemoryLayout<dirent>.offset(of: \dirent.d_name)!
      let text = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
      if let name = String(validatingCString: text) { names.append(name) }
    }
    return names
  }
}
