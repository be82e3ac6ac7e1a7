// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// Turns the signals that ask a process to stop (SIGHUP, SIGINT, SIGQUIT, SIGTERM) into an orderly end: loops ask for
/// `signalNumber` and unwind, so that the terminal, files and helper processes are cleaned up by those who own them.
package enum Interruption {
  private static let signal = Atomic<Int32>(0)
  /// The terminal whose cursor is hidden; -1 when none is.
  private static let hiddenCursor = Atomic<Int32>(-1)

  private static let numbers = [SIGHUP, SIGINT, SIGQUIT, SIGTERM]

  /// Takes over the signals. A second one ends the process at once. One that is ignored stays so: whoever started this
  /// process, such as nohup, wanted it to.
  package static func install() {
    // A global is made on its first use, which must not be in a signal handler.
    signal.store(0, ordering: .relaxed)
    hiddenCursor.store(-1, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { Interruption.note($0) }
    action.sa_flags = SA_RESTART
    for number in numbers where !isIgnored(number) { sigaction(number, &action, nil) }
    // Whoever started this process may have blocked them, as runtimes do on their threads.
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in numbers { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    // SIG_IGN is the number 1 and no function.
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self) == 1
  }

  /// Tells which terminal has to get its cursor back, should the process end at once; -1: none.
  package static func noteHiddenCursor(on descriptor: Int32) { hiddenCursor.store(descriptor, ordering: .relaxed) }

  private static func note(_ number: Int32) {
    guard signal.exchange(number, ordering: .relaxed) != 0 else { return }
    let terminal = hiddenCursor.load(ordering: .relaxed)
    let showCursor: StaticString = "\u{1B}[?25h"
    if terminal >= 0 { _ = write(terminal, showCursor.utf8Start, showCursor.utf8CodeUnitCount) }
    _exit(128 + number)
  }

  /// The signal that has come; nil: none yet.
  package static var signalNumber: Int32? {
    let number = signal.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
