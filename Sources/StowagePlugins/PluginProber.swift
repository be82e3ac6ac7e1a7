// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Loads plug-ins in helper processes, a process for each, and reports what they say of themselves. No
/// foreign code runs in this process, and whatever a plug-in does ends with its helper.
public struct PluginProber: Sendable {
  /// The bounds of a helper.
  public struct Limits: Sendable {
    /// From when the helper is up until it has answered.
    public var time: Duration
    /// Until the helper is up: its own start, before any plug-in.
    public var startTime: Duration = .seconds(30)
    /// The most data memory (RLIMIT_DATA) that it may take, in bytes; 0: no limit. Not enforced under a sanitizer.
    public var memoryBytes = 1 << 30
    /// Helpers at one time.
    public var parallel = 4

    public init(time: Duration = .seconds(5)) { self.time = time }
  }

  public var limits: Limits
  public var trust: PluginTrust
  private let helper: String?

  /// - Parameters:
  ///   - helper: an executable whose main function begins with `ProbeHelper.runIfAsked`, such as `stowage`;
  ///     nil: this process's own, which must have called that.
  public init(helper: String? = nil, limits: Limits = Limits(), trust: PluginTrust = .ownOnly) {
    self.helper = helper
    self.limits = limits
    self.trust = trust
  }

  /// Probes files, several at a time; the records come in the order of the files.
  /// - Throws: `helper` when probing itself does not work. A bad file is no error but a record.
  public func probe(_ files: [String]) throws(PluginError) -> [PluginRecord] {
    guard let helper = helper ?? (ProbeHelper.isArmed ? "/proc/self/exe" : nil) else {
      throw .helper("this program is no helper; name the stowage executable")
    }
    var records = [PluginRecord?](repeating: nil, count: files.count)
    var running: [(index: Int, child: ProbeChild)] = []
    defer { for (_, child) in running { child.kill() } }
    var next = 0
    while next < files.count || !running.isEmpty {
      while next < files.count, running.count < max(1, limits.parallel) {
        running.append((next, try ProbeChild(file: files[next], helper: helper, trust: trust, limits: limits)))
        next += 1
      }
      HelperProcess.wait(for: running.map(\.child.process))
      for (index, child) in running {
        guard let outcome = try progress(of: child, index: index, in: &running) else { continue }
        records[index] = PluginRecord(file: child.file, outcome: outcome)
      }
    }
    return records.compactMap(\.self)
  }

  /// A child whose outcome is known, or that could not be used, is gone: it leaves the list either way.
  private func progress(
    of child: ProbeChild, index: Int, in running: inout [(index: Int, child: ProbeChild)]
  ) throws(PluginError) -> ProbeOutcome? {
    do throws(PluginError) {
      guard let outcome = try child.progress() else { return nil }
      running.removeAll { $0.index == index }
      return outcome
    } catch {
      running.removeAll { $0.index == index }
      throw error
    }
  }
}
