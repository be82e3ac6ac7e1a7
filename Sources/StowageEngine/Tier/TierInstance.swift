// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// One opened tier: its instance, its account of memory, and its functions in one flat record.
///
/// Opened and closed on the thread that opens and closes the store. The functions in `calls` may be called on any
/// thread, as the thread model allows, while it is open.
final class TierInstance: @unchecked Sendable {
  let name: String
  let table: TierTable
  let calls: TierCalls
  private let account: UnsafeMutablePointer<MemoryAccount>

  /// - Parameter deadline: how long a call waits for those before it, in nanoseconds.
  init(_ tier: ChainTier, pageSize: Int, epoch: UInt32, deadline: UInt64) throws(StoreError) {
    name = tier.name
    table = tier.table
    account = MemoryAccount.make()
    let opened = Self.open(tier, pageSize: pageSize, epoch: epoch, owner: UInt64(UInt(bitPattern: account)))
    switch opened {
    case .success(let instance):
      calls = TierCalls(table: tier.table, instance: instance, epoch: epoch, deadline: deadline)
    case .failure(let error): throw error
    }
  }

  func close() { table.descriptor.pointee.close(calls.instance) }

  var memoryBytes: Int { account.pointee.bytes.load(ordering: .relaxed) }

  private static func open(_ tier: ChainTier, pageSize: Int, epoch: UInt32, owner: UInt64)
    -> Result<OpaquePointer, StoreError>
  {
    var texts: [UnsafeMutableBufferPointer<CChar>] = []
    defer { for text in texts { wipeAndFree(text) } }
    let values = tier.table.options.map { option in
      value(of: option, given: tier.options[option.key], keep: &texts)
    }
    for (option, value) in zip(tier.table.options, values)
    where option.isRequired && value.given == 0 {
      return .failure(
        .configuration("tier '\(tier.name)' needs the option '\(option.key)': \(option.help)"))
    }
    var instance: OpaquePointer?
    HostTable.clearError()
    let result = values.withUnsafeBufferPointer { values in
      tier.name.withCString { name in
        var arguments = stowage_open(
          struct_size: UInt32(MemoryLayout<stowage_open>.size), page_size: UInt32(pageSize),
          owner: owner, epoch: epoch, option_count: UInt32(values.count),
          options: values.isEmpty ? nil : values.baseAddress, instance_name: name)
        return tier.table.descriptor.pointee.open(&arguments, &instance)
      }
    }
    guard result == STOWAGE_OK, let instance else {
      let said = HostTable.lastError()
      let reason = said.isEmpty ? TierResult.name(result) : said
      return .failure(.configuration("tier '\(tier.name)' (\(tier.table.file)) cannot be opened: \(reason)"))
    }
    return .success(instance)
  }

  /// The value in the ABI's form; texts are kept in `keep`, and wiped after the call as they may be secret.
  private static func value(
    of option: TierOption, given: TierOptionValue?, keep: inout [UnsafeMutableBufferPointer<CChar>]
  ) -> stowage_option_value {
    var value = stowage_option_value(
      text: nil, text_length: 0, number: option.numberDefault, given: given == nil ? 0 : 1, reserved: 0)
    var text = option.textDefault
    switch given {
    case .number(let number): value.number = number
    case .text(let given): text = given
    case .secret(let secret):
      // The tier's options outlive the call, and so does this.
      value.text = secret.pointer
      value.text_length = UInt64(secret.count)
      return value
    case nil: break
    }
    if let text, option.kind == .text || option.kind == .path || option.kind == .choice {
      let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.utf8.count + 1)
      _ = copy.initialize(from: text.utf8CString)
      keep.append(copy)
      value.text = UnsafePointer(copy.baseAddress)
      value.text_length = UInt64(text.utf8.count)
    }
    return value
  }

  private static func wipeAndFree(_ text: UnsafeMutableBufferPointer<CChar>) {
    HostTable.shared.pointee.wipe(text.baseAddress!, text.count)
    text.deallocate()
  }
}

/// A tier's functions and what the data path must know of it, flat: calls go through a contiguous table of these,
/// with no existential and no reference count.
struct TierCalls: @unchecked Sendable {
  let instance: OpaquePointer
  let transform: stowage_transform?
  let backing: stowage_backing?
  let threadOpen: (@convention(c) (OpaquePointer, UInt32, UnsafeMutablePointer<OpaquePointer?>) -> Int32)?
  let threadClose: (@convention(c) (OpaquePointer, OpaquePointer) -> Void)?
  let health: (@convention(c) (OpaquePointer, UnsafeMutablePointer<stowage_health>) -> Int32)?
  let epoch: UInt32
  let isLengthPreserving: Bool
  /// How long a call waits for those before it, in nanoseconds.
  private let deadline: UInt64
  private let tableGate: Gate
  private let instanceGate: Gate

