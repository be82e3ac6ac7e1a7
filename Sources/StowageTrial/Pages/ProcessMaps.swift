// SPDX-License-Identifier: Apache-2.0
import Glibc

/// One mapping of an address space, as `/proc/N/smaps` tells of it.
struct MemoryMapping: Equatable {
  var addresses: Range<UInt64>
  var isReadable: Bool
  var isPrivate: Bool
  /// Resident anonymous memory in it, in bytes.
  var anonymousBytes: UInt64 = 0

  /// Reads the first line of a mapping; nil when it is not of the form that proc(5) describes.
  init?(line: Substring) {
    let fields = line.split(separator: " ", maxSplits: 2)
    guard fields.count >= 2, fields[1].utf8.count == 4 else { return nil }
    let bounds = fields[0].split(separator: "-")
    guard bounds.count == 2, let start = UInt64(bounds[0], radix: 16),
      let end = UInt64(bounds[1], radix: 16), start < end
    else { return nil }
    addresses = start..<end
    isReadable = fields[1].hasPrefix("r")
    isPrivate = fields[1].hasSuffix("p")
  }

  /// All mappings of the text of an smaps file.
  static func all(in smaps: String) -> [MemoryMapping] {
    var mappings: [MemoryMapping] = []
    for line in smaps.split(separator: "\n") {
      if line.hasPrefix("Anonymous:") {
        guard !mappings.isEmpty, let kilobytes = line.split(separator: " ").dropFirst().first,
          let count = UInt64(kilobytes)
        else { continue }
        mappings[mappings.count - 1].anonymousBytes = count * 1024
      } else if let mapping = MemoryMapping(line: line) {
        mappings.append(mapping)
      }
    }
    return mappings
  }
}

/// Finds a process's resident anonymous memory in `/proc/N/pagemap`.
struct PagemapScan {
  /// The bits of a pagemap entry that matter here, see the kernel's admin-guide/mm/pagemap.rst.
  private static let isPresent: UInt64 = 1 << 63
  private static let isFileOrShared: UInt64 = 1 << 61
  private static let entriesAtOnce = 8192

  private let pagemap: OpenFile
  private let pageSize: UInt64
  private let kernelPageSize = UInt64(sysconf(Int32(_SC_PAGESIZE)))
  private var entries = [UInt64](repeating: 0, count: entriesAtOnce)
  private(set) var pages = PageRuns()

  init(pagemap: OpenFile, pageSize: Int) {
    self.pagemap = pagemap
    self.pageSize = UInt64(pageSize)
  }

  /// Adds the pages of a mapping, aligned to the page size, all of whose memory is resident and
  /// anonymous. Mappings must come in rising order.
  ///
  /// It stops where all that the kernel counted was found: a mapping may be terabytes of nothing.
  mutating func scan(_ mapping: MemoryMapping) {
    // Nothing above is user space: the kernel lists its own vsyscall page there.
    let limit = UInt64(1) << 56
    let range = mapping.addresses
    guard mapping.isReadable, mapping.isPrivate, range.upperBound < limit else { return }
    let end = range.upperBound / pageSize
    var page = (range.lowerBound + pageSize - 1) / pageSize
    let perRead = UInt64(Self.entriesAtOnce) / max(1, pageSize / kernelPageSize)
    var missing = Int(mapping.anonymousBytes / kernelPageSize)
    while page < end, missing > 0 {
      let next = min(page + perRead, end)
      missing -= scan(page..<next)
      page = next
    }
  }

  /// Scans as many pages as one read tells of; returns how many kernel pages were wanted ones.
  private mutating func scan(_ range: Range<UInt64>) -> Int {
    let first = range.lowerBound * pageSize / kernelPageSize
    let end = (range.upperBound * pageSize + kernelPageSize - 1) / kernelPageSize
    let bytes = Int(end - first) * MemoryLayout<UInt64>.size
    let known = entries.withUnsafeMutableBytes {
      pagemap.read(into: .init(rebasing: $0[..<bytes]), at: Int(first) * 8) / 8
    }
    for page in range where isWanted(page, first, known) { pages.append(page..<page + 1) }
    return entries[..<known].count(where: Self.isResidentAnonymous)
  }

  private static func isResidentAnonymous(_ entry: UInt64) -> Bool {
    entry & isPresent != 0 && entry & isFileOrShared == 0
  }

  /// Whether every kernel page under this page is resident and anonymous.
  private func isWanted(_ page: UInt64, _ firstEntry: UInt64, _ known: Int) -> Bool {
    let first = Int(page * pageSize / kernelPageSize - firstEntry)
    let last = Int(((page + 1) * pageSize - 1) / kernelPageSize - firstEntry)
    return last < known && entries[first...last].allSatisfy(Self.isResidentAnonymous)
  }
}
