// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// Turns SIGINT and SIGTERM into an orderly end: loops ask for `signalNumber` and unwind, so that the terminal, files
/// and helper processes are cleaned up by those who own them.
package enum Interruption {
  private static let signal = Atomic<Int32>(0)
  /// The terminal whose cursor is hidden; -1 when none is.
  private static let hiddenCursor = Atomic<Int32>(-1)

  /// Takes over SIGINT and SIGTERM. A second signal ends the process at once.
  package static func install() {
    // A global is made on its first use, which must not be in a signal handler.
    signal.store(0, ordering: .relaxed)
    hiddenCursor.store(-1, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { Interruption.note($0) }
    action.sa_flags = SA_RESTART
    sigaction(SIGINT, &action, nil)
    sigaction(SIGTERM, &action, nil)
    // Whoever started this process may have blocked them, as runtimes do on their threads.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
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