  init(table: TierTable, instance: OpaquePointer, epoch: UInt32, deadline: UInt64) {
    self.instance = instance
    self.deadline = deadline
    self.epoch = epoch
    transform = table.transform?.pointee
    backing = table.backing?.pointee
    threadOpen = table.descriptor.pointee.thread_open
    threadClose = table.descriptor.pointee.thread_close
    health = table.descriptor.pointee.health
    isLengthPreserving = table.isLengthPreserving
    tableGate = table.gate
    instanceGate = Gate(serial: table.threadModel == .onePerInstance)
  }

  /// Begins a call: the gates of a tier that is not parallel, and no message from before. False when an earlier call keeps
  /// them past the deadline: that is said then, and RETRY is the answer.
  @inline(__always) func enter() -> Bool {
    stowage_error_clear()
    guard tableGate.enter(timeout: deadline) else { return sayBusy() }
    if instanceGate.enter(timeout: deadline) { return true }
    tableGate.leave()
    return sayBusy()
  }

  @inline(never) private func sayBusy() -> Bool {
    let text = "it stands one call at a time, and an earlier one has not returned within \(Double(deadline) / 1e9) s"
    text.utf8CString.withUnsafeBufferPointer { stowage_error_set($0.baseAddress.unsafelyUnwrapped, $0.count - 1) }
    return false
  }

  /// The same for questions that must not wait for a call that hangs; false when the tier stays busy.
  func tryEnter() -> Bool {
    stowage_error_clear()
    guard tableGate.tryEnter(milliseconds: 100) else { return false }
    if instanceGate.tryEnter(milliseconds: 100) { return true }
    tableGate.leave()
    return false
  }

  @inline(__always) func leave() {
    instanceGate.leave()
    tableGate.leave()
  }

  /// Encodes; `length` gets the output's. The result code of the tier.
  @inline(__always) func encode(
    _ context: OpaquePointer?, _ object: inout stowage_object, _ input: UnsafeRawPointer,
    _ output: UnsafeMutableRawPointer, room: Int, length: inout Int, sidecar: UnsafeMutablePointer<UInt8>?
  ) -> Int32 {
    guard enter() else { return STOWAGE_RETRY }
    defer { leave() }
    return transform.unsafelyUnwrapped.encode(
      instance, context, &object, input.assumingMemoryBound(to: UInt8.self),
      output.assumingMemoryBound(to: UInt8.self), room, &length, sidecar)
  }

  /// Decodes to exactly `object.length` bytes. The result code of the tier.
  @inline(__always) func decode(
    _ context: OpaquePointer?, _ object: inout stowage_object, _ input: UnsafeRawPointer, length: Int,
    _ output: UnsafeMutableRawPointer, sidecar: UnsafePointer<UInt8>?
  ) -> Int32 {
    guard enter() else { return STOWAGE_RETRY }
    defer { leave() }
    return transform.unsafelyUnwrapped.decode(
      instance, context, &object, input.assumingMemoryBound(to: UInt8.self), length,
      output.assumingMemoryBound(to: UInt8.self), sidecar)
  }
}

/// The ABI's result codes, for people.
package enum TierResult {
  package static func name(_ code: Int32) -> String {
    switch code {
    case STOWAGE_OK: "ok"
    case STOWAGE_RETRY: "cannot now (RETRY)"
    case STOWAGE_FULL: "no room (FULL)"
    case STOWAGE_TOO_BIG: "too big (TOO_BIG)"
    case STOWAGE_CORRUPT: "damaged (CORRUPT)"
    case STOWAGE_AUTH: "not authentic (AUTH)"
    case STOWAGE_GONE: "not there any more (GONE)"
    case STOWAGE_INVALID: "invalid (INVALID)"
    case STOWAGE_UNSUPPORTED: "unsupported (UNSUPPORTED)"
    case STOWAGE_IO: "I/O error (IO)"
    default: "unknown error \(code)"
    }
  }

  /// Whether a load that failed so can never succeed.
  static func isDamage(_ code: Int32) -> Bool {
    code == STOWAGE_CORRUPT || code == STOWAGE_AUTH || code == STOWAGE_GONE
  }
}
