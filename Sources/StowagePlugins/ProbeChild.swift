// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc

/// A helper process, seen by its parent.
final class ProbeChild {
  let file: String
  private(set) var answer: ProbeAnswer
  private var child: stowage_child
  private var errorText: [UInt8] = []
  private let limits: PluginProber.Limits
  private let startedAt = ContinuousClock.now
  private var greetedAt: ContinuousClock.Instant?
  private var isResultOpen = true
  private var isErrorOpen = true

  /// Most of what a plug-in prints is not kept.
  private static let errorBytesMax = 4096

  /// Starts the helper on a file.
  init(file: String, helper: String, trust: PluginTrust, limits: PluginProber.Limits) throws(PluginError) {
    self.file = file
    self.limits = limits
    var random = SystemRandomNumberGenerator()
    let token = String(random.next(), radix: 36)
    answer = ProbeAnswer(token: token)
    child = stowage_child(pid: -1, result: -1, errors: -1)
    let arguments = [
      "stowage", ProbeProtocol.argument, String(getpid()), token, String(limits.memoryBytes), trust.rawValue, file,
    ]
    let error = Self.withCStrings(arguments) { arguments in
      Self.withCStrings(Self.environment()) { stowage_spawn(helper, arguments, $0, &child) }
    }
    guard error == 0 else { throw .helper("cannot start the helper \(helper): \(errnoText(error))") }
  }

  /// Also runs when `init` throws after a failed start: then there is nothing to close.
  deinit {
    for descriptor in [child.result, child.errors] where descriptor >= 0 { close(descriptor) }
  }

  var descriptors: [pollfd] {
    var list: [pollfd] = []
    if isResultOpen { list.append(pollfd(fd: child.result, events: Int16(POLLIN), revents: 0)) }
    if isErrorOpen { list.append(pollfd(fd: child.errors, events: Int16(POLLIN), revents: 0)) }
    return list
  }

  /// Reads what there is, and says how the probe went once that is known; the process is gone then.
  func progress() throws(PluginError) -> ProbeOutcome? {
    readAll()
    if answer.isComplete { return try finish(.answered) }
    if answer.isTooLong { return try finish(.babbled) }
    if stowage_child_ended(child.pid) != 0 {
      readAll()
      return try finish(answer.isComplete ? .answered : .ended)
    }
    let now = ContinuousClock.now
    guard let greetedAt else {
      return now - startedAt > limits.startTime ? try finish(.hung) : nil
    }
    return now - greetedAt > limits.time ? try finish(.hung) : nil
  }

  /// Ends the process, whatever it does.
  func kill() { _ = stowage_child_reap(child.pid) }

  private enum End { case answered, babbled, ended, hung }

  private func finish(_ end: End) throws(PluginError) -> ProbeOutcome {
    let status = stowage_child_reap(child.pid)
    guard answer.isGreeted else {
      throw .helper("the helper did not come up (\(Self.text(ofStatus: status)))" + said)
    }
    switch end {
    case .answered:
      guard let result = answer.result else { return crash("it wrote into descriptors that are not its own") }
      return ProbeOutcome(result: result)
    case .babbled:
      return crash("the answer of the process that loaded it was longer than \(ProbeProtocol.answerBytesMax) bytes")
    case .hung: return crash("it hung: no answer within \(limits.time)\(during), so it was killed")
    case .ended where status == ProbeProtocol.statusNoPipe << 8:
      return crash("it closed the descriptors of the process that loaded it\(during)")
    case .ended: return crash("\(Self.text(ofStatus: status))\(during)")
    }
  }

  private func crash(_ reason: String) -> ProbeOutcome {
    ProbeOutcome(result: ProbeResult(misconduct: reason + said))
  }

  private var during: String { answer.lastStage.map { " while \($0.text)" } ?? "" }

  /// The first line that the plug-in, or the runtime on its behalf, complained with.
  private var said: String {
    let text = String(decoding: errorText, as: UTF8.self)
    let line = text.split(whereSeparator: \.isNewline).first { $0.contains { !$0.isWhitespace } }
    guard let line else { return "" }
    return "; it said: \(DisplayText.plain(String(line.prefix(200))))"
  }

  /// What a wait status says about the end of the process.
  static func text(ofStatus status: Int32) -> String {
    guard status >= 0 else { return "it was gone" }
    let signal = status & 0x7F
    guard signal != 0 else { return "it ended the process with exit(\((status >> 8) & 0xFF))" }
    let name = stowage_signal_name(signal).map { String(cString: $0) } ?? "signal \(signal)"
    let meaning = strsignal(signal).map { String(cString: $0).lowercased() } ?? ""
    return "it was ended by \(name)" + (meaning.isEmpty ? "" : " (\(meaning))")
  }

  private func readAll() {
    if isResultOpen {
      isResultOpen = Self.drain(child.result) { [limits = ProbeProtocol.answerBytesMax] in
        if self.answer.bytes.count <= limits { self.answer.append($0) }
      }
    }
    if isErrorOpen {
      isErrorOpen = Self.drain(child.errors) {
        self.errorText.append(contentsOf: $0.prefix(max(0, Self.errorBytesMax - self.errorText.count)))
      }
    }
    if greetedAt == nil, answer.isGreeted { greetedAt = ContinuousClock.now }
  }

  /// Reads up to a megabyte of what is there; false at the end.
  private static func drain(_ descriptor: Int32, _ take: (ArraySlice<UInt8>) -> Void) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    for _ in 0..<16 {
      let count = read(descriptor, &buffer, buffer.count)
      if count > 0 {
        take(buffer[..<count])
        continue
      }
      if count < 0, errno == EINTR { continue }
      return count < 0 && errno == EAGAIN
    }
    return true
  }

  /// As this process has it, without the Swift runtime's backtraces: they take longer than the probe.
  private static func environment() -> [String] {
    var list: [String] = []
    var entry = environ
    while let text = entry.pointee {
      let line = String(cString: text)
      if !line.hasPrefix("SWIFT_BACKTRACE=") { list.append(line) }
      entry += 1
    }
    return list + ["SWIFT_BACKTRACE=enable=no"]
  }

  private static func withCStrings<Result>(
    _ list: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    let copies: [UnsafeMutablePointer<CChar>?] = list.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { body($0.baseAddress!) }
  }
}

/// What came out of one helper.
struct ProbeOutcome {
  var result: ProbeResult
}
