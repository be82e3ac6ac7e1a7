// SPDX-License-Identifier: Apache-2.0
import CStowageSystem

/// What the session's tier keeps as its root: where the index is, and the limits of what this run may give out. In the clear;
/// docs/session-format.md has the layout.
struct SessionRoot: Equatable {
  static let magic: UInt64 = 0x3153_5345_5357_5453  // "STWSESS1"
  static let version: UInt32 = 1
  /// Deltas that one root has room for.
  static let deltasMax = 24

  struct Flags: OptionSet, Equatable {
    var rawValue: UInt32
    /// The run that wrote it has ended with it: it gave nothing out since.
    static let suspended = Flags(rawValue: 1)
    static let once = Flags(rawValue: 2)
    /// It was to be resumed once, and was.
    static let used = Flags(rawValue: 4)
    /// Pages' records have end-to-end checksums.
    static let sums = Flags(rawValue: 8)
    static let known: Flags = [.suspended, .once, .used, .sums]
  }

  var identity: (UInt64, UInt64) = (0, 0)
  /// Of the checkpoint.
  var sequence: UInt64 = 0
  var flags: Flags = []
  var pageSize: UInt32 = 0
  /// Bytes of sidecars in every page's place.
  var sidecarLength: UInt32 = 0
  /// Entries of the tables, and pages that there are.
  var pageCount: UInt64 = 0
  var frameCount: UInt64 = 0
  var placeCount: UInt64 = 0
  var livePages: UInt64 = 0
  /// No run has given out these or later ones.
  var frameIDLimit: UInt64 = 0
  var generationLimit: UInt32 = 0
  var epochLimit: UInt32 = 0
  /// What levels' ids were at the checkpoint stands in the head; runs give out fewer than this many more.
  var chunkIDReserve: UInt64 = 0
  /// In the clear: name, attributes, tiers.
  var head = StreamPlace()
  /// Through the mandatory tiers: what the others need to be opened as they were.
  var tail = StreamPlace()
  var pages = StreamPlace()
  var frames = StreamPlace()
  var places = StreamPlace()
  var deltas: [StreamPlace] = []

  static func == (left: SessionRoot, right: SessionRoot) -> Bool { left.encoded() == right.encoded() }

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.put(Self.magic)
    writer.put(Self.version)
    writer.put(pageSize)
    writer.put(identity.0)
    writer.put(identity.1)
    writer.put(sequence)
    writer.put(flags.rawValue)
    writer.put(sidecarLength)
    for count in [pageCount, frameCount, placeCount, livePages, frameIDLimit, chunkIDReserve] { writer.put(count) }
    writer.put(generationLimit)
    writer.put(epochLimit)
    for stream in [head, tail, pages, frames, places] { stream.put(&writer, sidecars: Int(sidecarLength)) }
    writer.put(UInt32(deltas.count))
    for stream in deltas { stream.put(&writer, sidecars: Int(sidecarLength)) }
    let sum = writer.bytes.withUnsafeBytes { stowage_hash64($0.baseAddress!, $0.count, Self.magic) }
    writer.put(sum)
    return writer.bytes
  }

  /// How many deltas a root with such sidecars can name.
  static func deltasMax(sidecars: Int) -> Int {
    let stream = StreamPlace.byteCount(sidecars: sidecars)
    return max(0, min(deltasMax, (BackingPort.rootBytesMax - 128 - 5 * stream) / stream))
  }

  /// - Throws: what is wrong with the bytes, as the end of a sentence.
  init(decoding bytes: [UInt8]) throws(RootFault) {
    guard bytes.count > 20, bytes.starts(with: withUnsafeBytes(of: Self.magic.littleEndian, Array.init)) else {
      throw RootFault("was not written by a store's session")
    }
    guard bytes[8..<12] == ArraySlice(withUnsafeBytes(of: Self.version.littleEndian, Array.init)) else {
      throw RootFault("is of another format than \(Self.version), the one that this version reads")
    }
    let sum = bytes.withUnsafeBytes { stowage_hash64($0.baseAddress!, $0.count - 8, Self.magic) }
    do throws(ByteShortage) {
      var last = ByteReader(bytes[(bytes.count - 8)...])
      guard try last.number(UInt64.self) == sum else { throw ByteShortage() }
      var reader = ByteReader(bytes[12...])
      try decode(&reader)
    } catch {
      throw RootFault("is damaged: its checksum does not match")
    }
  }

  init() {}

  private mutating func decode(_ reader: inout ByteReader) throws(ByteShortage) {
    pageSize = try reader.number()
    identity = (try reader.number(), try reader.number())
    sequence = try reader.number()
    flags = Flags(rawValue: try reader.number())
    sidecarLength = try reader.number()
    guard flags.isSubset(of: .known), sidecarLength <= 256 else { throw ByteShortage() }
    pageCount = try reader.number()
    frameCount = try reader.number()
    placeCount = try reader.number()
    livePages = try reader.number()
    frameIDLimit = try reader.number()
    chunkIDReserve = try reader.number()
    generationLimit = try reader.number()
    epochLimit = try reader.number()
    let sidecars = Int(sidecarLength)
    head = try StreamPlace(&reader, sidecars: sidecars)
    tail = try StreamPlace(&reader, sidecars: sidecars)
    pages = try StreamPlace(&reader, sidecars: sidecars)
    frames = try StreamPlace(&reader, sidecars: sidecars)
    places = try StreamPlace(&reader, sidecars: sidecars)
    let count = try reader.number(UInt32.self)
    guard count <= Self.deltasMax else { throw ByteShortage() }
    deltas = []
    for _ in 0..<count { deltas.append(try StreamPlace(&reader, sidecars: sidecars)) }
    try checkBounds()
  }
}

extension SessionRoot {
  /// Whoever wrote it: numbers that could be, and an index as long as its counts say.
  private func checkBounds() throws(ByteShortage) {
    let record = UInt64(IndexRecords.pageBytes(sums: flags.contains(.sums)))
    guard pageCount < 1 << 31, livePages < 1 << 31, frameCount < UInt64(FrameTable.capacity), placeCount < 1 << 31,
      frameIDLimit < 1 << 48, chunkIDReserve < 1 << 48, epochLimit < 1 << 31, generationLimit < 1 << 31,
      pages.length == pageCount * record,
      frames.length == frameCount * (UInt64(IndexRecords.frameBytes) + UInt64(sidecarLength)),
      places.length == placeCount * UInt64(IndexRecords.placeBytes)
    else { throw ByteShortage() }
    for stream in deltas + [head, tail] where stream.length >= 1 << 40 { throw ByteShortage() }
  }
}

/// The session's format, for tools that make and break session files.
package enum SessionFormat {
  /// A root with its last 8 bytes replaced by what they have to be.
  package static func withChecksum(_ root: [UInt8]) -> [UInt8] {
    guard root.count >= 8 else { return root }
    let sum = root.withUnsafeBytes { stowage_hash64($0.baseAddress!, $0.count - 8, SessionRoot.magic) }
    return root.dropLast(8) + withUnsafeBytes(of: sum.littleEndian, Array.init)
  }
}

/// What is wrong with a root; the end of a sentence that begins with whose it is.
struct RootFault: Error {
  var reason: String
  init(_ reason: String) { self.reason = reason }
}
