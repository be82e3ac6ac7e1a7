// SPDX-License-Identifier: Apache-2.0
internal import Dispatch
internal import Foundation
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

/// Where the main thread waits for the end. Signals that ask for it are taken here and nowhere else. While one is served, a
/// second one ends the process, but not at once: a key pressed twice, or a terminal's and a script's, are one wish.
final class EndWaiter: Sendable {
  /// Wakes the main thread for a request of another one.
  private static let wake = SIGUSR1
  private static let patienceSeconds = 3

  /// Those that are ignored (nohup, the background of a script) stay so.
  private let ending: [Int32]
  private let requests = Mutex<[EndRequest]>([])
  /// The number of the request that is served; 0: none is.
  private let served = Mutex<(now: Int, last: Int)>((0, 0))

  init() {
    ending = [SIGTERM, SIGINT, SIGHUP].filter { number in
      var action = sigaction()
      return sigaction(number, nil, &action) != 0 || unsafeBitCast(action.__sigaction_handler, to: Int.self) != 1
    }
    var signals = Self.set(ending + [Self.wake])
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
    served.withLock { $0.now = 0 }
    var signals = Self.set(ending + [Self.wake])
    while true {
      if let next = requests.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return begin(next) }
      let number = sigwaitinfo(&signals, nil)
      if ending.contains(number) { return begin(EndRequest(discards: false, isSignal: true)) }
    }
  }

  /// A thread lets signals through that come when the request has taken some seconds.
  private func begin(_ request: EndRequest) -> EndRequest {
    let number = served.withLock {
      $0.last += 1
      $0.now = $0.last
      return $0.now
    }
    Thread.detachNewThread { [self] in
      sleep(UInt32(Self.patienceSeconds))
      // Those that came meanwhile belong to the first.
      var none = timespec()
      var fatal = Self.set(ending)
      guard served.withLock({ $0.now == number }) else { return }
      while sigtimedwait(&fatal, nil, &none) > 0 {}
      pthread_sigmask(SIG_UNBLOCK, &fatal, nil)
      while served.withLock({ $0.now == number }) { usleep(50_000) }
    }
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
