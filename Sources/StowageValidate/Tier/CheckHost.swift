// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import CStowageTier
internal import Glibc
internal import StowageEngine
internal import Synchronization

/// The host that a check shows to the tier: the ordinary one, except for what `Settings` spoils, and it keeps books.
///
/// There is one in a process, as the tier's entry is called once.
enum CheckHost {
  struct Settings: Sendable {
    var hasLog = true
    var hasGetExtension = true
    /// get_extension gives `CheckStorage.table`.
    var hasStorage = false
    /// random_fill answers STOWAGE_IO.
    var isRandomBroken = false
    /// What struct_size says; fields beyond it are absent, and those that are not known yet are zero. nil: all.
    var structSize: Int?
    var abiMinor = UInt16(STOWAGE_ABI_MINOR)
    var abiMajor = UInt16(STOWAGE_ABI_MAJOR)
  }

  /// What the tier did with the host's services.
  struct Books {
    struct Block { var owner: UInt64, size: Int, kind: UInt32 }
    var blocks: [UInt: Block] = [:]
    var allocations = 0
    /// Requests refused from now on after so many more; nil: none.
    var allowance: Int?
    var refusals = 0
    /// Frees of what is not there, with another size, owner or kind; alignments and sizes that make no sense.
    var violations: [String] = []
    var logLines = 0
    /// Messages that were longer than allowed, or no UTF-8.
    var badMessages = 0
    var messages = 0
    /// The first of the messages and log lines themselves, for a check that wants them: memory that grows would be
    /// taken for the tier's.
    var texts: [[UInt8]] = []
    var keepsTexts = false
    /// How often random_fill failed.
    var randomFailures = 0

    var bytes: Int { blocks.values.reduce(0) { $0 + $1.size } }
  }

  static let books = Mutex(Books())

  /// Makes the table. To be called once.
  static func make(_ settings: Settings) -> UnsafePointer<stowage_host> {
    let size = settings.structSize ?? MemoryLayout<stowage_host>.size
    let table = UnsafeMutableRawPointer.allocate(byteCount: max(size, MemoryLayout<stowage_host>.size), alignment: 64)
      .initializeMemory(as: UInt8.self, repeating: 0, count: max(size, MemoryLayout<stowage_host>.size))
    var host = HostTable.shared.pointee
    host.struct_size = UInt32(size)
    host.abi_minor = settings.abiMinor
    host.abi_major = settings.abiMajor
    host.set_error = { text, length in
      CheckHost.books.withLock { CheckHost.note(UnsafeRawBufferPointer(start: text, count: length), in: &$0) }
      stowage_error_set(text, length)
    }
    host.log = settings.hasLog ? { _, level, text, length in CheckHost.log(level, text, length) } : nil
    host.memory_allocate = { CheckHost.allocate(owner: $0, size: $1, alignment: $2, kind: $3) }
    host.memory_free = { CheckHost.free(owner: $0, memory: $1, size: $2, kind: $3) }
    if !settings.hasGetExtension { host.get_extension = nil }
    if settings.hasStorage {
      host.get_extension = { id in
        guard strcmp(id, STOWAGE_EXTENSION_STORAGE) == 0 else { return nil }
        CheckStorage.state.withLock { $0.isAsked = true }
        return UnsafeRawPointer(CheckStorage.table)
      }
    }
    if settings.isRandomBroken {
      host.random_fill = { _, _ in
        CheckHost.books.withLock { $0.randomFailures += 1 }
        return STOWAGE_IO
      }
    }
    withUnsafeBytes(of: host) { UnsafeMutableRawPointer(table).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    return cut(UnsafeMutableRawPointer(table).assumingMemoryBound(to: stowage_host.self), to: size)
  }

  /// A table shorter than today's ends at the end of a page that nothing follows: reading past it is a crash.
  private static func cut(_ table: UnsafeMutablePointer<stowage_host>, to size: Int) -> UnsafePointer<stowage_host> {
    guard size < MemoryLayout<stowage_host>.size, let buffer = GuardedBuffer(size: size, at: .end) else {
      return UnsafePointer(table)
    }
    buffer.base.copyMemory(from: table, byteCount: size)
    // Lives as long as the process.
    return UnsafePointer(
      Unmanaged.passRetained(buffer).takeUnretainedValue().base.assumingMemoryBound(to: stowage_host.self))
  }

  private static func note(_ text: UnsafeRawBufferPointer, in books: inout Books) {
    books.messages += 1
    if books.keepsTexts, books.texts.count < 1000 { books.texts.append(Array(text.prefix(1 << 17))) }
    if text.count > Int(STOWAGE_MESSAGE_BYTES_MAX) || String(validating: text, as: UTF8.self) == nil {
      books.badMessages += 1
    }
  }

  private static func log(_ level: UInt32, _ text: UnsafePointer<CChar>, _ length: Int) {
    books.withLock {
      $0.logLines += 1
      if level < STOWAGE_LOG_ERROR || level > STOWAGE_LOG_DEBUG { $0.violations.append("log with level \(level)") }
      note(UnsafeRawBufferPointer(start: text, count: length), in: &$0)
    }
  }

  private static func allocate(owner: UInt64, size: Int, alignment: Int, kind: UInt32) -> UnsafeMutableRawPointer? {
    books.withLock { books in
      if kind != STOWAGE_MEMORY_PLAIN && kind != STOWAGE_MEMORY_SECRET {
        books.violations.append("memory_allocate with kind \(kind)")
      }
      let isPower = alignment > 0 && alignment & (alignment - 1) == 0 && alignment <= 4096
      if size <= 0 || !isPower { books.violations.append("memory_allocate of \(size) bytes aligned to \(alignment)") }
      if let allowance = books.allowance {
        guard allowance > 0 else {
          books.refusals += 1
          return nil
        }
        books.allowance = allowance - 1
      }
      guard size > 0, isPower else { return nil }
      var memory: UnsafeMutableRawPointer?
      guard posix_memalign(&memory, max(alignment, 16), size) == 0, let memory else { return nil }
      memset(memory, 0, size)
      books.blocks[UInt(bitPattern: memory)] = Books.Block(owner: owner, size: size, kind: kind)
      books.allocations += 1
      return memory
    }
  }

  private static func free(owner: UInt64, memory: UnsafeMutableRawPointer?, size: Int, kind: UInt32) {
    guard let memory else { return }
    let isKnown = books.withLock { books in
      guard let block = books.blocks.removeValue(forKey: UInt(bitPattern: memory)) else {
        books.violations.append("memory_free of what memory_allocate did not give, or a second time")
        return false
      }
      if block.size != size || block.owner != owner || block.kind != kind {
        books.violations.append(
          "memory_free of \(size) bytes of kind \(kind), owner \(owner); allocated were \(block.size) "
            + "of kind \(block.kind), owner \(block.owner)"
        )
      }
      return true
    }
    if isKnown { Glibc.free(memory) }
  }
}
