// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport

/// A session in a small swap file, and the pages that it holds; for tests that harm the file.
struct FileSession {
  /// What opening it and reading every page came to.
  struct Outcome: Equatable {
    /// Why the session is not to be had; nil when it is.
    var refusal: String?
    /// Pages that are named unreadable.
    var lost: Set<Handle> = []
    /// Pages with wrong bytes, and errors that name nothing.
    var wrong: [String] = []
  }

  static let slotsBegin = 65536
  static let pageSize = 4096

  let folder: TemporaryFolder
  let size: Int
  var pages: [Handle: UInt64] = [:]
  /// Deltas that its index may have.
  var deltasMax = Int.max
  private let table: TierTable
  private let packer: TierTable

  init(size: Int = 640 << 10, in folder: TemporaryFolder? = nil) throws {
    self.folder = try folder ?? TemporaryFolder()
    self.size = size
    table = try TierLibrary.shipped("swapfile")
    packer = try TestTier(.lzTransparent).table
  }

  var path: String { folder.file("swap").path }

  /// - Parameter how: as the tier's option: "create", "existing" or "read-only".
  func open(
    _ start: SessionConfiguration.Start, _ how: String = "create", path: String? = nil
  ) throws(StoreError) -> Store {
    var swap = ChainTier(table)
    let path = path ?? self.path
    swap.options = ["path": .text(path), "size": .number(Int64(size)), "open": .text(how), "io": .text("plain")]
    var configuration = StoreConfiguration(memoryLimit: 4 << 20)
    configuration.workers = 1
    configuration.session = SessionConfiguration(name: "file", start: start)
    configuration.session?.deltasMax = deltasMax
    return try Store(configuration: configuration, chain: [ChainTier(packer), swap])
  }

  /// Puts pages of these versions.
  mutating func put(_ store: Store, _ versions: Range<UInt64>) throws {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pageSize, alignment: Self.pageSize)
    defer { page.deallocate() }
    for version in versions {
      ChurnJournal.fill(page, version: version)
      pages[try store.put(UnsafeRawBufferPointer(page), tag: version)] = version
    }
  }

  /// A suspended session with deltas.
  /// - Parameter checkpoints: how many it has; where its index lies follows from that, as slots are used in turn.
  mutating func make(checkpoints: Int) throws {
    let store = try open(.create(replacing: false))
    var passing = self
    try passing.putPlain(store, 0..<45)
    try store.checkpoint()
    try put(store, 1..<160)
    try store.checkpoint()
    for handle in passing.pages.keys { try store.discard(handle) }
    for number in 2..<checkpoints {
      passing.pages = [:]
      try passing.putPlain(store, 100 + UInt64(number)..<101 + UInt64(number))
      try store.checkpoint()
      for handle in passing.pages.keys { try store.discard(handle) }
    }
    try store.suspend()
  }

  /// Puts pages that do not compress.
  mutating func putPlain(_ store: Store, _ numbers: Range<UInt64>) throws {
    for number in numbers { try put(store, 10_003 + number * 4..<10_004 + number * 4) }
  }

  /// Opens the session in a file and reads every page.
  func read(_ path: String, _ how: String, _ start: SessionConfiguration.Start = .inspect) -> Outcome {
    switch Result(catching: { () throws(StoreError) in try open(start, how, path: path) }) {
    case .failure(let error): return Outcome(refusal: "\(error)")
    case .success(let store):
      defer { store.close() }
      return read(store)
    }
  }

  func read(_ store: Store) -> Outcome {
    var outcome = Outcome()
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pageSize, alignment: Self.pageSize)
    let wanted = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pageSize, alignment: Self.pageSize)
    defer {
      page.deallocate()
      wanted.deallocate()
    }
    for (handle, version) in pages {
      switch Result(catching: { () throws(StoreError) in try store.peek(handle, into: page) }) {
      case .success(let tag):
        ChurnJournal.fill(wanted, version: version)
        if tag != version || memcmp(page.baseAddress!, wanted.baseAddress!, Self.pageSize) != 0 {
          outcome.wrong.append("page \(handle) is wrong")
        }
      case .failure(.unreadable(let named, "swapfile", _)) where named == handle: outcome.lost.insert(handle)
      case .failure(let error): outcome.wrong.append("\(error)")
      }
    }
    return outcome
  }

  /// Turns a bit over in a file.
  static func flip(_ path: String, at place: Int, bit: Int) throws {
    let file = Glibc.open(path, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { throw TestFailure("\(path) cannot be opened") }
    defer { close(file) }
    var byte: UInt8 = 0
    guard pread(file, &byte, 1, place) == 1 else { throw TestFailure("nothing at \(place)") }
    byte ^= 1 << UInt8(bit)
    guard pwrite(file, &byte, 1, place) == 1 else { throw TestFailure("not written at \(place)") }
  }
}
