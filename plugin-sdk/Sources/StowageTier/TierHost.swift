// SPDX-License-Identifier: Apache-2.0
public import CStowageTier

/// The host, as one instance sees it: two words that may be copied and kept for the instance's life.
///
/// The table behind it lives as long as the process and every function in it may be called from any
/// thread, which is why this type is `Sendable`.
public struct TierHost: @unchecked Sendable, BitwiseCopyable {
  /// The host's table, for what this type does not wrap.
  public let table: UnsafePointer<stowage_host>
  /// Whom memory and log lines are counted against.
  public let owner: UInt64

  @inlinable
  public init(table: UnsafePointer<stowage_host>, owner: UInt64) {
    self.table = table
    self.owner = owner
  }

  // MARK: Telling

  /// Tells the host why the call now running on this thread is about to fail, and gives back `error`, to
  /// be thrown: `throw host.fail(.corrupt, "the stream ends too early")`. No keys, no page contents.
  public func fail(_ error: TierError, _ message: String) -> TierError {
    TierHost.tell(table, message)
    return error
  }

  /// Writes a line to the host's log.
  public func log(_ level: TierLogLevel, _ message: String) {
    guard let log = table.pointee.log else { return }
    TierHost.withCleanText(message) { log(owner, level.rawValue, $0, $1) }
  }

  @usableFromInline
  static func tell(_ table: UnsafePointer<stowage_host>, _ message: String) {
    withCleanText(message) { table.pointee.set_error($0, $1) }
  }

  /// Lends the bytes of a message without control characters, which the binary interface forbids (a file
  /// name may hold them).
  private static func withCleanText(_ message: String, _ body: (UnsafePointer<CChar>, Int) -> Void) {
    func lend(_ bytes: UnsafeBufferPointer<UInt8>) {
      guard let start = bytes.baseAddress else { return }
      start.withMemoryRebound(to: CChar.self, capacity: bytes.count) { body($0, bytes.count) }
    }
    func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }
    var message = message
    if message.utf8.contains(where: isControl) {
      message = String(
        String.UnicodeScalarView(message.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }))
    }
    message.withUTF8(lend)
  }

  // MARK: Memory

  /// Zeroed memory, counted against this instance. Throws `.retry` when the limit is reached.
  public func allocate(_ size: Int, alignment: Int = 16, _ kind: TierMemory = .plain)
    throws(TierError) -> UnsafeMutableRawBufferPointer
  {
    guard let memory = table.pointee.memory_allocate(owner, size, alignment, kind.rawValue) else {
      throw fail(.retry, "the host has no \(size) bytes of memory left for this tier")
    }
    return UnsafeMutableRawBufferPointer(start: memory, count: size)
  }

  /// Gives back what ``allocate(_:alignment:_:)`` gave, with the kind given there.
  @inlinable
  public func free(_ memory: UnsafeMutableRawBufferPointer, _ kind: TierMemory = .plain) {
    table.pointee.memory_free(owner, memory.baseAddress, memory.count, kind.rawValue)
  }

  /// Overwrites with zeros in a way that no compiler removes.
  @inlinable
  public func wipe(_ memory: UnsafeMutableRawBufferPointer) {
    guard let start = memory.baseAddress else { return }
    table.pointee.wipe(start, memory.count)
  }

  // MARK: Time and chance

  /// Fills with random bytes fit for keys.
  public func fillRandom(_ memory: UnsafeMutableRawBufferPointer) throws(TierError) {
    guard let start = memory.baseAddress else { return }
    guard table.pointee.random_fill(start, memory.count) == STOWAGE_OK else {
      throw fail(.io, "the host could not give random bytes")
    }
  }

  /// Monotonic time in nanoseconds: the clock of the deadlines.
  @inlinable public var now: UInt64 { table.pointee.now_ns() }

  /// An extension of the host by its id, "name/revision", or nil.
  public func extensionTable(_ id: StaticString) -> UnsafeRawPointer? {
    guard let get = table.pointee.get_extension else { return nil }
    return id.withUTF8Buffer { bytes in
      // A StaticString made from a literal ends in a NUL.
      bytes.baseAddress.flatMap { $0.withMemoryRebound(to: CChar.self, capacity: bytes.count + 1) { get($0) } }
    }
  }
}

/// Kinds of memory that the host gives.
public enum TierMemory: UInt32, Sendable, BitwiseCopyable {
  case plain = 1
  /// For keys and plaintext: kept out of core dumps, locked where the system lets it, wiped when freed.
  case secret = 2
}

/// Levels of the host's log.
public enum TierLogLevel: UInt32, Sendable, BitwiseCopyable {
  case error = 1
  case warning = 2
  case info = 3
  case debug = 4
}
