// SPDX-License-Identifier: Apache-2.0

/// How chunks were encoded: by which level's tier, in which of its epochs, and in which space their ids count.
///
/// A segment and a frame name their codec by a number of 6 bits. A level's own codec, the one that it encodes with now, has
/// the level's number; codecs of earlier runs have numbers that no level has.
struct Codec: Equatable {
  var level: UInt8 = 0
  /// The upper 8 bits of its chunks' ids.
  var space: UInt8 = 0
  var epoch: UInt32 = 0
}

/// Which frame transforms encoded a frame, each in which epoch. Frames name theirs by a number of 8 bits; 0 is none.
struct TransformSet: Equatable {
  /// Bit n for the transform whose `transformBit` it is.
  var mask: UInt8 = 0
  /// By bit.
  var epochs = (UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0), UInt32(0))
  /// Of all of them, as checksums take them in.
  var sum: UInt32 = 0

  /// - Parameter bit: one bit of the mask.
  func epoch(_ bit: UInt8) -> UInt32 {
    withUnsafeBytes(of: epochs) { $0.load(fromByteOffset: bit.trailingZeroBitCount * 4, as: UInt32.self) }
  }

  mutating func set(_ bit: UInt8, epoch: UInt32) {
    mask |= bit
    withUnsafeMutableBytes(of: &epochs) {
      $0.storeBytes(of: epoch, toByteOffset: bit.trailingZeroBitCount * 4, as: UInt32.self)
    }
  }

  mutating func remove(_ bit: UInt8) {
    set(bit, epoch: 0)
    mask &= ~bit
  }

  static func == (left: TransformSet, right: TransformSet) -> Bool {
    left.mask == right.mask && left.sum == right.sum
      && withUnsafeBytes(of: left.epochs) { left in
        withUnsafeBytes(of: right.epochs) { right in left.elementsEqual(right) }
      }
  }
}

/// The numbers of codecs and transform sets. Entries are written with the engine's lock (or before any thread runs) and
/// never change while an object names them, so that those that have such an object may read them without.
struct EpochTable: @unchecked Sendable {
  private let codecs: UnsafeMutablePointer<Codec>
  private let sets: UnsafeMutablePointer<TransformSet>
  private let setCount: UnsafeMutablePointer<Int>

  static let codecsMax = 63
  static let setsMax = 256

  init() {
    codecs = .allocate(capacity: Self.codecsMax)
    codecs.initialize(repeating: Codec(), count: Self.codecsMax)
    sets = .allocate(capacity: Self.setsMax)
    sets.initialize(repeating: TransformSet(), count: Self.setsMax)
    setCount = .allocate(capacity: 1)
    setCount.initialize(to: 1)
  }

  func deallocate() {
    codecs.deallocate()
    sets.deallocate()
    setCount.deallocate()
  }

  @inline(__always) func codec(_ number: Int) -> Codec { codecs[number] }
  @inline(__always) func set(_ number: UInt8) -> TransformSet { sets[Int(number)] }
  var count: Int { setCount.pointee }

  func setCodec(_ number: Int, _ codec: Codec) { codecs[number] = codec }

  /// Gives a set the number that it has in a session; false when another one has it.
  func restore(_ set: TransformSet, as number: UInt8) -> Bool {
    guard number > 0, set.mask != 0, sets[Int(number)].mask == 0 else { return false }
    sets[Int(number)] = set
    setCount.pointee = max(setCount.pointee, Int(number) + 1)
    return true
  }

  /// Before any thread runs: a number that nothing names is free for another set.
  func forgetSet(_ number: UInt8) { sets[Int(number)] = TransformSet() }

  /// The number of a set, a new one if need be; nil when all numbers are used.
  func number(of set: TransformSet) -> UInt8? {
    for number in 0..<setCount.pointee where sets[number] == set { return UInt8(number) }
    if let free = (1..<setCount.pointee).first(where: { sets[$0].mask == 0 }) {
      sets[free] = set
      return UInt8(free)
    }
    guard setCount.pointee < Self.setsMax else { return nil }
    sets[setCount.pointee] = set
    setCount.pointee += 1
    return UInt8(setCount.pointee - 1)
  }
}

extension Engine {
  /// The number of the set that a frame has when the transforms of `mask`, as they are now, have encoded it too. With the
  /// lock.
  func transformSet(_ number: UInt8, adding mask: UInt8) -> UInt8? {
    guard mask != 0 else { return number }
    var set = epochs.set(number)
    for index in 0..<levelCount where plan.levels[index].transformBit & mask != 0 {
      set.set(plan.levels[index].transformBit, epoch: calls[index]?.epoch ?? 0)
    }
    set.sum = sum(of: set)
    return epochs.number(of: set)
  }

  /// The number of the set without one of its transforms. With the lock.
  func transformSet(_ number: UInt8, removing bit: UInt8) -> UInt8? {
    var set = epochs.set(number)
    set.remove(bit)
    set.sum = sum(of: set)
    return epochs.number(of: set)
  }

  private func sum(of set: TransformSet) -> UInt32 {
    var sum: UInt32 = 0
    for index in 0..<levelCount where set.mask & plan.levels[index].transformBit != 0 {
      sum = sum &* 31 &+ set.epoch(plan.levels[index].transformBit)
    }
    return sum
  }
}
