// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageTrial

@Suite struct FilePagesTests {
  @Test func theLastPageIsPadded() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let file = try FilePages(path: try folder.pages(2, extra: 10), pageSize: 4096)
    #expect(file.pageCount == 3)
    var bytes = [UInt8](repeating: 0xAA, count: 3 * 4096)
    var present = [false, false, false]
    let positions: [UInt64] = [1, 2, 9]
    positions.withUnsafeBufferPointer { positions in
      bytes.withUnsafeMutableBytes { bytes in
        present.withUnsafeMutableBufferPointer { file.read(positions, into: bytes, present: $0) }
      }
    }
    #expect(present == [true, true, false])
    let data = try Data(contentsOf: URL(fileURLWithPath: file.name))
    #expect(Array(bytes[..<4096]) == Array(data[4096..<8192]))
    #expect(Array(bytes[4096..<8192]) == [UInt8](repeating: 0xEE, count: 10) + [UInt8](repeating: 0, count: 4086))
  }

  @Test func noticesThatAFileChanged() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let path = try folder.pages(1)
    let file = try FilePages(path: path, pageSize: 4096)
    #expect(file.isUnchanged)
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data([1]))
    try handle.close()
    #expect(!file.isUnchanged)
  }

  @Test func saysWhatIsWrongWithAFile() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let missing = folder.path + "/missing"
    #expect(throws: TrialError.input("\(missing) cannot be read: No such file or directory")) {
      try FilePages(path: missing, pageSize: 4096)
    }
    #expect(throws: TrialError.self) { try FilePages(path: folder.path, pageSize: 4096) }
    let empty = folder.path + "/empty"
    try Data().write(to: URL(fileURLWithPath: empty))
    #expect(throws: TrialError.self) { try FilePages(path: empty, pageSize: 4096) }
  }

  @Test func aPlanTakesEvenlyAndReadsBack() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    var input = TrialInput()
    input.files = [try folder.pages(300, named: "a"), try folder.pages(100, named: "b")]
    input.pages = 200
    input.cachePages = 0
    let plan = try TrialPlan(input)
    #expect(plan.persistentTarget == 200)
    #expect(plan.discardableCount == 0)
    let sources = (0..<plan.table.count).map { plan.table.reference($0).source }
    #expect(abs(sources.count { $0 == 0 } - 3 * sources.count { $0 == 1 }) <= 3)

    let reader = PageReader(sources: plan.sources, table: plan.table, pageSize: 4096, bytes: 16 * 4096)
    // Pages of both files in one batch, not in order.
    let batch: [UInt32] = [199, 0, 1, 2, 198, 197, 3]
    batch.withUnsafeBufferPointer(reader.read)
    for (i, page) in batch.enumerated() {
      let bytes = try #require(reader.page(i))
      let position = plan.table.reference(Int(page)).position
      #expect(bytes.loadUnaligned(fromByteOffset: 4088, as: UInt64.self) == position)
      plan.table.noteContents(bytes, of: Int(page))
      #expect(plan.table.isSame(bytes, as: Int(page)))
    }
    let other = try #require(reader.read(one: 7))
    #expect(!plan.table.isSame(other, as: 3))
  }

  @Test func cachePagesComeFromSystemFiles() throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    var input = TrialInput()
    input.files = [try folder.pages(10)]
    input.cachePages = 500
    input.seed = 7
    let plan = try TrialPlan(input)
    #expect(plan.persistentTarget == 10)
    #expect(plan.discardableCount == 500)
    #expect(plan.describe(10).hasPrefix("discardable page 10 (/usr/"))
    #expect(plan.describe(0) == "persistent page 0 (\(input.files[0]), page 0)")
  }
}
