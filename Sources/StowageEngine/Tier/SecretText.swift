// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import CStowageTier

/// A text that must not be left behind, such as a passphrase: in memory that core dumps leave out and that is locked
/// where the system lets us, wiped with its last owner. Never shown.
public final class SecretText: Sendable, Hashable, CustomStringConvertible {
  /// Bytes of the text.
  public let count: Int
  private let capacity: Int
  /// Constant once it is made; a zero byte follows the text.
  nonisolated(unsafe) private let memory: UnsafeMutableRawPointer

  /// - Parameters:
  ///   - capacity: as many bytes as it can have.
  ///   - fill: writes the text, and says how many bytes it has. It is wiped if this throws.
  /// - Throws: what `fill` throws.
  public init(capacity: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Int) throws {
    let size = max(0, capacity) + 1
    guard
      let memory = TierMemory.allocate(owner: 0, size: size, alignment: 16, kind: UInt32(STOWAGE_MEMORY_SECRET))
    else { fatalError("no memory for a secret of \(size) bytes") }
    do {
      count = min(max(0, try fill(UnsafeMutableRawBufferPointer(start: memory, count: size - 1))), size - 1)
    } catch {
      TierMemory.free(owner: 0, memory: memory, size: size, kind: UInt32(STOWAGE_MEMORY_SECRET))
      throw error
    }
    stowage_wipe(memory + count, size - count)
    self.memory = memory
    self.capacity = size
  }

  deinit { TierMemory.free(owner: 0, memory: memory, size: capacity, kind: UInt32(STOWAGE_MEMORY_SECRET)) }

  /// The bytes, for the time of the call.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try body(UnsafeRawBufferPointer(start: memory, count: count))
  }

  /// The text with a zero byte behind it; valid as long as this object.
  var pointer: UnsafePointer<CChar> { UnsafePointer(memory.assumingMemoryBound(to: CChar.self)) }

  public static func == (left: SecretText, right: SecretText) -> Bool {
    left.withBytes { a in right.withBytes { b in a.elementsEqual(b) } }
  }

  /// Tells nothing but the length.
  public func hash(into hasher: inout Hasher) { hasher.combine(count) }

  /// Not the text.
  public var description: String { "(secret)" }
}
