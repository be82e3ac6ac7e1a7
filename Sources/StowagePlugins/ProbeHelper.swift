// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageEngine
internal import Synchronization

/// The helper process: loads one plug-in, tells what it found, and ends.
public enum ProbeHelper {
  private static let armed = Atomic<Bool>(false)

  /// This process's own executable can be a helper, as it has called `runIfAsked`.
  static var isArmed: Bool { armed.load(ordering: .relaxed) }

  /// To be called first thing in the main function of an executable that probes with itself as the helper.
  /// Comes back only in a process that is no helper.
  public static func runIfAsked() {
    armed.store(true, ordering: .relaxed)
    let arguments = CommandLine.arguments
    guard arguments.count > 1, arguments[1] == ProbeProtocol.argument else { return }
    guard arguments.count == ProbeProtocol.argumentCount, let parent = Int32(arguments[2]),
      let memoryBytes = UInt64(arguments[4]), let trust = PluginTrust(rawValue: arguments[5])
    else {
      HelperSide.refuse("\(ProbeProtocol.argument) is for stowage itself; try 'stowage plugins info FILE'")
    }
    let helper = HelperSide(kind: ProbeProtocol.kind, token: arguments[3])
    helper.begin(parent: parent, memoryBytes: memoryBytes)
    helper.end(probe(arguments[6], trust: trust, helper))
  }

  private static func probe(_ file: String, trust: PluginTrust, _ helper: HelperSide) -> ProbeResult {
    let before = (0...2).map { FileIdentity(descriptor: $0) }
    var result = ProbeResult()
    do throws(PluginError) {
      let image = try PluginImage(path: file, trust: trust) { helper.stage($0.rawValue) }
      result.description = TierDescription(image.table)
      helper.stage(LoadStage.asking.rawValue)
      result.description?.facts = TierFacts.of(image.table)
      result.hash = image.hash
    } catch {
      if case .refused(_, let reason) = error { result.refusal = reason } else { result.refusal = "\(error)" }
    }
    for number in 0...2 where FileIdentity(descriptor: Int32(number)) != before[number] {
      result.misconduct = "it closed or replaced file descriptor \(number) of the process that loaded it"
    }
    return result
  }
}

extension FileIdentity {
  /// Of what is open under this number; nil if nothing is.
  init?(descriptor: Int32) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return nil }
    self.init(status)
  }
}
