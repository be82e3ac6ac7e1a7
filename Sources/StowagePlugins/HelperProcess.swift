// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
package import Glibc

/// A helper process, seen by its parent: started in a process group of its own, read without blocking, always ended.
package final class HelperProcess {
  package private(set) var answer: HelperAnswer
  private var child: stowage_child
  private var errorText: [UInt8] = []
  /// In the environment of the helper, and so of whatever is started there: by it they are found.
  private let mark: String
  package let startedAt = ContinuousClock.now
  /// When the helper said that it is up; nil: not yet.
  package private(set) var greetedAt: ContinuousClock.Instant?
  private var isResultOpen = true
  private var isErrorOpen = true

  /// Most of what a plug-in prints is not kept.
  private static let errorBytesMax = 4096

  /// - Parameters:
  ///   - program: the executable, such as /proc/self/exe.
  ///   - argument: the first, which makes it a helper; the parent's process id and the token follow by themselves.
  ///   - environment: such as "NAME=value", instead of what this process has under these names.
  package init(
    program: String, kind: String, argument: String, _ arguments: [String], environment: [String] = []
  ) throws(PluginError) {
    var random = SystemRandomNumberGenerator()
    let token = String(random.next(), radix: 36)
    answer = HelperAnswer(kind: kind, token: token)
    child = stowage_child(pid: -1, result: -1, errors: -1)
    mark = "STOWAGE_HELPER=\(token)"
    let own = environment + [mark, "SWIFT_BACKTRACE=enable=no"]
    let error = Self.withCStrings(["stowage", argument, String(getpid()), token] + arguments) { arguments in
      Self.withCStrings(Self.environment(without: own) + own) { stowage_spawn(program, arguments, $0, &child) }
    }
    guard error == 0 else { throw .helper("cannot start the helper \(program): \(errnoText(error))") }
  }

  /// Also runs when `init` throws after a failed start: then there is nothing to close.
  deinit {
    for descriptor in [child.result, child.errors] where descriptor >= 0 { close(descriptor) }
  }

  /// To be polled for reading.
  package var descriptors: [pollfd] {
    var list: [pollfd] = []
    if isResultOpen { list.append(pollfd(fd: child.result, events: Int16(POLLIN), revents: 0)) }
    if isErrorOpen { list.append(pollfd(fd: child.errors, events: Int16(POLLIN), revents: 0)) }
    return list
  }

  /// Waits until one of several said something, but not long: the end of a process need not close its pipes.
  package static func wait(for processes: [HelperProcess]) {
    var descriptors = processes.flatMap(\.descriptors)
    _ = poll(&descriptors, nfds_t(descriptors.count), 20)
  }

  /// It has ended, and is still to be reaped.
  package var hasEnded: Bool { stowage_child_ended(child.pid) != 0 }

  /// Ends the process, its group, and what left the group; its wait status.
  @discardableResult package func kill() -> Int32 {
    let status = stowage_child_reap(child.pid)
    stowage_end_marked(mark)
    return status
  }

  /// The memory that is its own and present, in bytes; 0 when that cannot be told.
  package var ownMemoryBytes: Int { Int(stowage_own_memory(child.pid)) }

  /// The first line that the plug-in, or the runtime on its behalf, complained with.
  package var said: String {
    let text = String(decoding: errorText, as: UTF8.self)
    let lines = text.split(whereSeparator: \.isNewline)
    // Sanitizers draw a line first.
    let line = lines.first { $0.contains("Sanitizer: ") } ?? lines.first { $0.contains { !$0.isWhitespace } }
    guard let line else { return "" }
    return "; it said: \(DisplayText.plain(String(line.prefix(200))))"
  }

  /// What a wait status says about the end of the process.
  package static func text(ofStatus status: Int32) -> String {
    guard status >= 0 else { return "it was gone" }
    let signal = status & 0x7F
    guard signal != 0 else { return "it ended the process with exit(\((status >> 8) & 0xFF))" }
    let name = stowage_signal_name(signal).map { String(cString: $0) } ?? "signal \(signal)"
    let meaning = strsignal(signal).map { String(cString: $0).lowercased() } ?? ""
    return "it was ended by \(name)" + (meaning.isEmpty ? "" : " (\(meaning))")
  }

  /// Reads what there is.
  package func readAll() {
    if isResultOpen {
      isResultOpen = Self.drain(child.result) { [limits = HelperProtocol.answerBytesMax] in
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

  /// As this process has it, but for names that get another value: of two entries of a name the first one counts.
  /// (The Swift runtime's backtraces are among them, as they take longer than the probe.)
  private static func environment(without others: [String]) -> [String] {
    func name(_ line: String) -> Substring { line.prefix { $0 != "=" } }
    let taken = Set(others.map(name))
    var list: [String] = []
    var entry = environ
    while let text = entry.pointee {
      let line = String(cString: text)
      if !taken.contains(name(line)) { list.append(line) }
      entry += 1
    }
    return list
  }

  private static func withCStrings<Result>(
    _ list: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    let copies: [UnsafeMutablePointer<CChar>?] = list.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { body($0.baseAddress!) }
  }
}
