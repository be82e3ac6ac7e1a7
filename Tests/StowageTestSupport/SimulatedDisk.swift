// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// A disk in memory that loses power: Tests/Fixtures/tiers/simdisk.c. Its contents outlive the stores that use it; one
/// thread at a time uses it.
public struct SimulatedDisk: @unchecked Sendable {
  private struct Library: @unchecked Sendable {
    var table: TierTable
    var pointer: UnsafeMutableRawPointer
  }

  /// There are so many.
  public static let count = 16

  private static let library = Result { () throws -> Library in
    let folder = try TemporaryFolder()
    let file = try TierCompiler.compile("tiers/simdisk.c", into: folder.url)
    let pointer = try TierLibrary.open(file)
    return Library(table: try TierLibrary.table(pointer, file: file), pointer: pointer)
  }

  public let number: UInt32
  private let library: Library

  /// A disk that is empty.
  /// - Parameters:
  ///   - number: below `count`.
  ///   - seed: what a crash leaves follows from it.
  public init(_ number: Int, slots: Int, pageSize: Int = 4096, seed: UInt64) throws {
    self.number = UInt32(number)
    library = try Self.library.get()
    typealias Format = @convention(c) (UInt32, UInt64, UInt32, UInt64) -> Void
    let format: Format = try function("simdisk_format")
    format(self.number, UInt64(slots), UInt32(pageSize), seed)
  }

  private func function<Function>(_ name: String) throws -> Function {
    unsafeBitCast(try TierLibrary.symbol(name, library.pointer), to: Function.self)
  }

  public func tier(named name: String = "disk") -> ChainTier {
    var tier = ChainTier(library.table, name: name)
    tier.options["disk"] = .number(Int64(number))
    return tier
  }

  /// Called before every write, on the thread that makes it, with no lock held.
  public func setInterleave(_ body: (@convention(c) () -> Void)?) throws {
    typealias Set = @convention(c) (UInt32, (@convention(c) () -> Void)?) -> Void
    let set: Set = try function("simdisk_interleave")
    set(number, body)
  }

  /// The power fails in the call (write, sync or new root) with this number from now on; 0: never.
  public func dies(in calls: Int) throws {
    typealias Set = @convention(c) (UInt32, UInt64) -> Void
    let set: Set = try function("simdisk_die_in")
    set(number, UInt64(calls))
  }

  private func read(_ name: String) throws -> Int {
    typealias Get = @convention(c) (UInt32) -> UInt64
    let get: Get = try function(name)
    return Int(get(number))
  }

  /// Writes, syncs and new roots so far.
  public var calls: Int { get throws { try read("simdisk_calls") } }
  /// Calls that failed because `setFaults` says so.
  public var failures: Int { get throws { try read("simdisk_failures") } }
  public var isDead: Bool {
    get throws {
      typealias Get = @convention(c) (UInt32) -> Int32
      let get: Get = try function("simdisk_is_dead")
      return get(number) != 0
    }
  }

  /// Of a thousand: syncs and new roots that fail, writes that find no room, reads that give other bytes.
  public func setFaults(syncs: Int = 0, writes: Int = 0, reads: Int = 0) throws {
    typealias Set = @convention(c) (UInt32, UInt32, UInt32, UInt32) -> Void
    let set: Set = try function("simdisk_faults")
    set(number, UInt32(syncs), UInt32(writes), UInt32(reads))
  }

  /// The power fails, unless it has, and comes back: of what was not synced some is there, in any order, torn.
  public func crash() throws {
    typealias Crash = @convention(c) (UInt32) -> Void
    let crash: Crash = try function("simdisk_crash")
    crash(number)
  }

  /// The root as it is, and another one in its place.
  public func root() throws -> [UInt8] {
    typealias Get = @convention(c) (UInt32, UnsafeMutablePointer<UInt8>) -> UInt64
    let get: Get = try function("simdisk_root")
    var bytes = [UInt8](repeating: 0, count: 4096)
    let length = bytes.withUnsafeMutableBufferPointer { get(number, $0.baseAddress!) }
    return Array(bytes.prefix(Int(length)))
  }

  public func setRoot(_ root: [UInt8]) throws {
    typealias Set = @convention(c) (UInt32, UnsafePointer<UInt8>, UInt64) -> Void
    let set: Set = try function("simdisk_set_root")
    (root + [0]).withUnsafeBufferPointer { set(number, $0.baseAddress!, UInt64(root.count)) }
  }

  /// The bytes of a slot.
  public func slot(_ index: Int, pageSize: Int = 4096) throws -> UnsafeMutableRawBufferPointer {
    typealias Get = @convention(c) (UInt32, UInt64) -> UnsafeMutableRawPointer
    let get: Get = try function("simdisk_slot")
    return UnsafeMutableRawBufferPointer(start: get(number, UInt64(index)), count: pageSize)
  }
}
