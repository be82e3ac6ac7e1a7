// SPDX-License-Identifier: Apache-2.0

/// Memory of a check, without guards and with room to spare, freed with this object.
final class PlainRoom {
  let base: UnsafeMutableRawPointer
  let count: Int

  /// Zeroed, aligned as the host's buffers are.
  init(_ count: Int) {
    self.count = count
    base = .allocate(byteCount: count + TransformBench.slack, alignment: 4096)
    base.initializeMemory(as: UInt8.self, repeating: 0, count: count + TransformBench.slack)
  }

  deinit { base.deallocate() }

  /// Its start, with these contents there.
  func put(_ bytes: [UInt8]) -> UnsafeMutableRawPointer {
    precondition(bytes.count <= count)
    bytes.withUnsafeBytes { if $0.count > 0 { base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) } }
    return base
  }

  func bytes(_ count: Int) -> [UInt8] { Array(UnsafeRawBufferPointer(start: base, count: count)) }
}

extension OpenTier {
  /// The address for tiers with a sidecar, else nil, as the host does it.
  func sidecar(_ address: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? { sidecarLength > 0 ? address : nil }
}
