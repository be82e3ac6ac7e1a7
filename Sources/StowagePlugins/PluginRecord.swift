// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// What became of a plug-in file.
public enum PluginStatus: String, Sendable, Hashable, CaseIterable {
  /// Can be used as it is.
  case ok
  /// Can be used once it gets the options that it requires.
  case unavailable
  /// Not taken, for a reason that is known.
  case refused
  /// It crashed, hung, exited or did other harm while it was loaded.
  case crashed

  /// What follows a plug-in's name in a sentence: "is refused", "hung".
  func verdict(_ reason: String) -> String {
    guard self == .crashed else { return "is \(rawValue)" }
    return reason.hasPrefix("it hung") ? "hung" : "crashed"
  }
}

/// What is known of one plug-in file.
public struct PluginRecord: Sendable, Hashable {
  /// Absolute, as found in the search path.
  public var file: String
  /// NAME of NAME.tier.so.
  public var name: String
  public var status: PluginStatus
  /// Why it is not `ok`; nil if it is.
  public var reason: String?
  /// What it says of itself; nil unless `ok` or `unavailable`.
  public var description: TierDescription?
  /// Of the contents that were probed.
  public var hash: String?

  public init(
    file: String, name: String, status: PluginStatus, reason: String? = nil, description: TierDescription? = nil,
    hash: String? = nil
  ) {
    self.file = file
    self.name = name
    self.status = status
    self.reason = reason
    self.description = description
    self.hash = hash
  }

  init(file: String, outcome: ProbeOutcome) {
    let result = outcome.result
    let fileName = FilePaths.last(of: file)
    self.init(file: file, name: PluginFile.name(of: fileName) ?? fileName, status: .ok)
    if let misconduct = result.misconduct {
      (status, reason) = (.crashed, misconduct)
    } else if let refusal = result.refusal {
      (status, reason) = (.refused, refusal)
    } else if let found = result.description {
      description = found
      hash = result.hash
      let missing = found.requiredOptions
      if !missing.isEmpty { (status, reason) = (.unavailable, Self.lack(missing)) }
    } else {
      (status, reason) = (.crashed, "no result came back from the process that loaded it")
    }
  }

  /// "needs option path (file to swap to)".
  public static func lack(_ options: [TierOption]) -> String {
    let list = options.map { "\($0.key) (\($0.help))" }.joined(separator: ", ")
    return "needs \(options.count == 1 ? "option" : "options") \(list)"
  }
}
