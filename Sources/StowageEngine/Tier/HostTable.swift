// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
public import CStowageTier
internal import Glibc
public import Synchronization

/// The table that the host hands to every tier. There is one in the process and it lives for ever.
public enum HostTable {
  /// Valid as long as the process; may be handed to any tier, on any thread.
  nonisolated(unsafe) public static let shared: UnsafePointer<stowage_host> = make()

  public static let version = "0.9.0"

  /// What the tier last said with `set_error` on this thread; empty when it said nothing since
  /// `clearError`.
  public static func lastError() -> String { String(cString: stowage_error_get()) }

  public static func clearError() { stowage_error_clear() }

  /// Where `log` lines of tiers go: level (1 error to 4 debug) and text. Set once, before stores are
  /// opened; by default they are dropped.
  public static let logger = Mutex<(@Sendable (UInt32, String) -> Void)?>(nil)

  private static func make() -> UnsafePointer<stowage_host> {
    let table = UnsafeMutablePointer<stowage_host>.allocate(capacity: 1)
    table.initialize(
      to: stowage_host(
        magic: 0x3154_534F_4857_5453, struct_size: UInt32(MemoryLayout<stowage_host>.size),
        abi_major: UInt16(STOWAGE_ABI_MAJOR), abi_minor: UInt16(STOWAGE_ABI_MINOR),
        host_name: immortal("stowage"), host_version: immortal(version),
        set_error: { text, length in stowage_error_set(text, length) },
        log: { _, level, text, length in HostTable.log(level, text, length) },
        memory_allocate: { owner, size, alignment, kind in
          TierMemory.allocate(owner: owner, size: size, alignment: alignment, kind: kind)
        },
        memory_free: { owner, memory, size, kind in
          TierMemory.free(owner: owner, memory: memory, size: size, kind: kind)
        },
        random_fill: { bytes, size in stowage_random_fill(bytes, size) == 0 ? STOWAGE_OK : STOWAGE_IO },
        now_ns: { monotonicNanoseconds() },
        wipe: { bytes, size in stowage_wipe(bytes, size) },
        get_extension: { _ in nil }))
    return UnsafePointer(table)
  }

  private static func immortal(_ text: String) -> UnsafePointer<CChar> { UnsafePointer(strdup(text)) }

  /// A line of the engine's own.
  static func say(_ level: UInt32, _ text: String) { logger.withLock({ $0 })?(level, text) }

  private static func log(_ level: UInt32, _ text: UnsafePointer<CChar>, _ length: Int) {
    guard let sink = logger.withLock({ $0 }) else { return }
    let bytes = UnsafeRawBufferPointer(start: text, count: min(length, Int(STOWAGE_MESSAGE_BYTES_MAX)))
    sink(level, String(decoding: bytes, as: UTF8.self))
  }

}

/// CLOCK_MONOTONIC.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The memory that one tier instance has asked the host for.
///
/// The owner number handed to a tier is this object's address. Accounts are never freed (8 bytes for each opened tier), so
/// a tier that frees memory late finds its account.
struct MemoryAccount: ~Copyable {
  let bytes = Atomic<Int>(0)

  static func make() -> UnsafeMutablePointer<MemoryAccount> {
    let account = UnsafeMutablePointer<MemoryAccount>.allocate(capacity: 1)
    account.initialize(to: MemoryAccount())
    return account
  }
}

/// The host's memory service for tiers.
enum TierMemory {
  static func allocate(owner: UInt64, size: Int, alignment: Int, kind: UInt32) -> UnsafeMutableRawPointer? {
    guard size > 0, alignment > 0, alignment <= 4096, alignment & (alignment - 1) == 0 else { return nil }
    let memory: UnsafeMutableRawPointer?
    if kind == STOWAGE_MEMORY_SECRET {
      memory = secret(size)
    } else {
      var plain: UnsafeMutableRawPointer?
      memory = posix_memalign(&plain, max(alignment, 16), size) == 0 ? plain : nil
      if let memory { memset(memory, 0, size) }
    }
    if memory != nil { count(owner, size) }
    return memory
  }

  static func free(owner: UInt64, memory: UnsafeMutableRawPointer?, size: Int, kind: UInt32) {
    guard let memory else { return }
    count(owner, -size)
    guard kind == STOWAGE_MEMORY_SECRET else { return Glibc.free(memory) }
    stowage_wipe(memory, size)
    munmap(memory, wholePages(size))
  }

  /// Pages of its own, out of core dumps and locked where the system lets us: a refused lock is no
  /// failure, as an unprivileged process may lock only little.
  private static func secret(_ size: Int) -> UnsafeMutableRawPointer? {
    let length = wholePages(size)
    let memory = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    madvise(memory, length, MADV_DONTDUMP)
    mlock(memory, length)
    return memory
  }

  private static func wholePages(_ size: Int) -> Int { (size + 4095) & ~4095 }

  private static func count(_ owner: UInt64, _ size: Int) {
    guard let account = UnsafeMutablePointer<MemoryAccount>(bitPattern: UInt(owner)) else { return }
    account.pointee.bytes.add(size, ordering: .relaxed)
  }
}
