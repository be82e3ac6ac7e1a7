// SPDX-License-Identifier: Apache-2.0
import CStowageTier
public import Foundation
public import StowageEngine

/// A test tier (Tests/Fixtures/tiers), built from C and loaded from its `.so` as a host does.
///
/// Each `TestTier` is loaded from a file of its own, so its counters and knobs are its own too.
public final class TestTier: @unchecked Sendable {
  /// One way to build one of the C files.
  public struct Kind: Sendable, Hashable {
    public var name: String
    public var source: String
    public var defines: [String] = []

    public init(_ name: String, _ source: String, _ defines: [String] = []) {
      (self.name, self.source, self.defines) = (name, source, defines)
    }

    private static let terminal = "ACCESS=STOWAGE_ACCESS_TERMINAL"
    private static let transparent = "ACCESS=STOWAGE_ACCESS_TRANSPARENT"

    /// Compressors: runs of a byte, or repeats (smaller, slower).
    public static let rle = Kind("rle", "rle.c", [terminal])
    public static let rleTransparent = Kind("rle-transparent", "rle.c", [transparent])
    public static let lz = Kind("lz", "lz.c", [terminal])
    public static let lzTransparent = Kind("lz-transparent", "lz.c", [transparent])
    /// Compressors that stand one call at a time.
    public static let rleSerial = Kind("rle-serial", "rle.c", [terminal, "THREADS=STOWAGE_THREADS_ONE_FOR_ALL"])
    public static let lzSerial = Kind(
      "lz-serial", "lz.c", [transparent, "THREADS=STOWAGE_THREADS_ONE_PER_INSTANCE"])
    /// Length-preserving transforms.
    public static let xor = Kind("xor", "xor.c", [transparent])
    public static let xorTerminal = Kind("xor-terminal", "xor.c", [terminal])
    /// Mandatory, with a sidecar of 16 bytes.
    public static let cipher = Kind("cipher", "cipher.c", [transparent])
    public static let cipher2 = Kind("cipher2", "cipher.c", [transparent])
    public static let cipherSerial = Kind(
      "cipher-serial", "cipher.c", [transparent, "THREADS=STOWAGE_THREADS_ONE_FOR_ALL"])
    /// Another instance of it decodes what this one encoded.
    public static let cipherKept = Kind("cipher-kept", "cipher.c", [transparent, "KEPT_KEY=81"])
    /// Mandatory; what the host has encoded for itself it decodes to something else, as `mutate_plan` says.
    public static let mutate = Kind("mutate", "mutate.c", [transparent, "KEPT_KEY=81"])
    /// Backings; option `slots`.
    public static let memory = Kind("memory", "memory.c", [terminal])
    public static let memorySerial = Kind(
      "memory-serial", "memory.c", [terminal, "THREADS=STOWAGE_THREADS_ONE_PER_INSTANCE"])
    public static let disk = Kind("disk", "memory.c", [terminal, "PERSISTENT"])
    public static let diskAsync = Kind("disk-async", "memory.c", [terminal, "PERSISTENT", "ASYNC"])
    public static let mapped = Kind("mapped", "memory.c", [transparent, "PERSISTENT", "MAPPED"])

    public static let all = [
      rle, rleTransparent, lz, lzTransparent, rleSerial, lzSerial, xor, xorTerminal, cipher, cipher2, cipherSerial,
      cipherKept, mutate,
      memory, memorySerial, disk, diskAsync, mapped,
    ]
  }

  /// As in test-tier.h.
  public enum Counter: UInt32, CaseIterable, Sendable {
    case encodes, decodes, idsReused, overlaps, violations, markers, failures, writes, reads, trims, syncs, instances
    case contexts, tooBig, lastViolation
  }

  public enum Knob: UInt32, Sendable {
    case failCode, failEncodes, failDecodes, tooBig, delayMicroseconds
  }

  public let kind: Kind
  public let table: TierTable
  private let counter: @convention(c) (UInt32) -> UInt64
  private let setter: @convention(c) (UInt32, UInt64) -> Void
  private let library: UnsafeMutableRawPointer

  /// Builds (once in a process) and loads a tier.
  public init(_ kind: Kind) throws {
    self.kind = kind
    let file = try Self.ownCopy(of: kind)
    library = try TierLibrary.open(file)
    table = try TierLibrary.table(library, file: file)
    counter = unsafeBitCast(
      try TierLibrary.symbol("test_counter", library), to: (@convention(c) (UInt32) -> UInt64).self)
    setter = unsafeBitCast(
      try TierLibrary.symbol("test_set", library), to: (@convention(c) (UInt32, UInt64) -> Void).self)
  }

