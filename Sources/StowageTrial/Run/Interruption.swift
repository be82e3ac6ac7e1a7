// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// Turns SIGINT and SIGTERM into an orderly end: loops ask `check` and unwind, so that the terminal,
/// the swap file and the helper are cleaned up by those who own them.
public enum Interruption {
  private static let signal = Atomic<Int32>(0)
  /// The terminal whose cursor is hidden; -1 when none is.
  private static let hiddenCursor = Atomic<Int32>(-1)

  /// Takes over SIGINT and SIGTERM. A second signal ends the process at once.
  public static func install() {
    // A global is made on its first use, which must not be in a signal handler.
    signal.store(0, ordering: .relaxed)
    hiddenCursor.store(-1, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { Interruption.note($0) }
    action.sa_flags = SA_RESTART
    sigaction(SIGINT, &action, nil)
    sigaction(SIGTERM, &action, nil)
    // Whoever started this process may have had them blocked, which is inherited.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Tells which terminal has to get its cursor back, should the process end at once; -1: none.
  static func noteHiddenCursor(on descriptor: Int32) { hiddenCursor.store(descriptor, ordering: .relaxed) }

  private static func note(_ number: Int32) {
    guard signal.exchange(number, ordering: .relaxed) != 0 else { return }
    let terminal = hiddenCursor.load(ordering: .relaxed)
    let showCursor: StaticString = "\u{1B}[?25h"
    if terminal >= 0 { _ = write(terminal, showCursor.utf8Start, showCursor.utf8CodeUnitCount) }
    _exit(128 + number)
  }

  /// Throws when a signal has come.
  public static func check() throws(TrialError) {
    let number = signal.load(ordering: .relaxed)
    if number != 0 { throw .interrupted(signal: number) }
  }
}
