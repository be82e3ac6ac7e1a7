// SPDX-License-Identifier: Apache-2.0

/// A place in a configuration file, counted from 1; columns count characters.
public struct ConfigurationLocation: Sendable, Hashable {
  public var line: Int
  public var column: Int
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// What is wrong with a configuration. `description` is "FILE:LINE:COLUMN: KEY: what is wrong and expected".
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
  public var file: String
  /// nil when the file cannot be read at all.
  public var location: ConfigurationLocation?
  /// The key as a person would name it: "tier[2].options.level"; nil when it is about no key.
  public var key: String?
  public var reason: String

  public var description: String {
    let place = location.map { ":\($0.line):\($0.column)" } ?? ""
    return "\(file)\(place): " + (key.map { "\($0): " } ?? "") + reason
  }
}
