// SPDX-License-Identifier: Apache-2.0

/// Room for one page, freed with its last reference. For one thread at a time.
public final class PageBuffer: @unchecked Sendable {
  public let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
  public var read: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }

  public init() {}

  deinit { bytes.deallocate() }
}
