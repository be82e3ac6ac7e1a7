// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageControl
internal import StowageNBD
internal import StowagePlugins

/// Where the daemon's control socket is.
struct ControlOptions: ParsableArguments {
  @Option(
    name: .customLong("control"),
    help: ArgumentHelp(
      "The daemon's control socket (default: STOWAGE_CONTROL, else control.sock in the folder 'stowage' of "
        + "XDG_RUNTIME_DIR; for root without one of its own in /run/stowage).", valueName: "file"))
  var path: String?

  var client: ControlClient { ControlClient(ControlPath.resolve(path, configured: nil)) }
}

enum ControlPath {
  static func resolve(_ flag: String?, configured: String?) -> String {
    if let flag { return FilePaths.absolute(flag) }
    if let named = getenv("STOWAGE_CONTROL"), named.pointee != 0 { return FilePaths.absolute(String(cString: named)) }
    return configured ?? "\(folder)/control.sock"
  }

  /// Where sockets are by default; only the user's own.
  static var folder: String {
    let named = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? ""
    // The same for root from a service manager and from a login, whose folder goes with it.
    if geteuid() == 0, !named.hasPrefix("/") || named.hasPrefix("/run/user/") { return "/run/stowage" }
    return named.hasPrefix("/") ? named + "/stowage" : "/tmp/stowage-\(geteuid())"
  }

  /// Makes the folder of a control socket, if it is missing, and makes sure that nobody else can get at what is in it.
  static func prepare(_ socket: String) throws {
    let folder = FilePaths.folder(of: socket)
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw ExportError("cannot make the folder \(folder) of the control socket: \(String(cString: strerror(errno)))")
    }
    var status = stat()
    guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw ExportError("\(folder), where the control socket is to be, is no folder; name another with --control")
    }
    let isOwn = status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    // In the system's folder with the sticky bit, such as /tmp, only the owner of a file can remove it; in another user's he
    // can, too.
    let isTrusted = status.st_uid == 0 || status.st_uid == geteuid()
    guard isOwn || (isTrusted && (status.st_mode & S_ISVTX != 0 || status.st_mode & 0o022 == 0)) else {
      throw ExportError(
        "others can change what is in \(folder), where the control socket is to be; name a folder of your own with --control")
    }
  }
}
