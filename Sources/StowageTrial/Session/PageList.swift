// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import StowageEngine

/// The list of what a trial has put, kept as pages of the same store: number, handle and hash of every persistent page.
///
/// The list goes through the chain as the pages do, so a later process has nothing to go by but the session. It proves
/// something all the same: a page that is missing, exchanged or altered does not fit its entry, an older state of the
/// store lacks the list or has another trial's, and a damaged list says so itself.
///
/// A page of it, in 64-bit little-endian words: mark, run, part, parts, entries, hash of the page with zeros here
/// (two), zero; then for each entry number, handle and hash (two).
struct PageList {
  struct Entry: Equatable {
    var page: Int
    var handle: UInt64
    var hash: (UInt64, UInt64)

    static func == (left: Entry, right: Entry) -> Bool {
      left.page == right.page && left.handle == right.handle && left.hash == right.hash
    }
  }

  /// Tags of the list's pages have this bit, and the part's number.
  static let tagBit: UInt64 = 1 << 63
  private static let mark: UInt64 = 0x7473_696C_7772_7473
  private static let headWords = 8
  private static let entryWords = 4

  let pageSize: Int
  /// Tells this trial's list from another's.
  let run: UInt64

  var entriesPerPage: Int { (pageSize / 8 - Self.headWords) / Self.entryWords }

  static func isPart(tag: UInt64) -> Bool { tag & tagBit != 0 }

  /// Puts the list of everything that is stored and persistent.
  /// - Returns: how many pages it takes.
  func put(_ table: PageTable, into store: Store) throws -> Int {
    try write(table) { page, tag in _ = try store.put(page, tag: tag) }
  }

  /// Makes the list, page by page.
  /// - Returns: how many pages it takes.
  @discardableResult
  func write(_ table: PageTable, _ put: (UnsafeRawBufferPointer, _ tag: UInt64) throws -> Void) rethrows -> Int {
    let listed = (0..<table.persistentCount).filter { table.state($0) == .stored }
    let parts = max(1, (listed.count + entriesPerPage - 1) / entriesPerPage)
    let words = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: pageSize / 8)
    defer { words.deallocate() }
    for part in 0..<parts {
      let own = listed[min(listed.count, part * entriesPerPage)..<min(listed.count, (part + 1) * entriesPerPage)]
      words.initialize(repeating: 0)
      words[0] = Self.mark
      (words[1], words[2], words[3], words[4]) = (run, UInt64(part), UInt64(parts), UInt64(own.count))
      for (index, page) in own.enumerated() {
        let at = Self.headWords + index * Self.entryWords
        let hash = table.hash(page)
        (words[at], words[at + 1], words[at + 2], words[at + 3]) = (UInt64(page), table.handle(page), hash.0, hash.1)
      }
      (words[5], words[6]) = Self.hash(words)
      try put(UnsafeRawBufferPointer(words), Self.tagBit | UInt64(part))
    }
    return parts
  }

  /// The entries of one page of the list, and how many such pages there are.
  /// - Throws: what is wrong with it, in words.
  func read(_ page: UnsafeMutableRawBufferPointer, tag: UInt64) throws(ListFault) -> (entries: [Entry], parts: Int) {
    let words = page.bindMemory(to: UInt64.self)
    let said = (words[5], words[6])
    (words[5], words[6]) = (0, 0)
    guard words[0] == Self.mark, Self.hash(words) == said else { throw ListFault("came back with other bytes") }
    guard words[1] == run else { throw ListFault("is of another trial") }
    guard words[2] == tag & ~Self.tagBit, words[4] <= UInt64(entriesPerPage), words[3] < 1 << 32 else {
      throw ListFault("stands under another tag")
    }
    let entries = (0..<Int(words[4])).map { index in
      let at = Self.headWords + index * Self.entryWords
      return Entry(page: Int(words[at] & 0xFFFF_FFFF), handle: words[at + 1], hash: (words[at + 2], words[at + 3]))
    }
    return (entries, Int(words[3]))
  }

  private static func hash(_ words: UnsafeMutableBufferPointer<UInt64>) -> (UInt64, UInt64) {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2) { hash in
      stowage_hash128(words.baseAddress!, words.count * 8, 0, hash.baseAddress!)
      return (hash[0], hash[1])
    }
  }
}

/// What is wrong with a page of the list.
struct ListFault: Error {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}
