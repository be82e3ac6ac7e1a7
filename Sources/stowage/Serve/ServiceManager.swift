// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import StowageNBD

/// The protocol of systemd with its services: sd_notify(3) and sd_listen_fds(3), which need no library.
enum ServiceManager {
  /// Tells the state, such as "READY=1". Nothing when nobody asked for it.
  static func notify(_ state: String) {
    guard let named = getenv("NOTIFY_SOCKET") else { return }
    var path = Array(String(cString: named).utf8)
    guard let first = path.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@") else { return }
    // An abstract name begins with a NUL.
    if first == UInt8(ascii: "@") { path[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
    let length = MemoryLayout<sockaddr_un>.size - MemoryLayout.size(ofValue: address.sun_path) + path.count
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let bytes = Array(state.utf8)
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, socklen_t(length))
      }
    }
  }

  /// Sockets that were opened for this process; 3 is the first.
  static func activatedDescriptors() -> [Int32] {
    func number(_ name: String) -> Int32? { getenv(name).flatMap { Int32(String(cString: $0)) } }
    guard number("LISTEN_PID") == getpid(), let count = number("LISTEN_FDS"), count > 0, count <= 64 else { return [] }
    // Not for programs that this one starts.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
    for descriptor in 3..<3 + count { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    return Array(3..<3 + count)
  }
}
