// SPDX-License-Identifier: Apache-2.0

/// A guarded buffer that is used again and again for lengths up to its capacity, always right beside the guard.
final class GuardedRoom {
  private let buffer: GuardedBuffer
  private let place: GuardedBuffer.Place

  init(_ run: CheckRun, capacity: Int, at place: GuardedBuffer.Place) throws {
    guard let buffer = GuardedBuffer(size: capacity, at: place) else {
      throw run.notRun("there is no memory for \(capacity) bytes between guards")
    }
    self.buffer = buffer
    self.place = place
  }

  /// `size` bytes, the last or the first of them beside the guard.
  func bytes(_ size: Int) -> UnsafeMutableRawPointer {
    precondition(size <= buffer.count)
    return place == .end ? buffer.base + (buffer.count - size) : buffer.base
  }

  /// The same, with these contents.
  func put(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
    let memory = self.bytes(bytes.count)
    bytes.withUnsafeBytes { if $0.count > 0 { memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
    return memory
  }

  /// The same, and the tier may not write to them: `body` gets the address.
  func withReadOnly<Result>(_ bytes: [UInt8], _ body: (UnsafeMutableRawPointer) throws -> Result) rethrows -> Result {
    let memory = put(bytes)
    buffer.makeReadOnly()
    defer { buffer.makeWritable() }
    return try body(memory)
  }
}

extension GuardedBuffer.Place {
  static let both: [GuardedBuffer.Place] = [.end, .start]

  /// For messages.
  var words: String { self == .end ? "past its end" : "before its start" }
}
