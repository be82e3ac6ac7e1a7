// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
public import StowagePlugins

/// All that is known of one file.
public struct FileValidation: Sendable {
  /// The plug-in's file.
  public var file: String
  /// The file's name, without ".tier.so".
  public var name: String
  /// How thorough the checks were, 1 to 10.
  public var level: Int
  /// Of everything random.
  public var seed: UInt64
  /// In the order of the list of checks.
  public var results: [CheckResult] = []

  /// All that was asked for is for other tiers.
  public var isForOthers: Bool { !results.isEmpty && results.allSatisfy { $0.outcome == .notApplicable } }

  /// How many checks ended so.
  public func count(_ outcome: CheckOutcome) -> Int { results.count { $0.outcome == outcome } }

  /// As an exit status: 0 passed, 1 a check failed, 2 nothing applied, 3 it crashed or hung. A file of which nothing
  /// passed has failed.
  public var status: Int32 {
    if isForOthers { return 2 }
    if results.contains(where: { $0.outcome == .crashed || $0.outcome == .hung }) { return 3 }
    if results.contains(where: { $0.outcome == .failed }) { return 1 }
    return results.contains { $0.outcome == .passed || $0.outcome == .warning } ? 0 : 1
  }

  /// The exit status for several files: the worst; where something applied, the others do not matter.
  public static func status(of validations: [FileValidation]) -> Int32 {
    let applied = validations.filter { !$0.isForOthers }
    return applied.map(\.status).max() ?? 2
  }
}

/// Runs checks on plug-in files, each check in a process of its own.
public struct Validator: Sendable {
  /// How thorough the checks are, 1 to 10.
  public var level = 5
  /// Of everything random.
  public var seed: UInt64
  /// Only these; empty: all. Those that they need run too, unreported unless they fail.
  public var checks: [String] = []
  /// What the tier is opened with, by key.
  public var options: [String: String] = [:]
  /// Pages that are real, a file of any kind; nil: those of this process and of programs.
  public var pages: String?
  /// Processes at one time.
  public var parallel = max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  /// Asked again and again while checks run: the signal that is to end the run; nil: none.
  public var interruption: @Sendable () -> Int32? = { nil }
  /// The most memory of a check's process, in bytes: of data that it may have at all, and where a check opens a store,
  /// which reserves much that it never uses, of what is present.
  public var memoryBytes = 2 << 30
  let helper: String

  /// - Parameter helper: an executable whose main function calls `CheckHelper.runIfAsked`; nil: this process's own.
  public init(seed: UInt64, helper: String? = nil) {
    self.seed = seed
    self.helper = helper ?? "/proc/self/exe"
  }

  /// - Parameter report: called with each result as it comes, in no particular order.
  /// - Throws: `interrupted`; a helper that does not work is a check that crashed.
  public func validate(file: String, report: (CheckResult) -> Void = { _ in }) throws(PluginError) -> FileValidation {
    let name = FilePaths.last(of: file)
    var validation = FileValidation(
      file: file, name: name.hasSuffix(".tier.so") ? String(name.dropLast(8)) : name, level: level, seed: seed)
    var run = ValidationRun(self, file: file, helper: helper)
    defer { run.end() }
    validation.results = try run.all(report)
    return validation
  }

  /// The checks of this run, with those that they need.
  var wanted: [Check] {
    let eligible = CheckList.all.filter { $0.level <= level || checks.contains($0.id) }
    guard !checks.isEmpty else { return eligible }
    var ids = Set(checks)
    var needed = checks
    while let id = needed.popLast() {
      let others = CheckList.check(id).map { $0.needs + $0.survivors } ?? []
      for other in others where ids.insert(other).inserted { needed.append(other) }
    }
    return CheckList.all.filter { ids.contains($0.id) }
  }
}

/// The checks on one file under way.
private struct ValidationRun {
  let validator: Validator
  let file: String
  let helper: String
  private var results: [String: CheckResult] = [:]
  private var running: [CheckProcess] = []
  /// To be run once more, with nothing beside them, and what came of them at first.
  private var slow: [(check: Check, first: CheckResult)] = []
  /// The one of them that is under way: what came of it at first.
  private var repeated: CheckResult?
  private let sanitizer: SanitizerRuntime?
  private var scopeKnown: [CheckScope: Bool] = [:]

  init(_ validator: Validator, file: String, helper: String) {
    self.validator = validator
    self.file = file
    self.helper = helper
    sanitizer = SanitizerRuntime(of: file)
  }

  mutating func end() {
    for process in running {
      process.process.kill()
      remove(process.order.folder)
    }
  }

  /// What a check made can be large: it is gone before the next one begins.
  private func remove(_ folder: String) {
    UserFile.removeThose(of: folder, validator.options)
    try? FileManager.default.removeItem(atPath: folder)
  }

