// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// What came from the other side and was not used yet. One thread's own.
struct InputBuffer: ~Copyable {
  /// Room for several thousand requests, or for some pages of payload.
  private static let roomBytes = 128 << 10

  private let buffer: PageBuffer
  private let transport: Transport
  private var waiting = BusyWait()
  private var begin = 0
  private var end = 0

  init(_ transport: Transport, pageSize: Int) throws(StoreError) {
    self.transport = transport
    buffer = try PageBuffer(max(Self.roomBytes, 2 * pageSize))
  }

  deinit { buffer.unmap() }

  @inline(__always) var available: Int { end - begin }
  @inline(__always) var bytes: UnsafeRawPointer { UnsafeRawPointer(buffer.base + begin) }
  @inline(__always) mutating func consume(_ count: Int) { begin += count }

  /// Receives more, at least a byte; false at the end of the connection. There is always room for a page.
  mutating func fill() -> Bool {
    if begin == end {
      (begin, end) = (0, 0)
    } else if begin > buffer.count / 2 {
      buffer.base.copyMemory(from: buffer.base + begin, byteCount: end - begin)
      (begin, end) = (0, end - begin)
    }
    guard end < buffer.count else { return false }
    let count = waiting.receive(transport, buffer.base + end, buffer.count - end)
    end += count
    return count > 0
  }
}
