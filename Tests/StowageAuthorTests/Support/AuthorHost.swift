// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Glibc
import StowageTestSupport

/// A host for one tier at a time that counts memory, and can refuse it. Owners are told apart, so tests may run side
/// by side.
enum AuthorHost {
  struct Account {
    var bytes = 0
    var blocks: [UInt: (size: Int, kind: UInt32)] = [:]
    /// How many more allocations are granted.
    var grants = Int.max
    /// What was freed wrongly.
    var complaints: [String] = []
  }

  private static let accounts = Locked<[UInt64: Account]>([:])
  private static let nextOwner = Locked<UInt64>(1)

  static func newOwner(grants: Int = .max) -> UInt64 {
    let owner = nextOwner.withLock { next in
      next += 1
      return next
    }
    accounts.withLock { $0[owner] = Account(grants: grants) }
    return owner
  }

  static func account(_ owner: UInt64) -> Account { accounts.withLock { $0[owner] ?? Account() } }

  /// What the tier said last on this thread; empty when nothing.
  static func takeMessage() -> String {
    defer { pthread_setspecific(messageKey, nil) }
    guard let text = pthread_getspecific(messageKey) else { return "" }
    return String(cString: text.assumingMemoryBound(to: CChar.self))
  }

  private static let messageKey: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { Glibc.free($0) }
    return key
  }()

  /// A table that is never freed.
  /// - Parameters:
  ///   - bare: without the optional functions.
  ///   - short: as a host knew it that had no `get_extension`.
  static func table(bare: Bool = false, short: Bool = false) -> UnsafePointer<stowage_host> {
    let table = UnsafeMutablePointer<stowage_host>.allocate(capacity: 1)
    let whole = MemoryLayout<stowage_host>.size
    table.initialize(
      to: stowage_host(
        magic: 0x3154_534F_4857_5453, struct_size: UInt32(short ? whole - 8 : whole),
        abi_major: UInt16(STOWAGE_ABI_MAJOR), abi_minor: UInt16(STOWAGE_ABI_MINOR), host_name: strdup("author-tests"),
        host_version: strdup("1"), set_error: { AuthorHost.keep($0, $1) }, log: bare ? nil : { _, _, _, _ in },
        memory_allocate: { AuthorHost.allocate($0, $1, $2, $3) }, memory_free: { AuthorHost.free($0, $1, $2, $3) },
        random_fill: { bytes, size in
          memset(bytes, 7, size)
          return STOWAGE_OK
        }, now_ns: { 42 }, wipe: { memset($0, 0, $1) }, get_extension: bare ? nil : { _ in nil }))
    // Beyond its size there is nothing that a tier may call.
    if short { memset(UnsafeMutableRawPointer(table) + (whole - 8), 0xEE, 8) }
    return UnsafePointer(table)
  }

  private static func keep(_ text: UnsafePointer<CChar>, _ length: Int) {
    Glibc.free(pthread_getspecific(messageKey))
    pthread_setspecific(messageKey, strndup(text, length))
  }

  private static func allocate(_ owner: UInt64, _ size: Int, _ alignment: Int, _ kind: UInt32)
    -> UnsafeMutableRawPointer?
  {
    accounts.withLock { accounts in
      guard var account = accounts[owner], account.grants > 0 else { return nil }
      var memory: UnsafeMutableRawPointer?
      guard alignment > 0, alignment & (alignment - 1) == 0, posix_memalign(&memory, max(alignment, 16), size) == 0,
        let memory
      else {
        accounts[owner]?.complaints.append("allocate(\(size), \(alignment))")
        return nil
      }
      memset(memory, 0, size)
      account.grants -= 1
      account.bytes += size
      account.blocks[UInt(bitPattern: memory)] = (size, kind)
      accounts[owner] = account
      return memory
    }
  }

  private static func free(_ owner: UInt64, _ memory: UnsafeMutableRawPointer?, _ size: Int, _ kind: UInt32) {
    guard let memory else { return }
    accounts.withLock { accounts in
      let block = accounts[owner]?.blocks.removeValue(forKey: UInt(bitPattern: memory))
      guard let block, block == (size, kind) else {
        accounts[owner]?.complaints.append(
          "free of \(size) bytes of kind \(kind), allocated as \(String(describing: block))")
        return
      }
      accounts[owner]?.bytes -= size
      Glibc.free(memory)
    }
  }
}
