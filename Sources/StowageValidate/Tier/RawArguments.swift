// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// What `open` is called with, value by value, so that it can hold what a host would never pass on.
struct RawArguments {
  struct Value {
    /// nil: null.
    var text: [UInt8]?
    var number: Int64 = 0
    var isGiven = true
  }

  /// Where the arguments lie.
  enum Memory {
    /// In memory that is freed once open has returned.
    case ordinary
    /// In memory that stays.
    case kept
    /// In memory that cannot be touched any more once open has returned.
    case borrowed
    /// The values at the end of memory: one step further is a crash.
    case atEnd
  }

  var arguments: OpenArguments
  /// In the order of the tier's table.
  var values: [Value]
  /// How many of them the tier is told of.
  var count: Int
  /// Bytes of stowage_open that the tier is told of; those beyond its fields are zero.
  var structSize = MemoryLayout<stowage_open>.size

  /// Those that a user would give, or their defaults.
  init(_ arguments: OpenArguments, _ table: TierTable) {
    self.arguments = arguments
    values = table.options.map { option in
      switch arguments.values[option.key] {
      case .number(let number): Value(number: number)
      case .text(let text): Value(text: Array(text.utf8))
      case .secret(let secret): Value(text: secret.withBytes { Array($0) })
      case nil: Value(text: option.textDefault.map { Array($0.utf8) }, number: option.numberDefault, isGiven: false)
      }
    }
    count = values.count
  }

  /// - Parameter untouched: what the place for the instance holds before the call.
  /// - Returns: the result, and what that place holds after it.
  func open(
    _ tier: LoadedTier, in memory: Memory = .kept, untouched: OpaquePointer? = nil
  ) -> (code: Int32, instance: OpaquePointer?) {
    let arena = Arena(memory == .borrowed ? byteCount : nil, frees: memory == .ordinary)
    let options = list(arena, atEnd: memory == .atEnd)
    let name = arena.text(Array(arguments.instanceName.utf8))
    let raw = arena.take(max(structSize, MemoryLayout<stowage_open>.size))
    raw.initializeMemory(
      as: stowage_open.self,
      to: stowage_open(
        struct_size: UInt32(structSize), page_size: UInt32(arguments.pageSize), owner: arguments.owner,
        epoch: arguments.epoch, option_count: UInt32(count),
        options: count == 0 ? nil : options, instance_name: UnsafePointer(name)))
    var instance = untouched
    tier.run.notes.note(.open)
    HostTable.clearError()
    let code = tier.raw.pointee.open(raw.assumingMemoryBound(to: stowage_open.self), &instance)
    arena.end()
    return (code, instance)
  }

  private func list(_ arena: Arena, atEnd: Bool) -> UnsafePointer<stowage_option_value> {
    let bytes = count * MemoryLayout<stowage_option_value>.stride
    let place = atEnd ? Arena.forEver(GuardedBuffer(size: bytes, at: .end)) : arena.take(bytes)
    let list = place.bindMemory(to: stowage_option_value.self, capacity: count)
    for (index, value) in values.prefix(count).enumerated() {
      (list + index).initialize(
        to: stowage_option_value(
          text: value.text.map { UnsafePointer(arena.text($0)) }, text_length: UInt64(value.text?.count ?? 0),
          number: value.number, given: value.isGiven ? 1 : 0, reserved: 0))
    }
    return UnsafePointer(list)
  }

  /// Enough for everything, each part aligned to 16.
  private var byteCount: Int {
    values.reduce(structSize + arguments.instanceName.utf8.count + 1024) {
      $0 + ($1.text?.count ?? 0) + 32 + MemoryLayout<stowage_option_value>.stride
    }
  }
}

/// Memory for the arguments of one call.
private final class Arena {
  private var guarded: GuardedBuffer?
  private var used = 0
  private let frees: Bool
  private var taken: [UnsafeMutableRawPointer] = []

  /// - Parameters:
  ///   - byteCount: of memory that cannot be touched from `end` on; nil: ordinary memory.
  ///   - frees: ordinary memory is freed by `end`; else it stays as long as the process.
  init(_ byteCount: Int?, frees: Bool) {
    guarded = byteCount.flatMap { GuardedBuffer(size: $0, at: .start) }
    self.frees = frees
  }

  func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
    guard let guarded else {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: 16)
      memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
      if frees { taken.append(memory) }
      return memory
    }
    let place = guarded.base + used
    used += (byteCount + 15) & ~15
    precondition(used <= guarded.count)
    return place
  }

  func text(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar> {
    let place = take(bytes.count + 1)
    place.copyMemory(from: bytes, byteCount: bytes.count)
    return place.assumingMemoryBound(to: CChar.self)
  }

  /// The call has returned: guarded memory cannot be touched from here on, and its addresses are not used again.
  func end() {
    guarded?.makeUntouchable()
    for memory in taken { memory.deallocate() }
    taken = []
  }

  static func forEver(_ buffer: GuardedBuffer?) -> UnsafeMutableRawPointer {
    guard let buffer else { fatalError("no memory for the arguments of open") }
    return Unmanaged.passRetained(buffer).takeUnretainedValue().base
  }

  deinit { if let guarded { _ = Unmanaged.passRetained(guarded) } }
}