  mutating func all(_ report: (CheckResult) -> Void) throws(PluginError) -> [CheckResult] {
    var waiting = validator.wanted
    let wanted = waiting
    let parallel = UserFile.mustTakeTurns(validator.options) ? 1 : validator.parallel
    while !waiting.isEmpty || !running.isEmpty || !slow.isEmpty {
      if running.isEmpty, let next = slow.popLast() {
        repeated = next.first
        start(next.check, report)
      }
      while slow.isEmpty, repeated == nil, running.count < parallel, let index = waiting.firstIndex(where: isReady) {
        let check = waiting.remove(at: index)
        if let missing = missing(for: check) {
          keep(left(check, out: missing), report)
        } else if let objection = sanitizer?.objection(to: check) {
          keep(result(check, .notRun, objection), report)
        } else {
          start(check, report)
        }
      }
      HelperProcess.wait(for: running.map(\.process))
      if let signal = validator.interruption() { throw .interrupted(signal: signal) }
      collect(report)
    }
    let listed = validator.checks.isEmpty ? wanted : wanted.filter { isListed($0) }
    return listed.compactMap { results[$0.id] }
  }

  /// What was not asked for is listed only when it says why what was asked for did not run.
  private func isListed(_ check: Check) -> Bool {
    validator.checks.contains(check.id) || results[check.id]?.outcome.isBad == true
  }

  private func isReady(_ check: Check) -> Bool { (check.needs + check.survivors).allSatisfy { results[$0] != nil } }

  /// What it needs and has not.
  private func missing(for check: Check) -> String? {
    check.needs.first { !isGood(results[$0], for: check) }
      ?? check.survivors.first { id in
        [.crashed, .hung, .notRun].contains(results[id]?.outcome ?? .notRun)
      }
  }

  /// Whether what a check needs is there. What is for other tiers cannot stand in the way of another group's checks,
  /// nor what is for other kinds of options: each check of options finds out itself whether there are any of its own.
  private func isGood(_ result: CheckResult?, for check: Check) -> Bool {
    guard let result else { return false }
    switch result.outcome {
    case .passed, .warning: return true
    case .notApplicable: return result.group != check.group || check.group == .options
    case .failed, .crashed, .hung, .notRun: return false
    }
  }

  /// A check that does not run for want of another: what that one does not apply to, this one does not either; else it
  /// is because of the check at the root, the one that did not pass itself.
  private func left(_ check: Check, out missing: String) -> CheckResult {
    if let other = results[missing], other.outcome == .notApplicable {
      return result(check, .notApplicable, other.message)
    }
    let root = results[missing]?.blockedBy ?? missing
    let word =
      switch results[root]?.outcome {
      case nil: "does not exist"
      case .notRun: "could not be run"
      case let outcome?: outcome.rawValue
      }
    var left = result(check, .notRun, "it needs \(root), which \(word)")
    left.blockedBy = root
    return left
  }

  private func result(_ check: Check, _ outcome: CheckOutcome, _ message: String) -> CheckResult {
    CheckResult(
      id: check.id, group: check.group, outcome: outcome, message: message, evidence: 0, durationMilliseconds: 0,
      lastCall: nil, seed: validator.seed)
  }

  private mutating func start(_ check: Check, _ report: (CheckResult) -> Void) {
    do throws(PluginError) { running.append(try process(for: check)) } catch {
      let reason = if case .helper(let reason) = error { reason } else { "\(error)" }
      keep(second(result(check, .crashed, reason)), report)
    }
  }

  private mutating func process(for check: Check) throws(PluginError) -> CheckProcess {
    guard let folder = FilePaths.temporaryFolder() else {
      throw .helper("no temporary folder can be made: \(errnoText(errno))")
    }
    let order = CheckOrder(
      file: file, check: check.id, level: validator.level, seed: validator.seed, options: validator.options,
      folder: folder, pages: validator.pages)
    do {
      return try CheckProcess(check, order, helper: helper, memoryBytes: validator.memoryBytes, sanitizer)
    } catch {
      remove(folder)
      throw error
    }
  }

  private mutating func collect(_ report: (CheckResult) -> Void) {
    var left: [CheckProcess] = []
    for process in running {
      guard let result = process.progress() else {
        left.append(process)
        continue
      }
      remove(process.order.folder)
      // How long something takes is also the machine's doing: what was late gets a second chance, without others.
      if process.isLate, repeated == nil {
        slow.append((process.check, result))
      } else {
        keep(second(result), report)
      }
    }
    running = left
  }

  /// The result of a check that was run once more, which says so; any other as it is.
  private mutating func second(_ result: CheckResult) -> CheckResult {
    guard let first = repeated else { return result }
    repeated = nil
    var result = result
    result.firstRun = "\(first.outcome.rawValue): \(first.message)"
    return result
  }

  private mutating func keep(_ result: CheckResult, _ report: (CheckResult) -> Void) {
    results[result.id] = result
    report(result)
  }
}
