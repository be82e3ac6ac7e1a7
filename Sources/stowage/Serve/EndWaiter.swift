// SPDX-License-Identifier: Apache-2.0
internal import Dispatch
internal import Glibc
internal import StowageControl
internal import Synchronization

/// How a wish for the end ended.
enum EndOutcome: Sendable {
  /// It goes on, for a reason.
  case stays(String)
  case ended(JSONValue)
  case failed(String)
}

/// A wish for the end: by a signal, or over the control socket.
final class EndRequest: Sendable {
  let discards: Bool
  let isSignal: Bool
  private let done = DispatchSemaphore(value: 0)
  private let outcome = Mutex<EndOutcome?>(nil)

  init(discards: Bool, isSignal: Bool) {
    self.discards = discards
    self.isSignal = isSignal
  }

  func answer(_ outcome: EndOutcome) {
    self.outcome.withLock { $0 = outcome }
    done.signal()
  }

  func wait() -> EndOutcome {
    done.wait()
    return outcome.withLock { $0 } ?? .failed("no answer")
  }
}

/// Where the main thread waits for the end. Signals that ask for it are taken here and nowhere else; a second one while
/// the first is being served ends the process at once.
final class EndWaiter: Sendable {
  /// Wakes the main thread for a request of another one.
  private static let wake = SIGUSR1
  private static let ending = [SIGTERM, SIGINT, SIGHUP]

  private let requests = Mutex<[EndRequest]>([])

  init() {
    var signals = Self.set(Self.ending + [Self.wake])
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  private static func set(_ numbers: [Int32]) -> sigset_t {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in numbers { sigaddset(&signals, number) }
    return signals
  }

  /// The next request. On the main thread.
  func wait() -> EndRequest {
    var signals = Self.set(Self.ending + [Self.wake])
    // While one is served, a second signal does what it does to any process.
    var fatal = Self.set(Self.ending)
    pthread_sigmask(SIG_BLOCK, &fatal, nil)
    while true {
      if let next = requests.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return begin(next) }
      let number = sigwaitinfo(&signals, nil)
      if Self.ending.contains(number) { return begin(EndRequest(discards: false, isSignal: true)) }
    }
  }

  private func begin(_ request: EndRequest) -> EndRequest {
    var fatal = Self.set(Self.ending)
    pthread_sigmask(SIG_UNBLOCK, &fatal, nil)
    return request
  }

  /// Any other thread: asks for the end, and waits for what comes of it.
  func ask(discards: Bool) -> EndOutcome {
    let request = EndRequest(discards: discards, isSignal: false)
    requests.withLock { $0.append(request) }
    kill(getpid(), Self.wake)
    return request.wait()
  }
}
