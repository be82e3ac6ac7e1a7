// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Synchronization

/// What a trial remembers of each page: where it came from, its handle, its hash, what became of it.
/// Never its bytes. All memory is taken and touched when the table is made.
///
/// Pages are numbered: first the persistent ones, then the discardable ones. The number is the page's
/// tag in the store.
final class PageTable {
  enum State: UInt8 {
    case planned, stored
    /// Could not be read when its turn came: its process had changed.
    case absent
    case returned, dropped, failed
  }

  let persistentCount: Int
  let count: Int
  private let references: UnsafeMutablePointer<UInt64>
  private let handles: UnsafeMutablePointer<UInt64>
  private let hashes: UnsafeMutablePointer<UInt64>
  private let states: UnsafeMutablePointer<UInt8>
  let drops: DropLedger

  init(persistent: [UInt64], discardable: [UInt64]) {
    persistentCount = persistent.count
    count = persistent.count + discardable.count
    references = .allocate(capacity: count)
    references.initialize(from: persistent, count: persistent.count)
    (references + persistent.count).initialize(from: discardable, count: discardable.count)
    handles = Self.touched(count)
    hashes = Self.touched(2 * count)
    states = Self.touched(count)
    drops = DropLedger(count: count)
  }

  deinit {
    references.deallocate()
    handles.deallocate()
    hashes.deallocate()
    states.deallocate()
  }

  private static func touched<Value: FixedWidthInteger>(_ count: Int) -> UnsafeMutablePointer<Value> {
    let values = UnsafeMutablePointer<Value>.allocate(capacity: count)
    values.initialize(repeating: 0, count: count)
    return values
  }

  func isPersistent(_ page: Int) -> Bool { page < persistentCount }

  func reference(_ page: Int) -> PageReference { PageReference(rawValue: references[page]) }

  func state(_ page: Int) -> State { State(rawValue: states[page])! }

  func set(_ state: State, of page: Int) { states[page] = state.rawValue }

  func handle(_ page: Int) -> UInt64 { handles[page] }

  /// Notes that a page with these bytes is about to be put.
  func noteContents(_ bytes: UnsafeRawBufferPointer, of page: Int) {
    stowage_hash128(bytes.baseAddress!, bytes.count, 0, hashes + 2 * page)
  }

  func noteStored(_ page: Int, handle: UInt64) {
    handles[page] = handle
    set(.stored, of: page)
  }

  /// Notes what an earlier process put: a page that is stored.
  func restore(_ page: Int, handle: UInt64, hash: (UInt64, UInt64)) {
    (hashes[2 * page], hashes[2 * page + 1]) = hash
    noteStored(page, handle: handle)
  }

  func hash(_ page: Int) -> (UInt64, UInt64) { (hashes[2 * page], hashes[2 * page + 1]) }

  /// Whether these are the bytes that were put.
  func isSame(_ bytes: UnsafeRawBufferPointer, as page: Int) -> Bool {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { hash in
      stowage_hash128(bytes.baseAddress!, bytes.count, 0, hash.baseAddress!)
      return hash[0] == hashes[2 * page] && hash[1] == hashes[2 * page + 1]
    }
  }
}

/// Counts destructor calls, page by page; written by the engine's threads without a lock.
final class DropLedger: Sendable {
  private let count: Int
  /// Calls in the lower 16 bits, above them 1 + the index of the first call's reason.
  private nonisolated(unsafe) let entries: UnsafeMutablePointer<Atomic<UInt32>>
  private let allCalls = Atomic<Int>(0)
  private let strayCalls = Atomic<Int>(0)

  init(count: Int) {
    self.count = count
    entries = .allocate(capacity: count)
    for i in 0..<count { (entries + i).initialize(to: Atomic(0)) }
  }

  deinit {
    entries.deinitialize(count: count)
    entries.deallocate()
  }

  func note(tag: UInt64, reason: UInt32) {
    allCalls.add(1, ordering: .relaxed)
    guard tag < UInt64(count) else {
      strayCalls.add(1, ordering: .relaxed)
      return
    }
    let entry = entries + Int(tag)
    let before = entry.pointee.add(1, ordering: .releasing).oldValue
    if before & 0xFFFF == 0 { entry.pointee.bitwiseOr((reason + 1) << 16, ordering: .releasing) }
  }

  /// Destructor calls of all pages.
  var calls: Int { allCalls.load(ordering: .acquiring) }

  /// Calls with a tag that no page has.
  var strays: Int { strayCalls.load(ordering: .acquiring) }

  func calls(of page: Int) -> Int {
    Int(entries[page].load(ordering: .acquiring) & 0xFFFF)
  }

  /// The reason that was noted with the first call; nil when there was none yet.
  func reason(of page: Int) -> UInt32? {
    let entry = entries[page].load(ordering: .acquiring) >> 16
    return entry == 0 ? nil : entry - 1
  }
}
