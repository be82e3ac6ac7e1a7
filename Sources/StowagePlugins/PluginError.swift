// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// What finding, probing or loading plug-ins can fail with. `description` is one sentence that names the
/// file or the plug-in and says what to do.
public enum PluginError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file is no tier that this host takes.
  case refused(file: String, reason: String)
  /// No plug-in of this name was found.
  case unknown(name: String, near: [String], searched: [String])
  /// The plug-in was probed, and cannot be used.
  case unusable(name: String, file: String, status: PluginStatus, reason: String)
  /// A file that was asked for cannot be written.
  case output(file: String, reason: String)
  /// Probing itself does not work here; nothing is known of any plug-in.
  case helper(String)
  /// The process was asked to stop, with this signal; helpers have ended and temporary files are gone.
  case interrupted(signal: Int32)

  /// One line that says what happened and to which file.
  public var description: String {
    switch self {
    case .refused(let file, let reason): "\(file): \(reason)"
    case .unknown(let name, let near, let searched):
      "no plug-in named '\(name)'" + NearNames.question(near)
        + "; searched \(searched.isEmpty ? "no folder" : searched.joined(separator: ", "))"
    case .unusable(let name, let file, let status, let reason):
      "plug-in '\(name)' \(status.verdict(reason)): \(file): \(reason)"
    case .output(let file, let reason): "\(file) cannot be written: \(reason)"
    case .helper(let reason): "cannot probe plug-ins: \(reason)"
    case .interrupted(let signal): "stopped by signal \(signal); helpers have ended, temporary files are gone"
    }
  }
}

/// The text of an errno.
package func errnoText(_ number: Int32) -> String { String(cString: strerror(number)) }
