// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc
internal import StowagePlugins

/// A copy of this process, for what can be done only once in a process, such as loading, or what ends it; it never
/// outlives its parent.
///
/// To be made while this process has one thread.
final class ProcessCopy {
  private let process: pid_t
  private let pipe: Int32
  private var status: Int32?

  /// Starts it; nil with errno set.
  /// - Parameter body: gets the descriptor that the parent reads from. The copy ends after it, with status 0.
  init?(_ body: (Int32) -> Void) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let parent = getpid()
    process = fork()
    if process == 0 {
      // What a parent asked for itself, its copy has to ask for again.
      _ = stowage_end_with_parent()
      if getppid() != parent { _exit(1) }
      Glibc.close(ends[0])
      body(ends[1])
      _exit(0)
    }
    let error = errno
    Glibc.close(ends[1])
    pipe = ends[0]
    // The deinitialiser closes the other end, also now.
    guard process > 0 else {
      errno = error
      return nil
    }
  }

  deinit { Glibc.close(pipe) }

  /// Writes all bytes to the parent; false when it is gone.
  @discardableResult static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Reads up to `most` bytes; fewer when the copy has ended. Nil when neither comes in time.
  func receive(_ most: Int, until: ContinuousClock.Instant? = nil) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: most)
    var done = 0
    while done < most {
      if let until {
        let left = max(0, Int32(clamping: Int((until - .now) / .milliseconds(1))))
        var waiting = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        let ready = poll(&waiting, 1, left)
        if ready < 0, errno == EINTR { continue }
        guard ready > 0 else { return nil }
      }
      let count = bytes.withUnsafeMutableBytes { read(pipe, $0.baseAddress! + done, most - done) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      done += count
    }
    return Array(bytes[..<done])
  }

  /// Reads and forgets the rest, so that the copy can end; false when its end does not come in time.
  func drain(until: ContinuousClock.Instant) -> Bool {
    while true {
      guard let rest = receive(1 << 16, until: until) else { return false }
      if rest.count < 1 << 16 { return true }
    }
  }

  func kill() { Glibc.kill(process, SIGKILL) }

  /// Waits for its end; its wait status.
  func wait() -> Int32 {
    if let status { return status }
    var ended: Int32 = 0
    while waitpid(process, &ended, 0) < 0, errno == EINTR {}
    status = ended
    return ended
  }
}

extension ProcessCopy {
  /// - Parameter body: its result is what comes back, at most a megabyte of it.
  /// - Returns: nil when the copy did not end by itself with status 0; `ended` says how then.
  static func bytes(timeout: Duration = .seconds(5), _ body: () -> [UInt8]) -> (bytes: [UInt8]?, ended: String) {
    answer(timeout) { descriptor in if !send(body(), to: descriptor) { _exit(1) } }
  }

  /// Another program in the copy's place, its output and its errors as one.
  static func output(of program: String, _ arguments: [String], timeout: Duration = .seconds(10))
    -> (bytes: [UInt8]?, ended: String)
  {
    let copies: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return answer(timeout) { descriptor in
      dup2(descriptor, 1)
      dup2(descriptor, 2)
      execv(program, copies)
      _exit(127)
    }
  }

  private static func answer(_ timeout: Duration, _ body: (Int32) -> Void) -> (bytes: [UInt8]?, ended: String) {
    guard let copy = ProcessCopy(body) else { return (nil, "no second process: \(errnoText(errno))") }
    let until = ContinuousClock.now + timeout
    guard let bytes = copy.receive(1 << 20, until: until), copy.drain(until: until) else {
      copy.kill()
      _ = copy.wait()
      return (nil, "it did not end within \(timeout)")
    }
    let status = copy.wait()
    guard status != 0 else { return (bytes, "") }
    let said = String(decoding: bytes.prefix(400), as: UTF8.self).split(whereSeparator: \.isNewline).first
    return (nil, HelperProcess.text(ofStatus: status) + (said.map { "; it said: \($0)" } ?? ""))
  }
}
