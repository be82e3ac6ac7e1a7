// SPDX-License-Identifier: Apache-2.0
package import StowageBasics

/// Why a trial or a capture could not be done. `description` is one line that says what to do.
public enum TrialError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was asked for is not possible: an unknown process, a missing file, no room for swap.
  case input(String)
  /// The user or the system asked the process to stop, with this signal.
  case interrupted(signal: Int32)

  /// One line that says what to do.
  public var description: String {
    switch self {
    case .input(let reason): reason
    case .interrupted(let signal): "stopped by signal \(signal); nothing is left behind"
    }
  }
}

extension Interruption {
  /// Throws when a signal has come.
  package static func check() throws(TrialError) {
    if let signalNumber { throw .interrupted(signal: signalNumber) }
  }
}
