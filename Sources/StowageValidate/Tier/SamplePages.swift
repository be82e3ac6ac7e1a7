// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import StowageBasics

/// Pages of the kinds that a store meets.
struct SamplePages {
  enum Kind: String, CaseIterable { case zero, repeated, text, random, real, stripes }

  let pageSize: Int
  private let real: [UInt8]

  /// - Parameter run: its file of pages, which has been seen to hold one; without it, "real" pages are parts of this
  ///   program.
  init(_ run: CheckRun, pageSize: Int = 4096) {
    self.pageSize = pageSize
    let file = run.order.pages ?? "/proc/self/exe"
    let bytes = (try? FileHandle(forReadingFrom: URL(fileURLWithPath: file)).read(upToCount: 8 << 20)) ?? Data()
    // Where there is less than one large page, it is repeated; a program that cannot be read is no reason to test less.
    let least = bytes.isEmpty ? (0..<256).map { UInt8(truncatingIfNeeded: $0 &* 197) } : Array(bytes)
    real = least.count >= pageSize ? least : (0..<pageSize).map { least[$0 % least.count] }
  }

  /// `length` bytes of a kind.
  func bytes(_ kind: Kind, length: Int, _ random: inout SeededRandom) -> [UInt8] {
    switch kind {
    case .zero: return [UInt8](repeating: 0, count: length)
    case .repeated:
      let word = random.next()
      return (0..<length).map { UInt8(truncatingIfNeeded: word >> UInt64(($0 % 8) * 8)) }
    case .text: return text(length, &random)
    case .random: return (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    case .real:
      let start = random.below(max(1, real.count - length))
      return Array(real[start..<start + min(length, real.count - start)])
        + [UInt8](repeating: 7, count: max(0, length - real.count + start))
    case .stripes:
      var bytes = [UInt8](repeating: 0, count: length)
      var at = 0
      while at < length {
        let run = 1 + random.below(300)
        let value = UInt8(truncatingIfNeeded: random.next() & 3)
        for index in at..<min(length, at + run) { bytes[index] = value }
        at += run
      }
      return bytes
    }
  }

  private static let words = [
    "page", "tier", "store", "kernel", "the", "of", "and", "0x7f", "slot", "frame", "error:", "memory", "\n", "a", "in",
  ]

  private func text(_ length: Int, _ random: inout SeededRandom) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(length + 16)
    while bytes.count < length {
      bytes.append(contentsOf: Self.words[random.below(Self.words.count)].utf8)
      bytes.append(32)
    }
    return Array(bytes[..<length])
  }
}
