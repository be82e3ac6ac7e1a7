// SPDX-License-Identifier: Apache-2.0
public import StowageEngine

/// A disk in memory that loses power and goes wrong: Tests/Fixtures/tiers/simdisk.c. Its contents outlive the stores that
/// use it; one thread at a time uses it.
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

  /// Called when a call takes time, with nanoseconds.
  public func setClock(_ body: (@convention(c) (UInt64) -> Void)?) throws {
    typealias Set = @convention(c) (UInt32, (@convention(c) (UInt64) -> Void)?) -> Void
    let set: Set = try function("simdisk_clock")
    set(number, body)
  }

  private func read(_ name: String) throws -> Int {
    typealias Get = @convention(c) (UInt32) -> UInt64
    let get: Get = try function(name)
    return Int(get(number))
  }

  private func set(_ name: String, _ value: UInt64) throws {
    typealias Set = @convention(c) (UInt32, UInt64) -> Void
    let set: Set = try function(name)
    set(number, value)
  }

  // MARK: Power

  /// A call that changes something; numbered as in simdisk.h.
  public enum Call: Int, CaseIterable, Sendable { case write, trim, sync, root }

  /// The power fails in the call with this number from now on; 0: never.
  public func dies(in calls: Int) throws { try set("simdisk_die_in", UInt64(calls)) }

  /// Calls that change something so far.
  public var calls: Int { get throws { try read("simdisk_calls") } }
  /// In which kind of call the power failed last.
  public var diedIn: Call { get throws { Call(rawValue: try read("simdisk_died_in")) ?? .write } }
  public var isDead: Bool {
    get throws {
      typealias Get = @convention(c) (UInt32) -> Int32
      let get: Get = try function("simdisk_is_dead")
      return get(number) != 0
    }
  }

  /// The power fails, unless it has, and comes back: of what was not synced some is there, in any order, torn.
  /// - Parameter seed: what is there follows from it; nil: from the disk's own.
  public func crash(seed: UInt64? = nil) throws {
    if let seed { try set("simdisk_seed", seed) }
    typealias Crash = @convention(c) (UInt32) -> Void
    let crash: Crash = try function("simdisk_crash")
    crash(number)
  }

  /// Becomes what another disk is now, what that has not synced included.
  public func copy(_ other: SimulatedDisk) throws {
    typealias Copy = @convention(c) (UInt32, UInt32) -> Void
    let copy: Copy = try function("simdisk_copy")
    copy(number, other.number)
  }

  // MARK: Faults

  /// What can go wrong; numbered as in simdisk.h, which says more.
  public enum Fault: UInt32, CaseIterable, Sendable { case sync, full, flip, root, hang, capacity }

  /// Of a thousand calls that could, so many go wrong.
  public func setFault(_ fault: Fault, _ share: Int) throws {
    typealias Set = @convention(c) (UInt32, UInt32, UInt32) -> Void
    let set: Set = try function("simdisk_set_fault")
    set(number, fault.rawValue, UInt32(share))
  }

  /// Of the reads from now on, each one of so many gives other bytes than the slots have; 0: none of them.
  public func setFlips(every reads: Int) throws { try set("simdisk_flip_every", UInt64(reads)) }

  /// How often it went wrong.
  public func count(_ fault: Fault) throws -> Int {
    typealias Get = @convention(c) (UInt32, UInt32) -> UInt64
    let get: Get = try function("simdisk_faults")
    return Int(get(number, fault.rawValue))
  }

  /// A slot holds other bytes from now on: what it held before its last write, or a bit turned over.
  public func damage(slot: Int, isStale: Bool, bit: Int) throws {
    typealias Damage = @convention(c) (UInt32, UInt64, Int32, UInt64) -> Void
    let damage: Damage = try function("simdisk_damage")
    damage(number, UInt64(slot), isStale ? 1 : 0, UInt64(bit))
  }

  /// Damaged slots hold what they should again.
  public func repair() throws {
    typealias Repair = @convention(c) (UInt32) -> Void
    let repair: Repair = try function("simdisk_repair")
    repair(number)
  }

  /// Reads that gave other bytes than what was written last, so far.
  public var damagedReads: Int { get throws { try read("simdisk_damaged_reads") } }

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
