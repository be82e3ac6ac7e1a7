// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowagePlugins

/// What the dynamic linker will find in a shared library, read without it: none of the library's code runs.
struct ElfFile {
  struct Symbol: Hashable {
    var name: String
    var isDefined: Bool
    /// Global or weak, and neither hidden nor internal.
    var isVisible: Bool
  }

  /// Something in the file points outside of it.
  struct Damage: Error { var reason: String }

  let needed: [String]
  let symbols: [Symbol]
  /// The dynamic linker that it asks for; libraries have none.
  let interpreter: String?

  init(contentsOf file: String) throws {
    if let objection = FileKind.objection(to: file) { throw Damage(reason: objection) }
    guard let data = FileManager.default.contents(atPath: file) else { throw Damage(reason: "it cannot be read") }
    let image = try data.withUnsafeBytes { bytes in
      if let objection = ElfCheck(bytes).objection() { throw Damage(reason: objection) }
      return try ElfImage(bytes)
    }
    (needed, symbols, interpreter) = (image.needed, image.symbols, image.interpreter)
  }
}

/// The reading itself; every place is checked to lie in the file.
private struct ElfImage {
  private struct Segment { var offset: Int, address: Int, count: Int }
  private let bytes: UnsafeRawBufferPointer
  private var segments: [Segment] = []
  /// By tag; the last of each, which for all but DT_NEEDED is the only one.
  private var dynamic: [Int: Int] = [:]
  private(set) var needed: [String] = []
  private(set) var symbols: [ElfFile.Symbol] = []
  private(set) var interpreter: String?

  // Segment types and dynamic tags, from the ELF specification.
  private enum Segments { static let load = 1, dynamic = 2, interpreter = 3 }
  private enum Tags {
    static let needed = 1, hash = 4, strings = 5, symbols = 6, stringBytes = 10, gnuHash = 0x6FFF_FEF5
  }
  private static let symbolBytes = 24

  /// - Parameter bytes: have passed `ElfCheck`.
  init(_ bytes: UnsafeRawBufferPointer) throws {
    self.bytes = bytes
    let headers = try number(32, 8)
    var place: (offset: Int, count: Int)?
    for index in 0..<(try number(56, 2)) {
      let header = headers + index * 56
      let (offset, address, count) = (try number(header + 8, 8), try number(header + 16, 8), try number(header + 32, 8))
      switch try number(header, 4) {
      case Segments.load: segments.append(Segment(offset: offset, address: address, count: count))
      case Segments.dynamic: place = (offset, count)
      case Segments.interpreter: interpreter = try text(offset)
      default: break
      }
    }
    guard let place else { throw ElfFile.Damage(reason: "it has no dynamic section, so it is no shared library") }
    try readDynamic(place.offset, place.count)
    try readSymbols()
  }

  private mutating func readDynamic(_ offset: Int, _ count: Int) throws {
    var libraries: [Int] = []
    for at in stride(from: offset, to: offset + count, by: 16) {
      let (tag, value) = (try number(at, 8), try number(at + 8, 8))
      if tag == 0 { break }
      if tag == Tags.needed { libraries.append(value) }
      dynamic[tag] = value
    }
    guard let strings = dynamic[Tags.strings] else { return }
    let start = try place(of: strings)
    needed = try libraries.map { try text(start + $0) }
  }

  private mutating func readSymbols() throws {
    guard let table = dynamic[Tags.symbols], let strings = dynamic[Tags.strings] else { return }
    let (start, texts) = (try place(of: table), try place(of: strings))
    for index in 1..<max(1, try symbolCount()) {
      let at = start + index * Self.symbolBytes
      let (info, other, section) = (try number(at + 4, 1), try number(at + 5, 1), try number(at + 6, 2))
      // Bindings: 1 global, 2 weak, 10 unique; visibility: 0 default, 3 protected.
      let isVisible = [1, 2, 10].contains(info >> 4) && [0, 3].contains(other & 3)
      let name = try text(texts + (try number(at, 4)))
      symbols.append(ElfFile.Symbol(name: name, isDefined: section != 0, isVisible: isVisible))
    }
  }

  /// The table says nowhere how long it is; the hash tables over it do.
  private func symbolCount() throws -> Int {
    if let hash = dynamic[Tags.hash] { return try number(try place(of: hash) + 4, 4) }
    guard let hash = dynamic[Tags.gnuHash] else { return 0 }
    let at = try place(of: hash)
    let (buckets, first, words) = (try number(at, 4), try number(at + 4, 4), try number(at + 8, 4))
    let bucketsAt = at + 16 + words * 8
    var last = 0
    for bucket in 0..<buckets { last = max(last, try number(bucketsAt + bucket * 4, 4)) }
    guard last >= first else { return first }
    // A chain ends at the first value that is odd.
    while try number(bucketsAt + buckets * 4 + (last - first) * 4, 4) & 1 == 0 { last += 1 }
    return last + 1
  }

  /// Where in the file an address of the loaded library lies.
  private func place(of address: Int) throws -> Int {
    guard let segment = segments.first(where: { address >= $0.address && address - $0.address < $0.count }) else {
      throw ElfFile.Damage(reason: "its dynamic section points outside of the file")
    }
    return segment.offset + (address - segment.address)
  }

  private func number(_ at: Int, _ size: Int) throws -> Int {
    guard at >= 0, at <= bytes.count - size else {
      throw ElfFile.Damage(reason: "its dynamic section points outside of the file")
    }
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
    guard value <= UInt64(Int32.max) * 4096 else { return Int.max >> 8 }
    return Int(value)
  }

  private func text(_ at: Int) throws -> String {
    guard at >= 0, at < bytes.count, let end = bytes[at...].firstIndex(of: 0) else {
      throw ElfFile.Damage(reason: "its dynamic section points outside of the file")
    }
    return String(decoding: bytes[at..<end], as: UTF8.self)
  }
}
