// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Foundation
internal import Glibc

/// A helper process, seen from within: confined, and answering by `HelperProtocol`.
package struct HelperSide: Sendable {
  private let kind: String
  private let token: String

  package init(kind: String, token: String) {
    self.kind = kind
    self.token = token
  }

  /// Confines this process and greets the parent. Ends the process when the parent is gone.
  /// - Parameter memoryBytes: the most data memory; 0: no limit.
  package func begin(parent: Int32, memoryBytes: UInt64) {
    confine(parent: parent, memoryBytes: memoryBytes)
    say(HelperProtocol.greeting(kind, token))
  }

  package func stage(_ name: String) { say("stage \(name)\n") }

  /// Gives the result and ends the process, without what the plug-in left to be done at exit.
  package func end(_ result: some Encodable) -> Never {
    guard let json = try? JSONEncoder().encode(result) else { _exit(HelperProtocol.statusUsage) }
    say("result \(json.count)\n")
    say(Array(json))
    say(HelperProtocol.end(token))
    _exit(0)
  }

  /// Somebody called the command with a helper's arguments.
  package static func refuse(_ text: String) -> Never {
    let bytes = Array("stowage: \(text)\n".utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    _exit(HelperProtocol.statusUsage)
  }

  /// Nothing that the plug-in does may outlive the parent, fill the memory or leave a core dump.
  private func confine(parent: Int32, memoryBytes: UInt64) {
    _ = stowage_end_with_parent()
    if getppid() != parent { _exit(HelperProtocol.statusUsage) }
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

  private func say(_ text: String) { say(Array(text.utf8)) }

  private func say(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { write(STOWAGE_CHILD_RESULT, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { _exit(HelperProtocol.statusNoPipe) }
      done += count
    }
  }
}
