// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Replies of one thread, collected and sent together. The thread's own; what it sends, it sends under the
/// connection's lock for that.
struct ReplyWriter: ~Copyable {
  /// So much is collected at most.
  static let roomBytes = 512 << 10

  let buffer: PageBuffer
  let scratch: PageBuffer
  private(set) var used = 0
  /// The other side is not there any more, or a reply cannot be completed.
  private(set) var hasFailed = false
  private let transport: Transport
  private let sending: Monitor
  /// A reply goes in pieces: nobody else sends between them.
  private var holdsLock = false

  init(_ transport: Transport, sending: Monitor, pageSize: Int, roomBytes: Int) throws(StoreError) {
    let replies = try PageBuffer(roomBytes)
    let page: PageBuffer
    do throws(StoreError) { page = try PageBuffer(pageSize) } catch {
      replies.unmap()
      throw error
    }
    (buffer, scratch) = (replies, page)
    self.transport = transport
    self.sending = sending
  }

  deinit {
    buffer.unmap()
    scratch.unmap()
  }

  var room: Int { buffer.count - used }
  var end: UnsafeMutableRawPointer { buffer.base + used }

  /// Sends what was collected.
  mutating func flush() {
    guard used > 0 else { return }
    if !hasFailed {
      if !holdsLock { sending.lock() }
      if !transport.send(buffer.base, used) { hasFailed = true }
      if !holdsLock { sending.unlock() }
    }
    used = 0
  }

  /// Makes room for so many bytes.
  @inline(__always) mutating func reserve(_ count: Int) { if room < count { flush() } }

  @inline(__always) mutating func advance(_ count: Int) { used += count }
  /// Takes back what was collected since.
  mutating func rewind(to mark: Int) { used = mark }

  /// From here on nobody else sends, until `endPieces`.
  mutating func beginPieces() {
    flush()
    sending.lock()
    holdsLock = true
  }

  mutating func endPieces() {
    flush()
    holdsLock = false
    sending.unlock()
  }

  mutating func fail() { hasFailed = true }

  // MARK: Heads

  @inline(__always) mutating func simple(_ status: NBDStatus, _ cookie: UInt64) {
    reserve(NBD.simpleReplyBytes)
    end.setBig(NBD.simpleReplyMagic, at: 0)
    end.setBig(status.rawValue, at: 4)
    end.setBig(cookie, at: 8)
    advance(NBD.simpleReplyBytes)
  }

  /// The head of a chunk; room for it is there.
  @inline(__always) mutating func chunk(_ type: UInt16, isLast: Bool, _ cookie: UInt64, payload: Int) {
    end.setBig(NBD.structuredReplyMagic, at: 0)
    end.setBig(isLast ? NBD.Chunk.done : 0, at: 4)
    end.setBig(type, at: 6)
    end.setBig(cookie, at: 8)
    end.setBig(UInt32(payload), at: 16)
    advance(NBD.structuredReplyBytes)
  }

  /// An error, with words for people, and where it happened if that is known. The last chunk.
  mutating func error(_ status: NBDStatus, _ cookie: UInt64, offset: UInt64? = nil) {
    let message = status.message
    let length = message.utf8CodeUnitCount
    let payload = 6 + length + (offset == nil ? 0 : 8)
    reserve(NBD.structuredReplyBytes + payload)
    chunk(offset == nil ? NBD.Chunk.error : NBD.Chunk.errorOffset, isLast: true, cookie, payload: payload)
    end.setBig(status.rawValue, at: 0)
    end.setBig(UInt16(length), at: 4)
    (end + 6).copyMemory(from: message.utf8Start, byteCount: length)
    if let offset { end.setBig(offset, at: 6 + length) }
    advance(payload)
  }
}
