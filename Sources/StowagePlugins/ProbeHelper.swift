// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Foundation
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
      complain("stowage: \(ProbeProtocol.argument) is for stowage itself; try 'stowage plugins info FILE'\n")
      _exit(ProbeProtocol.statusUsage)
    }
    confine(parent: parent, memoryBytes: memoryBytes)
    let token = arguments[3]
    say(ProbeProtocol.greeting(token))
    let result = probe(arguments[6], trust: trust)
    guard let json = try? JSONEncoder().encode(result) else { _exit(ProbeProtocol.statusUsage) }
    say("result \(json.count)\n")
    say(Array(json))
    say(ProbeProtocol.end(token))
    // What the plug-in left to be done at exit is not ours to run.
    _exit(0)
  }

  /// Nothing that the plug-in does may outlive the parent, fill the memory or leave a core dump.
  private static func confine(parent: Int32, memoryBytes: UInt64) {
    _ = stowage_end_with_parent()
    if getppid() != parent { _exit(ProbeProtocol.statusUsage) }
    // A crash is to end the process by its signal, whatever a sanitizer or a runtime would make of it.
    for number in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT] { signal(number, SIG_DFL) }
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    // Data and not address space: drivers of devices reserve a lot of that without using it. Under a
    // sanitizer the shadow memory counts as data, so there is no limit then.
    let isSanitized = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
    guard memoryBytes > 0, !isSanitized else { return }
    var data = rlimit(rlim_cur: rlim_t(memoryBytes), rlim_max: rlim_t(memoryBytes))
    setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &data)
  }

  private static func probe(_ file: String, trust: PluginTrust) -> ProbeResult {
    let before = (0...2).map { FileIdentity(descriptor: $0) }
    var result = ProbeResult()
    do throws(PluginError) {
      let image = try PluginImage(path: file, trust: trust) { say(ProbeProtocol.stage($0)) }
      result.description = TierDescription(image.table)
      say(ProbeProtocol.stage(.asking))
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

  private static func say(_ text: String) { say(Array(text.utf8)) }

  private static func say(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { write(STOWAGE_CHILD_RESULT, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { _exit(ProbeProtocol.statusNoPipe) }
      done += count
    }
  }

  private static func complain(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
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
