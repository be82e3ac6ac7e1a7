// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageBasics
internal import StowageEngine

extension OpenTier {
  /// The least that an instance must do: a page there and back, in a context of its own.
  /// - Parameters:
  ///   - when: begins the message of a failure: "after the other was closed".
  ///   - mayBeReadOnly: whether a backing may refuse to be written to.
  func work(_ when: String, mayBeReadOnly: Bool = false) throws {
    let context = try context()
    defer { end(context) }
    switch table.role {
    case .transform: try workAsTransform(context, when)
    case .backing: try workAsBacking(context, when, mayBeReadOnly)
    }
  }

  /// Bytes of a page that tell whose they are.
  func page(_ mark: UInt64) -> [UInt8] {
    (0..<pageSize).map { UInt8(truncatingIfNeeded: ($0 / 24) &* 7 &+ Int(truncatingIfNeeded: mark &* 37)) }
  }

  private func workAsTransform(_ context: OpaquePointer?, _ when: String) throws {
    let bench = TransformBench(self, context)
    // Never used twice, as each of these is followed by an observation.
    let id = UInt64(run.evidence + 1)
    let page = page(id)
    guard let encoding = try bench.encode(page, id: id) else {
      throw run.fail("\(when), encode of \(page.count) bytes says that a room of \(room(for: page.count)) is too small")
    }
    try bench.expectBack(encoding, "\(when), a page")
  }

  private func workAsBacking(_ context: OpaquePointer?, _ when: String, _ mayBeReadOnly: Bool) throws {
    let slots = try capacity()
    guard slots > 0 else { throw run.notRun("it has no slots") }
    let slot = run.random.below(slots)
    if mayBeReadOnly, try refusesToWrite(context, slot) { return }
    try writeSlot(context, slot, mark: UInt64(slot) + 3, when)
    try expectSlot(context, slot, mark: UInt64(slot) + 3, when)
  }

  private func refusesToWrite(_ context: OpaquePointer?, _ slot: Int) throws -> Bool {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    buffer.copyBytes(from: page(1))
    return write(context, slot: slot, count: 1, buffer.baseAddress!) == STOWAGE_UNSUPPORTED
  }

  func writeSlot(_ context: OpaquePointer?, _ slot: Int, mark: UInt64, _ when: String) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    buffer.copyBytes(from: page(mark))
    let code = write(context, slot: slot, count: 1, buffer.baseAddress!)
    try run.expect(code == STOWAGE_OK, "\(when), write of slot \(slot) answered \(Self.said(code))")
  }

  func expectSlot(_ context: OpaquePointer?, _ slot: Int, mark: UInt64, _ when: String) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 4096)
    defer { buffer.deallocate() }
    let code = read(context, slot: slot, count: 1, buffer.baseAddress!)
    try run.expect(code == STOWAGE_OK, "\(when), read of slot \(slot) answered \(Self.said(code))")
    try run.expect(
      buffer.elementsEqual(page(mark)), "\(when), slot \(slot) holds something else than was written to it")
  }
}
