// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Foundation
import Glibc
import StowageEngine
import StowageTestSupport

/// A tier's answer that is not OK, and what it said.
struct TierAnswer: Error, Equatable, CustomStringConvertible {
  var code: Int32
  var text: String
  var description: String { "\(code): \(text)" }

  static func check(_ code: Int32) throws {
    if code != STOWAGE_OK { throw TierAnswer(code: code, text: HostTable.lastError()) }
  }

  /// The answer that a body ends with; nil if it ends well.
  static func of(_ body: () throws -> Void) -> TierAnswer? {
    do { try body() } catch { return error as? TierAnswer ?? TierAnswer(code: 0, text: "\(error)") }
    return nil
  }
}

/// An object as a transform encoded it.
struct SealedObject: Equatable {
  var object: stowage_object
  var plain, bytes, sidecar: [UInt8]

  static func == (one: SealedObject, other: SealedObject) -> Bool {
    one.object.id == other.object.id && one.bytes == other.bytes && one.sidecar == other.sidecar
  }
}

/// One instance of a shipped tier, called through its table as a host calls it, and closed at its end.
final class OpenedTier: @unchecked Sendable {
  enum Value {
    case text(String)
    case number(Int64)
    /// Handed on where it lies; a NUL follows it.
    case borrowed(UnsafeRawBufferPointer)
  }

  let tier: stowage_tier
  let epoch: UInt32
  private(set) var instance: OpaquePointer?
  private var contexts: [OpaquePointer] = []

  private static let tiers = Locked<[String: UnsafePointer<stowage_tier>]>([:])

  /// The descriptor of a tier that was built with the tests.
  static func descriptor(_ name: String) throws -> UnsafePointer<stowage_tier> {
    try tiers.withLock { tiers in
      if let known = tiers[name] { return known }
      let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      let file = own.deletingLastPathComponent().appendingPathComponent("lib\(name)-tier.so").path
      guard let library = dlopen(file, RTLD_NOW | RTLD_LOCAL | Int32(RTLD_NODELETE)),
        let entry = dlsym(library, STOWAGE_TIER_ENTRY_NAME),
        let tier = unsafeBitCast(entry, to: stowage_tier_entry_function.self)(HostTable.shared)
      else { throw TestFailure(dlerror().map { String(cString: $0) } ?? file) }
      tiers[name] = tier
      return tier
    }
  }

  init(
    _ name: String, _ options: [String: Value], epoch: UInt32 = 1, instance instanceName: String = "instance"
  ) throws {
    tier = try Self.descriptor(name).pointee
    self.epoch = epoch
    var texts: [UnsafeMutablePointer<CChar>] = []
    defer { for text in texts { free(text) } }
    let values = (0..<Int(tier.option_count)).map { index in
      let option = tier.options.unsafelyUnwrapped[index]
      return Self.value(option, options[String(cString: option.key)], &texts)
    }
    HostTable.clearError()
    let code = values.withUnsafeBufferPointer { values in
      instanceName.withCString { name in
        var arguments = stowage_open(
          struct_size: UInt32(MemoryLayout<stowage_open>.size), page_size: 4096, owner: 0, epoch: epoch,
          option_count: UInt32(values.count), options: values.baseAddress, instance_name: name)
        return tier.open(&arguments, &instance)
      }
    }
    try TierAnswer.check(code)
  }

  private static func value(
    _ option: stowage_option, _ given: Value?, _ texts: inout [UnsafeMutablePointer<CChar>]
  ) -> stowage_option_value {
    var value = stowage_option_value(
      text: option.text_default, text_length: option.text_default.map { UInt64(strlen($0)) } ?? 0,
      number: option.number_default, given: given == nil ? 0 : 1, reserved: 0)
    switch given {
    case nil: break
    case .number(let number): value.number = number
    case .borrowed(let bytes):
      value.text = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
      value.text_length = UInt64(bytes.count)
    case .text(let text):
      let copy: UnsafeMutablePointer<CChar> = strdup(text)
      texts.append(copy)
      value.text = UnsafePointer(copy)
      value.text_length = UInt64(text.utf8.count)
    }
    return value
  }

  deinit { close() }

  func close() {
    guard let instance else { return }
    for context in contexts { tier.thread_close?(instance, context) }
    tier.close(instance)
    self.instance = nil
  }

  private var open: OpaquePointer {
    get throws { if let instance { instance } else { throw TestFailure("it is closed") } }
  }

  // MARK: State

  /// The state, asked for with room 0 first as a host does.
  func saveState() throws -> [UInt8] {
    let instance = try open
    return try Self.state { self.tier.state_save.unsafelyUnwrapped(instance, $0, $1, $2) }
  }

  /// The state for instances that are opened like another one.
  func saveState(for other: OpenedTier) throws -> [UInt8] {
    guard let found = tier.get_extension?(STOWAGE_EXTENSION_REKEY) else { throw TestFailure("no rekey") }
    let rekey = found.assumingMemoryBound(to: stowage_rekey_extension.self).pointee.rekey
    let (from, to) = (try open, try other.open)
    return try Self.state { rekey(from, to, $0, $1, $2) }
  }

  private static func state(
    _ save: (UnsafeMutablePointer<UInt8>?, Int, UnsafeMutablePointer<Int>) -> Int32
  ) throws -> [UInt8] {
    HostTable.clearError()
    var length = 0
    let answer = save(nil, 0, &length)
    if answer != STOWAGE_TOO_BIG { try TierAnswer.check(answer) }
    var state = [UInt8](repeating: 0xA5, count: length)
    let room = length
    try TierAnswer.check(save(&state, room, &length))
    guard length == room else { throw TestFailure("\(length) bytes of state, not \(room)") }
    return state
  }

  func loadState(_ state: [UInt8]) throws {
    HostTable.clearError()
    // One byte more, so that there is an address when the state is empty.
    try TierAnswer.check(tier.state_load.unsafelyUnwrapped(try open, state + [0], state.count))
  }

  // MARK: Data

  /// A context for these uses, closed with the instance.
  func context(_ use: UInt32 = UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE)) throws -> OpaquePointer? {
    guard let threadOpen = tier.thread_open else { return nil }
    var context: OpaquePointer?
    HostTable.clearError()
    try TierAnswer.check(threadOpen(try open, use, &context))
    if let context { contexts.append(context) }
    return context
  }

  func encode(_ plain: [UInt8], id: UInt64, _ context: OpaquePointer?) throws -> SealedObject {
    var object = stowage_object(id: id, epoch: epoch, length: UInt32(plain.count), flags: 1, reserved: 0)
    var bytes = [UInt8](repeating: 0, count: plain.count + 1)
    var sidecar = [UInt8](repeating: 0, count: Int(STOWAGE_SIDECAR_BYTES_MAX))
    var length = 0
    HostTable.clearError()
    try TierAnswer.check(
      tier.transform.unsafelyUnwrapped.pointee.encode(
        try open, context, &object, plain + [0], &bytes, plain.count, &length, &sidecar))
    return SealedObject(object: object, plain: plain, bytes: Array(bytes.prefix(length)), sidecar: sidecar)
  }

  func decode(_ sealed: SealedObject, _ context: OpaquePointer?) throws -> [UInt8] {
    var object = sealed.object
    var plain = [UInt8](repeating: 0, count: Int(object.length) + 1)
    HostTable.clearError()
    try TierAnswer.check(
      tier.transform.unsafelyUnwrapped.pointee.decode(
        try open, context, &object, sealed.bytes + [0], sealed.bytes.count, &plain, sealed.sidecar))
    return Array(plain.dropLast())
  }
}