  public subscript(_ counter: Counter) -> Int { Int(self.counter(counter.rawValue)) }

  public func set(_ knob: Knob, _ value: Int) { setter(knob.rawValue, UInt64(value)) }

  /// A function that only this tier has.
  public func function<Function>(_ name: String) throws -> Function {
    unsafeBitCast(try TierLibrary.symbol(name, library), to: Function.self)
  }

  /// Backings: every write that holds these 16 bytes is counted as `markers`. Set it before the store is opened.
  public func watch(for marker: [UInt8]) throws {
    precondition(marker.count == 16)
    let set = unsafeBitCast(
      try TierLibrary.symbol("test_marker", library), to: (@convention(c) (UnsafePointer<UInt8>) -> Void).self)
    marker.withUnsafeBufferPointer { set($0.baseAddress.unsafelyUnwrapped) }
  }

  /// What the tier holds against its host: rules of the ABI that were broken; nil when there is nothing.
  public var complaint: String? {
    let found: [(Counter, String)] = [
      (.idsReused, "ids encoded twice"), (.overlaps, "calls side by side against the thread model"),
      (.violations, "broken rules of the ABI (the last in line \(self[.lastViolation]))"),
    ]
    let said = found.filter { self[$0.0] > 0 }.map { "\(self[$0.0]) \($0.1)" }
    return said.isEmpty ? nil : "tier '\(kind.name)': \(said.joined(separator: ", "))"
  }

  private static let folder = Locked<(folder: TemporaryFolder?, built: [Kind: URL], copies: Int)>((nil, [:], 0))

  private static func ownCopy(of kind: Kind) throws -> URL {
    try folder.withLock { state in
      let folder = try state.folder ?? TemporaryFolder()
      state.folder = folder
      let built =
        try state.built[kind]
        ?? TierCompiler.compile("tiers/\(kind.source)", into: folder.url, name: kind.name, defines: kind.defines)
      state.built[kind] = built
      state.copies += 1
      let copy = folder.file("\(kind.name)-\(state.copies).so")
      try FileManager.default.copyItem(at: built, to: copy)
      return copy
    }
  }
}

/// Loading a tier's file, without what the plug-in loader does around it.
public enum TierLibrary {
  /// The table of a tier in a file.
  public static func load(_ file: URL) throws -> TierTable { try table(open(file), file: file) }

  /// The table of a tier that was built with the tests, such as "lz4": libNAME-tier.so beside the test bundle.
  public static func shipped(_ name: String) throws -> TierTable {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let bundle = own.deletingLastPathComponent()
    return try load(bundle.appendingPathComponent("lib\(name)-tier.so"))
  }

  static func open(_ file: URL) throws -> UnsafeMutableRawPointer {
    guard let library = dlopen(file.path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) else {
      throw TestFailure(String(cString: dlerror()))
    }
    return library
  }

  static func symbol(_ name: String, _ library: UnsafeMutableRawPointer) throws -> UnsafeMutableRawPointer {
    guard let symbol = dlsym(library, name) else { throw TestFailure("no symbol \(name)") }
    return symbol
  }

  static func table(_ library: UnsafeMutableRawPointer, file: URL) throws -> TierTable {
    typealias Entry = @convention(c) (UnsafePointer<stowage_host>) -> UnsafePointer<stowage_tier>?
    // As a host does: asked once, whoever else uses the tier meanwhile.
    let address = try descriptors.withLock { known in
      if let address = known[file.path] { return address }
      let entry = unsafeBitCast(try symbol(STOWAGE_TIER_ENTRY_NAME, library), to: Entry.self)
      guard let descriptor = entry(HostTable.shared) else { throw TestFailure("\(file.path) gave no descriptor") }
      known[file.path] = UInt(bitPattern: descriptor)
      return UInt(bitPattern: descriptor)
    }
    guard let descriptor = UnsafePointer<stowage_tier>(bitPattern: address) else { throw TestFailure("no descriptor") }
    return try TierTable(descriptor: descriptor, file: file.path)
  }

  /// By path: where the descriptor is.
  private static let descriptors = Locked<[String: UInt]>([:])
}
