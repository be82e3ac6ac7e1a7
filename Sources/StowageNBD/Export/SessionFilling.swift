// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Gives the pages of a session to the exports that they belong to.
struct SessionFilling {
  let store: Store
  let wasSuspended: Bool
  let forgets: Bool
  private(set) var notes: [String] = []

  init(store: Store, wasSuspended: Bool, forgets: Bool) {
    self.store = store
    self.wasSuspended = wasSuspended
    self.forgets = forgets
  }

  mutating func run(_ settings: [ExportSettings]) throws -> [Export] {
    let known = try readNames()
    let exports = try make(settings, known)
    try adopt(exports, known)
    return exports
  }

  // MARK: Names

  /// The session's exports, by number, and the pages that name them.
  private func readNames() throws -> [Int: (name: String, page: Handle)] {
    var pages: [Handle] = []
    try store.forEachPage { if BlockTag(bits: $0.tag).export == NamePage.number { pages.append($0.handle) } }
    var names: [Int: (String, Handle)] = [:]
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: store.pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    for page in pages {
      do throws(StoreError) { try store.peek(page, into: buffer) } catch {
        throw ExportError("the session's names of its exports cannot be read: \(error)")
      }
      guard let (number, name) = NamePage.parse(UnsafeRawBufferPointer(buffer)) else {
        throw ExportError(
          "the session names an export in a way that this version does not know; it was written by another")
      }
      names[number] = (name, page)
    }
    return names
  }

  private mutating func make(_ settings: [ExportSettings], _ known: [Int: (name: String, page: Handle)]) throws
    -> [Export]
  {
    let commits = settings.contains { $0.durability == .durable } ? CommitGroup(store) : nil
    var free = (0..<NamePage.number).lazy.filter { known[$0] == nil }.makeIterator()
    return try settings.map { export in
      let number: Int
      if let old = known.first(where: { $0.value.name == export.name })?.key {
        number = old
      } else {
        guard let next = free.next() else {
          throw ExportError("there are too many exports: \(NamePage.number) at most")
        }
        number = next
        if store.sessionSummary != nil { try name(export, number) }
      }
      return try Export(
        export, number: number, store: store, commits: export.durability == .durable ? commits : nil)
    }
  }

  private func name(_ export: ExportSettings, _ number: Int) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: store.pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    guard NamePage.write(number, export.name, to: buffer) else {
      throw ExportError("the name of export '\(export.name)' is too long to be kept in a session; choose a shorter one")
    }
    let tag = BlockTag(export: NamePage.number, block: number)
    _ = try store.put(UnsafeRawBufferPointer(buffer), tag: tag.bits)
  }

  // MARK: Pages

  private mutating func adopt(_ exports: [Export], _ known: [Int: (name: String, page: Handle)]) throws {
    var byNumber: [Int: Export] = [:]
    for export in exports { byNumber[export.number] = export }
    let drops = Set(exports.filter { !wasSuspended && $0.settings.durability == .volatile }.map(\.number))
    var dropped = 0
    var foreign: [Int: [Handle]] = [:]
    var misfit: (name: String, block: Int)?
    try store.forEachPage { page in
      let tag = BlockTag(bits: page.tag)
      guard tag.export != NamePage.number else { return }
      guard let export = byNumber[tag.export] else { return foreign[tag.export, default: []].append(page.handle) }
      if drops.contains(tag.export) {
        do throws(StoreError) { try store.discard(page.handle) } catch {}
        dropped += 1
      } else if !export.adopt(page.handle, tag) {
        misfit = (export.settings.name, max(tag.block, misfit?.block ?? 0))
      }
    }
    if let misfit {
      throw ExportError(
        "export '\(misfit.name)': the session holds its block \(misfit.block), which is past its end, or twice there; give "
          + "it at least \((misfit.block + 1) * store.pageSize) bytes")
    }
    if dropped > 0 {
      notes.append(
        "the session was not suspended: \(dropped) pages of volatile exports are older than what clients wrote last, and "
          + "are given up; those of durable exports are as they were promised")
    }
    try forget(foreign, known)
  }

  private mutating func forget(_ foreign: [Int: [Handle]], _ known: [Int: (name: String, page: Handle)]) throws {
    for (number, pages) in foreign.sorted(by: { $0.key < $1.key }) {
      let name = known[number].map { "'\($0.name)'" } ?? "number \(number)"
      guard forgets else {
        throw ExportError(
          "the session holds \(pages.count) pages of export \(name), which is not among the exports; add it, or give "
            + "those pages up with --discard")
      }
      for page in pages { try store.discard(page) }
      if let page = known[number]?.page { try store.discard(page) }
      notes.append("\(pages.count) pages of export \(name), which is not among the exports, are given up")
    }
  }
}

/// A page of the store that names an export: "stowage export\n\0", number and length in 4 bytes each with the lowest
/// first, the name in UTF-8.
enum NamePage {
  /// The export number that such pages' tags have.
  static let number = BlockTag.numberMax - 1
  private static let mark = Array("stowage export\n\0".utf8)
  private static let headBytes = 24

  /// False when the name is too long.
  static func write(_ number: Int, _ name: String, to page: UnsafeMutableRawBufferPointer) -> Bool {
    let bytes = Array(name.utf8)
    guard bytes.count <= page.count - headBytes else { return false }
    page.initializeMemory(as: UInt8.self, repeating: 0)
    page.copyBytes(from: mark)
    page.storeBytes(of: UInt32(number).littleEndian, toByteOffset: 16, as: UInt32.self)
    page.storeBytes(of: UInt32(bytes.count).littleEndian, toByteOffset: 20, as: UInt32.self)
    UnsafeMutableRawBufferPointer(rebasing: page[headBytes...]).copyBytes(from: bytes)
    return true
  }

  /// Nil when it is none.
  static func parse(_ page: UnsafeRawBufferPointer) -> (number: Int, name: String)? {
    guard page.prefix(16).elementsEqual(mark) else { return nil }
    let number = Int(UInt32(littleEndian: page.load(fromByteOffset: 16, as: UInt32.self)))
    let length = Int(UInt32(littleEndian: page.load(fromByteOffset: 20, as: UInt32.self)))
    guard number < Self.number, length <= page.count - headBytes,
      let name = String(validating: page[headBytes..<headBytes + length], as: UTF8.self)
    else { return nil }
    return (number, name)
  }
}
