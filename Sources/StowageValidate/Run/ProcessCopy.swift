// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Glibc
internal import StowagePlugins

/// Work in a copy of this process, which ends after it: for what can be done only once in a process, such as loading.
enum ProcessCopy {
  /// - Parameter body: its result is what comes back, at most a megabyte of it.
  /// - Returns: nil when the copy did not end by itself with status 0; `ended` says how then.
  static func bytes(timeout: Duration = .seconds(5), _ body: @escaping () -> [UInt8]) -> (bytes: [UInt8]?, ended: String) {
    run(timeout) { descriptor in
      var bytes = body()[...]
      while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { _exit(1) }
        bytes = bytes.dropFirst(count)
      }
    }
  }

  /// Another program in the copy's place, its output and its errors as one.
  static func output(of program: String, _ arguments: [String], timeout: Duration = .seconds(10)) -> (bytes: [UInt8]?, ended: String) {
    let copies: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return run(timeout) { descriptor in
      dup2(descriptor, 1)
      dup2(descriptor, 2)
      execv(program, copies)
      _exit(127)
    }
  }

  private final class Body {
    let run: (Int32) -> Void
    init(_ run: @escaping (Int32) -> Void) { self.run = run }
  }

  private static func run(_ timeout: Duration, _ body: @escaping (Int32) -> Void) -> (bytes: [UInt8]?, ended: String) {
    var room = [CChar](repeating: 0, count: 1 << 20)
    var status: Int32 = 0
    let box = Unmanaged.passRetained(Body(body))
    defer { box.release() }
    let count = stowage_in_copy(
      { descriptor, context in Unmanaged<Body>.fromOpaque(context).takeUnretainedValue().run(descriptor) },
      box.toOpaque(), &room, room.count, Int32(timeout / .milliseconds(1)), &status)
    guard count >= 0 else { return (nil, "it did not end within \(timeout)") }
    let bytes = room[..<count].map { UInt8(bitPattern: $0) }
    return (status == 0 ? bytes : nil, status == 0 ? "" : ended(status, bytes))
  }

  private static func ended(_ status: Int32, _ bytes: [UInt8]) -> String {
    let said = String(decoding: bytes.prefix(400), as: UTF8.self).split(whereSeparator: \.isNewline).first
    return HelperProcess.text(ofStatus: status) + (said.map { "; it said: \($0)" } ?? "")
  }
}
