// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// One instance of the tier, and its calls; each is noted before it is made.
///
/// Calls may be made from several threads as far as the tier's thread model allows: that is the check's affair.
final class OpenTier: @unchecked Sendable {
  let tier: LoadedTier
  let table: TierTable
  let arguments: OpenArguments
  let instance: OpaquePointer
  private(set) var isClosed = false

  var run: CheckRun { tier.run }
  var raw: stowage_tier { tier.raw.pointee }
  var transform: UnsafePointer<stowage_transform> { tier.raw.pointee.transform! }
  var backing: UnsafePointer<stowage_backing> { tier.raw.pointee.backing! }
  var pageSize: Int { arguments.pageSize }
  var epoch: UInt32 { arguments.epoch }
  var sidecarLength: Int { table.sidecarLength }

  /// Opens with options given or made up. A refusal ends the check as failed.
  convenience init(_ tier: LoadedTier, _ table: TierTable, suffix: String = "") throws {
    try self.init(tier, table, try OpenArguments(tier.run, table, suffix: suffix))
  }

  init(_ tier: LoadedTier, _ table: TierTable, _ arguments: OpenArguments) throws {
    self.tier = tier
    self.table = table
    self.arguments = arguments
    let (code, instance) = arguments.open(tier, table)
    guard let instance else {
      guard code != STOWAGE_OK else { throw tier.run.fail("open answered OK and gave no instance") }
      throw tier.run.fail("open answered \(Self.said(code))")
    }
    self.instance = instance
  }

  /// An instance that was opened in another way, with what `arguments` say of page size and epoch.
  init(_ tier: LoadedTier, _ table: TierTable, _ arguments: OpenArguments, instance: OpaquePointer) {
    self.tier = tier
    self.table = table
    self.arguments = arguments
    self.instance = instance
  }

  /// The name of a result, with what the tier said.
  static func said(_ code: Int32) -> String {
    let said = HostTable.lastError()
    return TierResult.name(code) + (said.isEmpty ? "" : " (\(said))")
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    run.notes.note(.close)
    raw.close(instance)
  }

  // MARK: Contexts

  /// A working context; nil for tiers without.
  func context(_ use: UInt32 = UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE)) throws -> OpaquePointer? {
    guard let open = raw.thread_open else { return nil }
    var context: OpaquePointer?
    run.notes.note(.threadOpen)
    HostTable.clearError()
    let code = open(instance, use, &context)
    guard code == STOWAGE_OK, let context else { throw run.fail("thread_open answered \(Self.said(code))") }
    return context
  }

  func end(_ context: OpaquePointer?) {
    guard let context, let close = raw.thread_close else { return }
    run.notes.note(.threadClose)
    close(instance, context)
  }

  // MARK: Transforms

  /// An object of `length` bytes.
  func object(_ id: UInt64, length: Int, flags: UInt32 = 0) -> stowage_object {
    stowage_object(id: id, epoch: epoch, length: UInt32(length), flags: flags, reserved: 0)
  }

  /// - Returns: the result, and *output_length, which is `length` before the call.
  func encode(
    _ context: OpaquePointer?, _ object: stowage_object, _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer,
    room: Int, _ sidecar: UnsafeMutableRawPointer?
  ) -> (code: Int32, length: Int) {
    var (object, length) = (object, Int.max)
    run.notes.note(.encode, object.id, UInt64(object.length), UInt64(room))
    HostTable.clearError()
    let code = transform.pointee.encode(
      instance, context, &object, input.assumingMemoryBound(to: UInt8.self),
      output.assumingMemoryBound(to: UInt8.self), room, &length, sidecar?.assumingMemoryBound(to: UInt8.self))
    return (code, length)
  }

  func decode(
    _ context: OpaquePointer?, _ object: stowage_object, _ input: UnsafeRawPointer, length: Int,
    _ output: UnsafeMutableRawPointer, _ sidecar: UnsafeRawPointer?
  ) -> Int32 {
    var object = object
    run.notes.note(.decode, object.id, UInt64(object.length), UInt64(length))
    HostTable.clearError()
    return transform.pointee.decode(
      instance, context, &object, input.assumingMemoryBound(to: UInt8.self), length,
      output.assumingMemoryBound(to: UInt8.self), sidecar?.assumingMemoryBound(to: UInt8.self))
  }

  /// The room that a host gives for an object: its own length for one that preserves it, else a page more.
  func room(for length: Int) -> Int { table.isLengthPreserving ? length : length + pageSize }

  // MARK: Backings

  /// Slots in all, as the tier says now. A failure ends the check.
  func capacity() throws -> Int {
    var capacity = stowage_capacity(
      struct_size: UInt32(MemoryLayout<stowage_capacity>.size), reserved: 0, slots_total: 0)
    run.notes.note(.capacity)
    HostTable.clearError()
    let code = backing.pointee.capacity(instance, &capacity)
    guard code == STOWAGE_OK else { throw run.fail("capacity answered \(Self.said(code))") }
    return Int(clamping: capacity.slots_total)
  }

  /// - Parameter buffer: `count` pages, aligned to 4096 bytes.
  func write(_ context: OpaquePointer?, slot: Int, count: Int, _ buffer: UnsafeRawPointer) -> Int32 {
    let objects = self.objects(slot, count)
    run.notes.note(.write, UInt64(slot), UInt64(count))
    HostTable.clearError()
    return backing.pointee.write(
      instance, context, UInt64(slot), UInt32(count), buffer.assumingMemoryBound(to: UInt8.self), objects)
  }

  func read(_ context: OpaquePointer?, slot: Int, count: Int, _ buffer: UnsafeMutableRawPointer) -> Int32 {
    let objects = self.objects(slot, count)
    run.notes.note(.read, UInt64(slot), UInt64(count))
    HostTable.clearError()
    return backing.pointee.read(
      instance, context, UInt64(slot), UInt32(count), buffer.assumingMemoryBound(to: UInt8.self), objects)
  }

  /// OK when the tier has no trim.
  func trim(_ context: OpaquePointer?, slot: Int, count: Int) -> Int32 {
    guard let trim = backing.pointee.trim else { return STOWAGE_OK }
    run.notes.note(.trim, UInt64(slot), UInt64(count))
    HostTable.clearError()
    return trim(instance, context, UInt64(slot), UInt32(count))
  }

  /// OK when the tier has no sync.
  func sync(_ context: OpaquePointer?) -> Int32 {
    guard let sync = backing.pointee.sync else { return STOWAGE_OK }
    run.notes.note(.sync)
    HostTable.clearError()
    return sync(instance, context)
  }

  /// Of a run of slots: a page each, its id the slot's number and one.
  private func objects(_ slot: Int, _ count: Int) -> [stowage_object] {
    (slot..<slot + count).map { object(UInt64($0) + 1, length: pageSize, flags: UInt32(STOWAGE_OBJECT_FRAME)) }
  }
}
