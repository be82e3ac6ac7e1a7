// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowagePlugins
internal import Synchronization

/// `stowage.host.storage/1` as a check offers it: a device that loses what was not synced when its power is cut.
///
/// A storage is two files in the check's folder, so that it outlives the process that used it: what reads see, and a
/// journal of the writes since the last sync, each with the bytes that were there before. A power cut takes those
/// writes back, and does a seeded part of them anew.
enum CheckStorage {
  /// Where storages are, and whether the tier has asked for them. Set before the tier is loaded.
  static let state = Mutex((folder: "", isAsked: false))

  /// For the life of the process, as every extension.
  nonisolated(unsafe) static let table: UnsafePointer<stowage_storage_extension> = {
    let table = UnsafeMutablePointer<stowage_storage_extension>.allocate(capacity: 1)
    table.initialize(
      to: stowage_storage_extension(
        struct_size: UInt32(MemoryLayout<stowage_storage_extension>.size), reserved: 0,
        open: { CheckStorage.open(String(cString: $0), $1) },
        close: { Unmanaged<SimulatedDevice>.fromOpaque(UnsafeRawPointer($0)).release() },
        length: { storage, length in
          length.pointee = CheckStorage.device(storage).length
          return STOWAGE_OK
        },
        pread: { CheckStorage.device($0).read(UnsafeMutableRawBufferPointer(start: $1, count: $2), at: $3) },
        pwrite: { CheckStorage.device($0).write(UnsafeRawBufferPointer(start: $1, count: $2), at: $3) },
        sync: { CheckStorage.device($0).sync() }))
    return UnsafePointer(table)
  }()

  private static func device(_ storage: OpaquePointer) -> SimulatedDevice {
    Unmanaged<SimulatedDevice>.fromOpaque(UnsafeRawPointer(storage)).takeUnretainedValue()
  }

  private static func open(_ name: String, _ storage: UnsafeMutablePointer<OpaquePointer?>) -> Int32 {
    let folder = state.withLock { $0.folder }
    // Names are paths; a number of them is a name for a file.
    let number = name.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    guard let device = SimulatedDevice("\(folder)/storage-\(String(number, radix: 36))") else {
      return errno == EWOULDBLOCK ? STOWAGE_RETRY : STOWAGE_IO
    }
    storage.pointee = OpaquePointer(Unmanaged.passRetained(device).toOpaque())
    return STOWAGE_OK
  }

  /// Cuts the power of every storage in a folder. To be called when no process has them open.
  static func cutPower(in folder: String, _ random: inout SeededRandom) {
    guard let list = opendir(folder) else { return }
    defer { closedir(list) }
    var names: [String] = []
    while let entry = readdir(list) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix("storage-"), !name.hasSuffix(".journal") { names.append(name) }
    }
    for name in names.sorted() { SimulatedDevice("\(folder)/\(name)")?.losePower(&random) }
  }
}

/// One storage. Its lock makes calls on it follow each other.
final class SimulatedDevice: Sendable {
  private let file: Int32
  private let journal: Int32
  /// The end of the journal.
  private let used = Mutex(0)

  /// What is written as one, or is not.
  private static let sector = 512

  /// Opens or makes it; nil with errno set, EWOULDBLOCK when it is open elsewhere.
  init?(_ path: String) {
    file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    journal = file < 0 ? -1 : Glibc.open(path + ".journal", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard journal >= 0, flock(file, LOCK_EX | LOCK_NB) == 0 else { return nil }
    let end = Int(lseek(journal, 0, SEEK_END))
    used.withLock { $0 = end }
  }

  deinit {
    let error = errno
    if journal >= 0 { close(journal) }
    if file >= 0 { close(file) }
    errno = error
  }

  var length: UInt64 { UInt64(max(0, lseek(file, 0, SEEK_END))) }

  func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int32 {
    used.withLock { _ in take(bytes, at: offset) } ? STOWAGE_OK : STOWAGE_IO
  }

  /// Bytes of the file, zeros past its end.
  private func take(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    let count = pread(file, start, bytes.count, Int(clamping: offset))
    guard count >= 0 else { return false }
    memset(start + count, 0, bytes.count - count)
    return true
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int32 {
    guard let start = bytes.baseAddress else { return STOWAGE_OK }
    var entry = [UInt8](repeating: 0, count: 16 + 2 * bytes.count)
    return used.withLock { used in
      let isNoted = entry.withUnsafeMutableBytes { entry in
        entry.storeBytes(of: offset, as: UInt64.self)
        entry.storeBytes(of: UInt64(bytes.count), toByteOffset: 8, as: UInt64.self)
        let before = UnsafeMutableRawBufferPointer(rebasing: entry[16..<16 + bytes.count])
        entry.baseAddress!.advanced(by: 16 + bytes.count).copyMemory(from: start, byteCount: bytes.count)
        return take(before, at: offset) && pwrite(journal, entry.baseAddress, entry.count, used) == entry.count
      }
      guard isNoted, pwrite(file, start, bytes.count, Int(clamping: offset)) == bytes.count else { return STOWAGE_IO }
      used += entry.count
      return STOWAGE_OK
    }
  }

  func sync() -> Int32 {
    used.withLock { used in
      used = 0
      return ftruncate(journal, 0) == 0 ? STOWAGE_OK : STOWAGE_IO
    }
  }

  private struct Write {
    var offset: Int
    var before: ArraySlice<UInt8>
    var after: ArraySlice<UInt8>
  }

  /// Of each write since the last sync everything, nothing or some sectors stay, done in any order.
  func losePower(_ random: inout SeededRandom) {
    let writes = used.withLock { unsynced($0) }
    for write in writes.reversed() { put(write.before, at: write.offset) }
    for write in writes.shuffled(using: &random) {
      let fate = random.below(3)
      guard fate > 0 else { continue }
      for start in stride(from: 0, to: write.after.count, by: Self.sector) where fate == 1 || random.below(2) == 0 {
        put(write.after.dropFirst(start).prefix(Self.sector), at: write.offset + start)
      }
    }
    _ = sync()
  }

  private func unsynced(_ end: Int) -> [Write] {
    var bytes = [UInt8](repeating: 0, count: end)
    let count = bytes.withUnsafeMutableBytes { pread(journal, $0.baseAddress, $0.count, 0) }
    var writes: [Write] = []
    var at = 0
    while at + 16 <= count {
      let (offset, length) = (number(bytes, at), number(bytes, at + 8))
      let middle = at + 16 + length
      // The process was killed while it wrote the last entry: that write was never made.
      guard middle + length <= count else { break }
      writes.append(Write(offset: offset, before: bytes[at + 16..<middle], after: bytes[middle..<middle + length]))
      at = middle + length
    }
    return writes
  }

  private func number(_ bytes: [UInt8], _ at: Int) -> Int {
    bytes.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
  }

  private func put(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    _ = bytes.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, offset) }
  }
}
