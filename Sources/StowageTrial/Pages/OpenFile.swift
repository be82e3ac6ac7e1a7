// SPDX-License-Identifier: Apache-2.0
import Glibc

/// An open file, closed with its last owner.
final class OpenFile: Sendable {
  let descriptor: Int32

  /// Takes over an open descriptor.
  init(descriptor: Int32) { self.descriptor = descriptor }

  /// Opens for reading. The error is an errno.
  static func reading(_ path: String) -> Result<OpenFile, Errno> {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    return descriptor < 0 ? .failure(Errno(errno)) : .success(OpenFile(descriptor: descriptor))
  }

  deinit { close(descriptor) }

  /// Reads until the buffer is full, the end comes or something fails; returns the bytes read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    var done = 0
    while done < buffer.count {
      let got = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, offset + Int(done))
      if got < 0, errno == EINTR { continue }
      if got <= 0 { break }
      done += got
    }
    return done
  }

  /// Everything of a small file, such as those of /proc; nil when it cannot be read.
  static func contents(of path: String) -> String? {
    guard case .success(let file) = reading(path) else { return nil }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let got = chunk.withUnsafeMutableBytes { Glibc.read(file.descriptor, $0.baseAddress, $0.count) }
      if got < 0, errno == EINTR { continue }
      if got <= 0 { return got == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
      bytes += chunk[..<got]
    }
  }
}

/// An errno with its text.
struct Errno: Error, Equatable, CustomStringConvertible {
  let code: Int32
  init(_ code: Int32) { self.code = code }
  var description: String { String(cString: strerror(code)) }
}
