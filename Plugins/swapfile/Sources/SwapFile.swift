// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier
import Synchronization

/// The open, locked file and where things lie in it.
///
///     0        identity: one block, written once
///     8 KiB    root, first copy
///     16 KiB   root, second copy
///     64 KiB   slot 0, slot 1, ...
struct SwapFile {
  let path: String
  let descriptor: Int32
  let identity: FileIdentity
  let slotCount: Int
  /// Nothing is ever written then.
  let isReadOnly: Bool
  /// Whether transfers go past the system's page cache.
  let isDirect: Bool
  /// Why what was written may not be on the disk, once that is so: a system error. Shared by all copies of this value.
  let lostWrites: UnsafeMutablePointer<Atomic<Int32>>

  /// Where slot 0 begins: past the roots, aligned for the largest page.
  static let firstSlotOffset = 65536
  static let blockSize = 4096

  var slotSize: Int { identity.slotSize }

  func offset(of run: SlotRun) -> Int { SwapFile.firstSlotOffset + run.offset }

  func close(_ host: TierHost) {
    _ = Glibc.close(descriptor)
    SwapFile.free(lostWrites, host)
  }

  static func makeLostWrites(_ host: TierHost) throws(TierError) -> UnsafeMutablePointer<Atomic<Int32>> {
    let memory = try host.allocate(MemoryLayout<Atomic<Int32>>.size, alignment: 64)
    let value = memory.bindMemory(to: Atomic<Int32>.self).baseAddress.unsafelyUnwrapped
    value.initialize(to: Atomic(0))
    return value
  }

  static func free(_ lostWrites: UnsafeMutablePointer<Atomic<Int32>>, _ host: TierHost) {
    lostWrites.deinitialize(count: 1)
    host.free(UnsafeMutableRawBufferPointer(start: lostWrites, count: MemoryLayout<Atomic<Int32>>.size))
  }

  // MARK: Checks

  /// A write past the last slot would make the file longer than what was reserved.
  func has(_ run: SlotRun) -> Bool { run.first < UInt64(slotCount) && run.count <= slotCount - Int(run.first) }

  /// Refuses runs past the last slot.
  func check(_ run: SlotRun, _ host: TierHost) throws(TierError) {
    guard has(run) else { throw host.fail(.gone, "\(path) has \(slotCount) slots: there is no \(run.words)") }
  }

  /// Refuses what would change the file if it is open for reading only.
  func checkWritable(_ action: String, _ host: TierHost) throws(TierError) {
    guard !isReadOnly else {
      throw host.fail(.unsupported, "\(path) is open for reading only ('open' is read-only): could not \(action)")
    }
  }

  // MARK: Plain input and output

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _ host: TierHost) throws(TierError) {
    try check(run, host)
    try read(buffer, at: offset(of: run), run.words, host)
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _ host: TierHost) throws(TierError) {
    try checkWritable("write \(run.words)", host)
    try check(run, host)
    try write(buffer, at: offset(of: run), run.words, host)
  }

  func read(
    _ buffer: UnsafeMutableRawBufferPointer, at start: Int, _ words: String, _ host: TierHost
  ) throws(TierError) {
    var done = 0
    while done < buffer.count {
      // `done` stays inside the buffer.
      let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, start + done)
      if count > 0 {
        done += count
      } else if count == 0 || (errno == EINVAL && done % SwapFile.blockSize != 0) {
        throw cutShort(host)
      } else if errno != EINTR {
        throw FileFailure(path).told(to: host, "read \(words)")
      }
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at start: Int, _ words: String, _ host: TierHost) throws(TierError) {
    var done = 0
    while done < buffer.count {
      let count = pwrite(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, start + done)
      if count >= 0 {
        done += count
      } else if errno != EINTR {
        throw FileFailure(path).told(to: host, "write \(words)")
      }
    }
  }

  /// A read met the end of the file, or (with direct transfers) a broken last block.
  func cutShort(_ host: TierHost) -> TierError {
    host.fail(.gone, "\(path) was cut short: slots at its end are lost")
  }

  func trim(_ run: SlotRun, _ host: TierHost) throws(TierError) {
    try checkWritable("give back \(run.words)", host)
    try check(run, host)
    while fallocate(descriptor, stowage_punch_hole, offset(of: run), run.byteCount) != 0 {
      guard errno == EINTR else { throw FileFailure(path).told(to: host, "give back \(run.words)") }
    }
  }

  // MARK: Durability

  /// Brings all writes to the disk. Once that has failed it fails for good: the system tells of a lost write only once,
  /// and a second attempt would succeed without it.
  func sync(_ host: TierHost) throws(TierError) {
    guard !isReadOnly else { return }
    if let earlier = earlierLoss(host) { throw earlier }
    while fdatasync(descriptor) != 0 {
      let failure = FileFailure(path)
      guard failure.code == EINTR else { throw lost(failure, host) }
    }
    if let meanwhile = earlierLoss(host) { throw meanwhile }
  }

  /// Notes that writes may be lost, and why.
  func lost(_ failure: FileFailure, _ host: TierHost) -> TierError {
    lostWrites.pointee.store(failure.code, ordering: .relaxed)
    return failure.told(to: host, "bring it to the disk")
  }

  var hasLostWrites: Bool { lostWrites.pointee.load(ordering: .relaxed) != 0 }

  /// What a sync answers after one that failed.
  func earlierLoss(_ host: TierHost) -> TierError? {
    let code = lostWrites.pointee.load(ordering: .relaxed)
    guard code != 0 else { return nil }
    return host.fail(
      .io, "\(path): it could not be brought to the disk before (\(FileFailure(path, code).systemText)), so writes "
        + "may be lost; check the disk, and open the file anew")
  }
}

extension SlotRun {
  /// For messages.
  var words: String {
    count == 1 ? "slot \(first)" : "slots \(first) to \(first &+ UInt64(count) &- 1)"
  }
}
