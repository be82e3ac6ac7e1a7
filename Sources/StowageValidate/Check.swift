// SPDX-License-Identifier: Apache-2.0

/// What a check is about; the order is that of the report.
public enum CheckGroup: String, Sendable, CaseIterable, Codable {
  case file, loading, descriptor, life, transform, backing, threads, host, options, leaks
}

/// Which tiers a check is for.
public enum CheckScope: String, Sendable, Codable {
  case every, transforms, backings, persistentBackings
}

/// One property of a tier, and how it is tried.
public struct Check: Sendable {
  /// Lower-case words with '-', beginning with what it is about: "transform-round-trip".
  public let id: String
  public let group: CheckGroup
  /// One sentence: what a pass shows.
  public let proves: String
  /// One sentence for the author of a tier that fails: what to do about it.
  public let advice: String
  public let scope: CheckScope
  /// Checks that must not have failed: without them this one would fail for the same reason, and is not run.
  public let needs: [String]
  /// Checks that may have failed but must have come to an end: this one makes the same calls.
  public let survivors: [String]
  /// The lowest level (1 to 10) at which it runs.
  public let level: Int
  /// At level 5, for the whole check in its process; longer at higher levels.
  public let timeLimit: Duration
  /// A failure is only a warning.
  public let isWarning: Bool
  /// Opens a store, which reserves more memory than a check's process may have otherwise.
  let opensStore: Bool
  let body: @Sendable (CheckRun) throws -> Void

  init(
    _ id: String, _ group: CheckGroup, scope: CheckScope = .every, needs: [String] = [],
    survivors: [String] = [], level: Int = 1, timeLimit: Duration = .seconds(30), isWarning: Bool = false,
    opensStore: Bool = false, proves: String, advice: String, _ body: @escaping @Sendable (CheckRun) throws -> Void
  ) {
    self.id = id
    self.group = group
    self.scope = scope
    self.needs = needs
    self.survivors = survivors
    self.level = level
    self.timeLimit = timeLimit
    self.isWarning = isWarning
    self.opensStore = opensStore
    self.proves = proves
    self.advice = advice
    self.body = body
  }

  /// How a level stretches what a check does and may take: 5 is the default, each step half as much again or more.
  static func scale(level: Int) -> Double {
    let steps: [Double] = [0.1, 0.2, 0.4, 0.7, 1, 1.5, 2.5, 4, 6, 10]
    return steps[min(max(level, 1), 10) - 1]
  }

  func timeLimit(level: Int) -> Duration { timeLimit * max(1, Self.scale(level: level)) }
}

/// All checks, in the order in which they are reported.
public enum CheckList {
  public static let all: [Check] =
    FileChecks.all + LoadingChecks.all + DescriptorChecks.all + LifeChecks.all + TransformChecks.all
    + BackingChecks.all + ThreadChecks.all + HostChecks.all + OptionChecks.all + LeakChecks.all

  public static func check(_ id: String) -> Check? { all.first { $0.id == id } }

  /// What a check's process can be asked for.
  static func order(_ id: String) -> Check? { id == GivenOptions.question.id ? GivenOptions.question : check(id) }
}
