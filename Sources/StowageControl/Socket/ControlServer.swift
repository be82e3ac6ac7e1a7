// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Foundation

/// Answers on a control socket. Whoever connects must be the process's own user, or root.
public final class ControlServer: Sendable {
  public typealias Handler = @Sendable (ControlRequest) -> ControlAnswer

  private let descriptor: Int32
  private let program: String
  private let handler: Handler
  /// So many requests are served at one time.
  private let slots = DispatchSemaphore(value: 16)

  /// - Parameters:
  ///   - descriptor: a listening socket; the caller closes it after `stop`.
  ///   - program: the program's version, told to clients.
  ///   - handler: called on threads of the server's own, several at a time.
  public init(descriptor: Int32, program: String, handler: @escaping Handler) {
    self.descriptor = descriptor
    self.program = program
    self.handler = handler
  }

  /// Begins to answer, until the process ends.
  public func start() {
    let thread = Thread { [self] in accept() }
    thread.name = "control"
    thread.start()
  }

  private func accept() {
    // Signals are for the main thread.
    var all = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_BLOCK, &all, nil)
    while true {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, -1) > 0 else { continue }
      guard waiting.revents & Int16(POLLNVAL) == 0 else { return }
      let client = stowage_accept(descriptor)
      guard client >= 0 else {
        usleep(20_000)
        continue
      }
      slots.wait()
      Thread { [self] in
        serve(client)
        close(client)
        slots.signal()
      }.start()
    }
  }

  private func serve(_ client: Int32) {
    var (process, user) = (Int32(0), UInt32(0))
    guard stowage_peer(client, &process, &user) == 0, user == geteuid() || user == 0 else { return }
    let stream = ControlStream(client, seconds: 5)
    guard stream.write(Array(ControlGreeting.line(program: program).utf8)), let line = stream.read(limit: 1 << 16)
    else {
      return
    }
    let answer = ControlRequest.decoded(line).map(handler) ?? .failure("this is no request")
    _ = stream.write(Array((answer.json.rendered() + "\n").utf8))
  }
}
