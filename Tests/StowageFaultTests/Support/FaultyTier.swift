// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport
import Synchronization

/// The tiers that fail as they are told, built once per process and form.
enum FaultyTier {
  /// The form is in the name: see Tests/Fixtures/tiers.
  static func backing(_ form: String = "faulty") -> Image { image("faulty.c", form) }
  static func transform(_ form: String) -> Image { image("faulty-transform.c", form) }

  /// A tier's loaded file.
  struct Image: @unchecked Sendable {
    let table: TierTable
    fileprivate let library: UnsafeMutableRawPointer

    /// The tier in a chain, and the numbers that steer this instance of it.
    func tier(named name: String) -> (ChainTier, Knobs) {
      (ChainTier(table, name: name), knobs(name))
    }

    func knobs(_ name: String) -> Knobs {
      typealias Find = @convention(c) (UnsafePointer<CChar>) -> UnsafeMutablePointer<Int64>
      let find = unsafeBitCast(dlsym(library, "faulty_knobs"), to: Find.self)
      return Knobs(base: name.withCString { find($0) }, name: name, library: library)
    }
  }

  private static let images = Locked<[String: Image]>([:])
  private static let folder = try! TemporaryFolder()

  private static func image(_ source: String, _ form: String) -> Image {
    images.withLock { images in
      if let known = images[form] { return known }
      let image = try! load(try! TierCompiler.compile("tiers/\(source)", into: folder.url, name: form))
      images[form] = image
      return image
    }
  }

  /// Loads any tier's file for good.
  static func load(_ file: URL) throws -> Image {
    guard let library = dlopen(file.path, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)),
      let entry = dlsym(library, STOWAGE_TIER_ENTRY_NAME)
    else { throw TestFailure(dlerror().map { String(cString: $0) } ?? file.path) }
    let function = unsafeBitCast(entry, to: stowage_tier_entry_function.self)
    guard let descriptor = function(HostTable.shared) else { throw TestFailure("\(file.path): no descriptor") }
    return Image(table: try TierTable(descriptor: descriptor, file: file.path), library: library)
  }
}

/// The numbers of one instance of a faulty tier. Each is read and written atomically enough for tests: a single aligned
/// word on both sides.
struct Knobs: @unchecked Sendable {
  fileprivate let base: UnsafeMutablePointer<Int64>
  let name: String
  fileprivate let library: UnsafeMutableRawPointer

  private func atomic(_ index: Int) -> UnsafeMutablePointer<Atomic<Int64>> {
    UnsafeMutableRawPointer(base + index).assumingMemoryBound(to: Atomic<Int64>.self)
  }

  subscript(_ knob: BackingKnob) -> Int {
    get { Int(atomic(knob.rawValue).pointee.load(ordering: .sequentiallyConsistent)) }
    nonmutating set { atomic(knob.rawValue).pointee.store(Int64(newValue), ordering: .sequentiallyConsistent) }
  }

  subscript(_ knob: TransformKnob) -> Int {
    get { Int(atomic(knob.rawValue).pointee.load(ordering: .sequentiallyConsistent)) }
    nonmutating set { atomic(knob.rawValue).pointee.store(Int64(newValue), ordering: .sequentiallyConsistent) }
  }

  /// The memory of an open backing.
  func slot(_ index: Int, pageSize: Int = 4096) -> UnsafeMutableRawBufferPointer {
    typealias Find = @convention(c) (UnsafePointer<CChar>) -> UnsafeMutableRawPointer
    let find = unsafeBitCast(dlsym(library, "faulty_memory"), to: Find.self)
    return UnsafeMutableRawBufferPointer(start: name.withCString { find($0) } + index * pageSize, count: pageSize)
  }

  /// Whether some bytes stand anywhere in the first slots of an open backing.
  func contains(_ bytes: [UInt8], slots: Int, pageSize: Int = 4096) -> Bool {
    typealias Find = @convention(c) (UnsafePointer<CChar>, UnsafePointer<UInt8>, Int, Int) -> Int32
    let find = unsafeBitCast(dlsym(library, "faulty_contains"), to: Find.self)
    return name.withCString { find($0, bytes, bytes.count, slots * pageSize) } != 0
  }
}

enum BackingKnob: Int {
  case slots, readCode, readCharges, readSlot, writeCode, writeCharges, syncCode, flipCharges, flipSlot
  case loseCharges, misdirectCharges, misdirectTo, readDelay, writeDelay, hangRead, hangSlot, hangWrite
  case hangTrim, hangSync, silent, hangCapacity, health, hangMap, hangSubmit, refusal
  case reads = 32
  case writes, slotsWritten, trims, syncs, hanging, violations, opens, closes, inside, insideMost, deadCalls,
    capacities, asked
  case contextsOpen
}

enum TransformKnob: Int {
  case encodeCode, encodeCharges, decodeCode, decodeCharges, wrongCharges, lieCharges, lieLength, speechless
  case contextCode, contextCharges, contextBytes, encodeDelay, healthState
  case encodes = 32
  case decodes, tooBigs, opened, closed, contexts, callsWhenClosed, inEncode
}

/// The ABI's codes as knobs take them.
enum Code {
  static let retry = Int(STOWAGE_RETRY)
  static let full = Int(STOWAGE_FULL)
  static let corrupt = Int(STOWAGE_CORRUPT)
  static let auth = Int(STOWAGE_AUTH)
  static let gone = Int(STOWAGE_GONE)
  static let invalid = Int(STOWAGE_INVALID)
  static let io = Int(STOWAGE_IO)
}
