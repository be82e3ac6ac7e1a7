// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import StowagePlugins

/// Files that the user names with an option. Checks run side by side, and none may find what another one left: each has
/// one of its own. Devices and folders cannot be copied: checks take turns at them.
enum UserFile {
  /// The name for one instance: of a copy in the check's folder, of the file itself when it cannot be copied, and
  /// where there is none yet, of one beside it, which `removeThose` knows.
  /// - Parameter suffix: tells the files of several instances apart.
  static func own(_ file: String, _ key: String, _ run: CheckRun, suffix: String) throws -> String {
    var status = stat()
    guard stat(file, &status) == 0 else { return beside(file, run.order.folder) + suffix }
    guard status.st_mode & S_IFMT == S_IFREG else { return file }
    let copy = "\(run.order.folder)/\(key)\(suffix)"
    guard access(copy, F_OK) != 0 else { return copy }
    do { try FileManager.default.copyItem(atPath: file, toPath: copy) } catch {
      throw run.notRun("\(file) cannot be copied for this check: \(error.localizedDescription)")
    }
    return copy
  }

  /// Whether one is there that all instances share.
  static func isShared(_ file: String) -> Bool {
    var status = stat()
    return stat(file, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
  }

  /// Whether the values of options name something that all checks share.
  static func mustTakeTurns(_ options: [String: String]) -> Bool { options.values.contains { isShared($0) } }

  /// Removes what a check with this folder has made beside files that were named and not there.
  static func removeThose(of folder: String, _ options: [String: String]) {
    for file in options.values where !file.isEmpty {
      let own = beside(FilePaths.absolute(file), folder)
      let (place, start) = (FilePaths.folder(of: own), FilePaths.last(of: own))
      let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
      for name in names where name.hasPrefix(start) {
        try? FileManager.default.removeItem(atPath: place + "/" + name)
      }
    }
  }

  /// The check's folder has a name of its own already.
  private static func beside(_ file: String, _ folder: String) -> String { "\(file).\(FilePaths.last(of: folder))" }
}
