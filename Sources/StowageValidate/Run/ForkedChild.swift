// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowagePlugins

/// A second process of a check, forked before the tier is loaded: what it leaves behind is seen by the first one.
///
/// It belongs to the check's process group, so it never outlives the check.
final class ForkedChild {
  private let run: CheckRun
  private let copy: ProcessCopy

  /// Where the body of the child writes to its parent.
  struct Side {
    fileprivate let pipe: Int32

    /// Sends bytes; the parent reads them with `receive`.
    func send(_ bytes: [UInt8]) { ProcessCopy.send(bytes, to: pipe) }

    /// Waits to be killed.
    func waitForEnd() -> Never { while true { pause() } }
  }

  /// Starts the body in a process of its own. To be called while this process has one thread and the tier is not
  /// loaded.
  init(_ run: CheckRun, _ body: (Side) throws -> Void) throws {
    self.run = run
    guard let copy = ProcessCopy({ Self.live(Side(pipe: $0), body) }) else {
      throw run.notRun("no second process: \(errnoText(errno))")
    }
    self.copy = copy
  }

  /// The last byte that a child sends is how it ended; what stands before belongs to its body.
  private enum End: UInt8 { case done, failed, notRun, notApplicable }

  private static func live(_ side: Side, _ body: (Side) throws -> Void) -> Never {
    var (end, reason) = (End.done, "")
    do { try body(side) } catch CheckEnd.failed(let text), CheckEnd.late(let text) {
      (end, reason) = (.failed, text)
    } catch CheckEnd.notRun(let text) {
      (end, reason) = (.notRun, text)
    } catch CheckEnd.notApplicable(let text) {
      (end, reason) = (.notApplicable, text)
    } catch { (end, reason) = (.failed, "\(error)") }
    side.send(Array(reason.utf8) + [end.rawValue])
    _exit(0)
  }

  /// Reads up to `count` bytes; fewer when the child has ended.
  func receive(_ count: Int) -> [UInt8] { copy.receive(count) ?? [] }

  /// Waits until the body ended, and ends the check as the body did.
  func finish() throws {
    try conclude(receive(1 << 20), status: copy.wait())
  }

  /// Waits for a byte from the body, which says that it is ready; ends the check when the body ended instead.
  func waitUntilReady() throws {
    let first = receive(1)
    guard first != [Self.ready] else { return }
    try conclude(first + receive(1 << 20), status: copy.wait())
    throw run.notRun("the second process ended too early")
  }

  static let ready: UInt8 = 0xFF

  /// Kills it, as a power cut would; gives what it had sent before.
  func kill() -> [UInt8] {
    copy.kill()
    let sent = receive(1 << 20)
    _ = copy.wait()
    return sent
  }

  private func conclude(_ sent: [UInt8], status: Int32) throws {
    guard status == 0, let last = sent.last, let end = End(rawValue: last) else {
      throw run.fail("a second process with the tier: \(HelperProcess.text(ofStatus: status))")
    }
    let reason = String(decoding: sent.dropLast(), as: UTF8.self)
    switch end {
    case .done: return
    case .failed: throw run.fail("in a second process: \(reason)")
    case .notRun: throw run.notRun(reason)
    case .notApplicable: throw run.notApplicable(reason)
    }
  }
}
