// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc

/// The folders in which plug-ins are looked for, in order.
///
/// All of them are searched; the first file of a name wins:
/// 1. the folders given on the command line,
/// 2. those of the environment variable `STOWAGE_PLUGIN_PATH`,
/// 3. `plugins` beside the real executable: the build folder, when run from a checkout; then `../lib/stowage/plugins`
///    from there: the installation that the executable belongs to,
/// 4. the system's: /usr/local/lib/stowage/plugins, /usr/lib/stowage/plugins,
/// 5. the user's: ~/.local/lib/stowage/plugins.
///
/// A list may be written with colons; empty entries are passed over. With `only`, (1) is all there is.
public struct PluginPath: Sendable, Hashable {
  /// Absolute, each once.
  public var folders: [String]
  /// Those of `folders` that somebody named: one that is missing is worth a note.
  public var named: Set<String> = []

  public init(folders: [String]) {
    var seen: Set<String> = []
    self.folders = folders.map(FilePaths.absolute).filter { seen.insert($0).inserted }
  }

  /// The path for this process.
  /// - Parameters:
  ///   - explicit: as given on the command line; each may be a list with colons.
  ///   - only: leave out everything else.
  public static func standard(explicit: [String] = [], only: Bool = false) -> PluginPath {
    var path = PluginPath(
      folders: list(
        explicit: explicit, only: only, environment: environment("STOWAGE_PLUGIN_PATH"),
        executable: FilePaths.ownExecutable(), home: environment("HOME")))
    path.named = Set(explicit.flatMap(split).map(FilePaths.absolute))
    return path
  }

  /// The list from its parts; kept apart from the process for tests.
  static func list(
    explicit: [String], only: Bool, environment: String?, executable: String?, home: String?
  ) -> [String] {
    var folders = explicit.flatMap(split)
    if only { return folders }
    folders += split(environment ?? "")
    if let executable {
      let beside = FilePaths.folder(of: executable)
      folders += [beside + "/plugins", FilePaths.folder(of: beside) + "/lib/stowage/plugins"]
    }
    folders += ["/usr/local/lib/stowage/plugins", "/usr/lib/stowage/plugins"]
    if let home, home.hasPrefix("/") { folders.append(home + "/.local/lib/stowage/plugins") }
    return folders
  }

  private static func split(_ list: String) -> [String] {
    list.split(separator: ":").map(String.init)
  }

  private static func environment(_ name: String) -> String? {
    stowage_environment(name).map { String(cString: $0) }
  }
}

/// File names as text.
public enum FilePaths {
  /// The name from the root on, "." and ".." and double slashes taken out; symbolic links stay.
  /// - Parameter base: what a relative name is relative to; by default the working folder.
  public static func absolute(_ path: String, from base: String) -> String {
    let whole = path.hasPrefix("/") ? path : base + "/" + path
    var parts: [Substring] = []
    for part in whole.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  public static func absolute(_ path: String) -> String { absolute(path, from: workingFolder()) }

  public static func workingFolder() -> String {
    guard let name = getcwd(nil, 0) else { return "/" }
    defer { free(name) }
    return String(cString: name)
  }

  /// A new, empty folder that only its owner can use, where temporary files go; nil with errno set.
  package static func temporaryFolder() -> String? {
    let parent = stowage_environment("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(parent)/stowage-XXXXXX".utf8CString)
    return mkdtemp(&template).map { String(cString: $0) }
  }

  /// The name after the last slash.
  public static func last(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// What stands before the last slash of an absolute name.
  public static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }

  /// The file behind all symbolic links; nil, with errno set, if there is none.
  package static func real(_ path: String) -> String? {
    guard let name = realpath(path, nil) else { return nil }
    defer { free(name) }
    return String(cString: name)
  }

  static func ownExecutable() -> String? { real("/proc/self/exe") }
}
