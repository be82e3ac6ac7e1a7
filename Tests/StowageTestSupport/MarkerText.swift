// SPDX-License-Identifier: Apache-2.0

/// Text that is looked for where it must not be. It follows from a seed and is never in memory but where it is put:
/// word after word, so that not even a register holds it whole.
public struct MarkerText: Sendable {
  public static let length = 32
  private let seed: UInt64

  public init(seed: UInt64) { self.seed = seed }

  /// Eight letters of it.
  @inline(never) private func word(_ index: Int) -> UInt64 {
    var state = (seed &+ UInt64(index)) &* 0x9E37_79B9_7F4A_7C15
    state = (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9
    state ^= state >> 32
    // Letters and digits of 6 bits each, from "0" on.
    return (state & 0x3F3F_3F3F_3F3F_3F3F) &+ 0x3030_3030_3030_3030
  }

  /// For whoever searches in another process.
  public var bytes: [UInt8] {
    (0..<4).flatMap { part in withUnsafeBytes(of: word(part)) { Array($0) } }
  }

  /// Writes it to memory.
  public func put(to address: UnsafeMutableRawPointer) {
    for part in 0..<4 { (address + part * 8).storeBytes(of: word(part), as: UInt64.self) }
  }

  /// Fills a page with text that compresses by about a half, the marker in it eight times.
  public func fill(_ page: UnsafeMutableRawBufferPointer, number: UInt64) {
    var state = number
    for index in 0..<page.count {
      if index % 3 == 0 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
      page[index] = UInt8(97 + (state >> 40) % 11)
    }
    guard let base = page.baseAddress else { return }
    for at in stride(from: 0, to: page.count, by: page.count / 8) { put(to: base + at + Int(number % 200)) }
  }
}
