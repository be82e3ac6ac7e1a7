// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// Calls that a host makes rarely, or never.
extension OpenTier {
  /// Any slots at all, and no objects.
  func readRaw(_ context: OpaquePointer?, slot: UInt64, count: UInt32, _ buffer: UnsafeMutableRawPointer) -> Int32 {
    run.notes.note(.read, slot, UInt64(count))
    HostTable.clearError()
    return backing.pointee.read(instance, context, slot, count, buffer.assumingMemoryBound(to: UInt8.self), nil)
  }

  func writeRaw(_ context: OpaquePointer?, slot: UInt64, count: UInt32, _ buffer: UnsafeRawPointer) -> Int32 {
    run.notes.note(.write, slot, UInt64(count))
    HostTable.clearError()
    return backing.pointee.write(instance, context, slot, count, buffer.assumingMemoryBound(to: UInt8.self), nil)
  }

  func trimRaw(_ context: OpaquePointer?, slot: UInt64, count: UInt32) {
    guard let trim = backing.pointee.trim else { return }
    run.notes.note(.trim, slot, UInt64(count))
    HostTable.clearError()
    _ = trim(instance, context, slot, count)
  }

  // MARK: The root

  /// The root, as the tier gives it with room enough. A failure ends the check.
  func root() throws -> [UInt8] {
    let memory = PlainRoom(Int(STOWAGE_ROOT_BYTES_MAX))
    let (code, length) = readRoot(memory.base, room: memory.count)
    guard code == STOWAGE_OK else { throw run.fail("root_read answered \(Self.said(code))") }
    guard length <= memory.count else { throw run.fail("root_read says that the root has \(length) bytes") }
    return memory.bytes(length)
  }

  func readRoot(_ memory: UnsafeMutableRawPointer, room: Int) -> (code: Int32, length: Int) {
    var length = Int.max
    run.notes.note(.rootRead, UInt64(room))
    HostTable.clearError()
    let code = backing.pointee.root_read!(instance, memory.assumingMemoryBound(to: UInt8.self), room, &length)
    return (code, length)
  }

  func swapRoot(_ expected: [UInt8], _ new: [UInt8]) -> Int32 {
    run.notes.note(.rootSwap, UInt64(new.count))
    HostTable.clearError()
    return (expected + [0]).withUnsafeBufferPointer { old in
      (new + [0]).withUnsafeBufferPointer { new in
        backing.pointee.root_swap!(
          instance, expected.isEmpty ? nil : old.baseAddress, expected.count, new.baseAddress!, new.count - 1)
      }
    }
  }

  // MARK: Health

  /// Expects an answer that makes sense of a tier that has `health`.
  func expectHealth() throws {
    guard let ask = raw.health else { throw run.notApplicable("the tier does not tell how it fares") }
    let size = MemoryLayout<stowage_health>.size
    for known in [size, 8] {
      let memory = PlainRoom(size)
      _ = memory.put([UInt8](repeating: 0xA5, count: size))
      let health = memory.base.assumingMemoryBound(to: stowage_health.self)
      health.pointee.struct_size = UInt32(known)
      run.notes.note(.health)
      HostTable.clearError()
      let code = ask(instance, health)
      try run.expect(code == STOWAGE_OK, "health answered \(Self.said(code))")
      try run.expect(
        (1...3).contains(health.pointee.state), "health says state \(health.pointee.state), expected 1 to 3")
      let rest = memory.bytes(size)[8...]
      guard known == size else {
        try run.expect(rest.allSatisfy { $0 == 0xA5 }, "health wrote past a struct_size of \(known)")
        continue
      }
      guard let end = rest.firstIndex(of: 0) else { throw run.fail("the message of health does not end in a NUL") }
      let text = String(validating: rest[..<end], as: UTF8.self)
      try run.expect(
        text?.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 } == true,
        "the message of health is not plain UTF-8")
      try run.expect(
        health.pointee.state != STOWAGE_HEALTH_GOOD || text == "",
        "health is good, and its message is not empty: \(text ?? "")")
    }
  }
}
