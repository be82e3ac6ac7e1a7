// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// The pages of a bench: of a file, or of the programs that this process has mapped. Pages of one repeated word are left
/// out, as a store encodes none of them.
final class BenchPages: @unchecked Sendable {
  let pageSize: Int
  let bytes: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  /// - Throws: when there is not one page.
  init(_ order: BenchOrder, pageSize: Int) throws {
    self.pageSize = pageSize
    bytes = .allocate(byteCount: order.pageCount * pageSize, alignment: 4096)
    let files = order.pages.map { [$0] } ?? Self.mappedFiles()
    for file in files where count < order.pageCount {
      try add(file, most: order.pageCount, isNamed: order.pages != nil)
    }
    guard count > 0 else { throw CheckEnd.notRun("no page was found in \(files.joined(separator: ", "))") }
  }

  deinit { bytes.deallocate() }

  subscript(_ index: Int) -> UnsafeRawPointer { UnsafeRawPointer(bytes.baseAddress! + index * pageSize) }

  private func add(_ file: String, most: Int, isNamed: Bool) throws {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: file), options: .mappedIfSafe)
    } catch {
      guard isNamed else { return }
      throw CheckEnd.notRun("\(file) cannot be read: \(error.localizedDescription)")
    }
    data.withUnsafeBytes { data in
      var at = 0
      while at + pageSize <= data.count, count < most {
        let page = bytes.baseAddress! + count * pageSize
        page.copyMemory(from: data.baseAddress! + at, byteCount: pageSize)
        if memcmp(page, page + 8, pageSize - 8) != 0 { count += 1 }
        at += pageSize
      }
    }
  }

  private static func mappedFiles() -> [String] {
    let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
    var files: [String] = []
    for line in maps.split(separator: "\n") {
      guard let slash = line.firstIndex(of: "/") else { continue }
      let file = String(line[slash...])
      if !files.contains(file) { files.append(file) }
    }
    return files
  }
}
