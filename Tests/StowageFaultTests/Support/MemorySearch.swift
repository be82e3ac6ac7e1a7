// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageTestSupport

/// Looks for bytes in all memory of this process that can be written to.
///
/// What is looked for is never in memory itself: it is kept exclusive-or'ed with a mask.
struct MemorySearch {
  /// Where something was found.
  struct Places: Equatable {
    /// In mappings that a core dump leaves out.
    var hidden = 0
    /// In others.
    var dumped = 0
    static let nowhere = Places()
  }

  private struct Mapping {
    var range: Range<Int>
    var isHidden = false
  }

  private static let mask: UInt8 = 0xA7
  private static let wordMask: UInt64 = 0xA7A7_A7A7_A7A7_A7A7

  private let needles: [[UInt8]]

  /// - Parameter hex: what to look for, at least 8 bytes each, in hexadecimal.
  init(hex: [String]) {
    needles = hex.map { text in
      let digits = Array(text.utf8).map { $0 < 58 ? $0 - 48 : $0 - 87 }
      return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] << 4 | digits[$0 + 1]) ^ Self.mask }
    }
  }

  /// Places of each.
  func run() throws -> [Places] {
    var found = [Places](repeating: Places(), count: needles.count)
    let memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)
    guard memory >= 0 else { throw TestFailure("/proc/self/mem cannot be read") }
    defer { close(memory) }
    let size = 1 << 20
    guard let buffer = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), buffer != MAP_FAILED
    else { throw TestFailure("no memory") }
    defer { munmap(buffer, size) }
    let own = Int(bitPattern: buffer)..<Int(bitPattern: buffer) + size
    for mapping in try Self.mappings() where !mapping.range.overlaps(own) {
      for run in try Self.pages(in: mapping.range) {
        var start = run.lowerBound
        while start < run.upperBound {
          // Chunks overlap, so that nothing between two of them is missed.
          let count = pread(memory, buffer, min(size, run.upperBound - start), start)
          guard count > 0 else { break }
          look(UnsafeRawBufferPointer(start: buffer, count: count), mapping.isHidden, &found)
          start += count == size ? size - 256 : count
        }
      }
      // What was read is not left behind.
      explicit_bzero(buffer, size)
    }
    return found
  }

  private func look(_ bytes: UnsafeRawBufferPointer, _ isHidden: Bool, _ found: inout [Places]) {
    for (index, needle) in needles.enumerated() where bytes.count >= needle.count {
      let first = needle.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
      for place in 0...(bytes.count - needle.count) {
        guard bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) ^ Self.wordMask == first else { continue }
        let isHere = needle.indices.allSatisfy { bytes[place + $0] ^ Self.mask == needle[$0] }
        guard isHere else { continue }
        if isHidden { found[index].hidden += 1 } else { found[index].dumped += 1 }
      }
    }
  }

  /// The runs of pages that are there, in RAM or swapped out: stores reserve far more than they use.
  private static func pages(in range: Range<Int>) throws -> [Range<Int>] {
    let map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
    guard map >= 0 else { throw TestFailure("/proc/self/pagemap cannot be read") }
    defer { close(map) }
    var runs: [Range<Int>] = []
    var entries = [UInt64](repeating: 0, count: 1 << 13)
    var page = range.lowerBound / 4096
    while page < range.upperBound / 4096 {
      let wanted = min(entries.count, range.upperBound / 4096 - page)
      let count = pread(map, &entries, wanted * 8, page * 8) / 8
      guard count > 0 else { throw TestFailure("/proc/self/pagemap ends early") }
      for (index, entry) in entries[..<count].enumerated() where entry >> 62 != 0 {
        let start = (page + index) * 4096
        if let last = runs.last, last.upperBound == start {
          runs[runs.count - 1] = last.lowerBound..<start + 4096
        } else {
          runs.append(start..<start + 4096)
        }
      }
      page += count
    }
    return runs
  }

  /// By plain calls: it is given out in pieces, and says that it is empty.
  private static func smaps() throws -> String {
    let file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw TestFailure("/proc/self/smaps cannot be read") }
    defer { close(file) }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(file, &piece, piece.count)
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += piece[..<count]
    }
  }

  private static func mappings() throws -> [Mapping] {
    var mappings: [Mapping] = []
    var isWritable = false
    for line in try smaps().split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("VmFlags:") {
        if isWritable, words.contains("dd"), !mappings.isEmpty { mappings[mappings.count - 1].isHidden = true }
      } else if words.count >= 5, words[1].count == 4 {
        let ends = words[0].split(separator: "-").compactMap { Int($0, radix: 16) }
        isWritable = words[1].hasPrefix("rw") && ends.count == 2
        if isWritable { mappings.append(Mapping(range: ends[0]..<ends[1])) }
      }
    }
    return mappings
  }
}
