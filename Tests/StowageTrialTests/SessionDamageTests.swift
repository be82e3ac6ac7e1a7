// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

@testable import StowageTrial

/// What the commands say of sessions that are not whole, and of processes that are stopped.
@Suite(.serialized) struct SessionDamageTests {
  private static let firstSlot = 65_536

  /// A session whose pages stand in the file as they are.
  private func plainSession(_ shop: SessionWorkshop) throws {
    let suspended = try shop.suspend("s", ["--config", try shop.chain("swapfile"), "--memory", "8M"])
    #expect(suspended.status == 0, "\(suspended.errors)")
  }

  /// Where slots with such contents begin.
  private func places(_ shop: SessionWorkshop, where isWanted: (Data) -> Bool) throws -> [Int] {
    let file = try Data(contentsOf: shop.folder.file("s"))
    return stride(from: Self.firstSlot, to: file.count - 4095, by: 4096).filter { isWanted(file[$0..<$0 + 4096]) }
  }

  @Test("a flipped bit in a data slot: verify and resume name exactly the pages hit", .timeLimit(.minutes(2)))
  func flippedPages() throws {
    let shop = try SessionWorkshop(pages: 600)
    try plainSession(shop)
    let hit = [3, 77, 599]
    let contents = try hit.map { try shop.page($0) }
    let slots = try contents.map { page in try places(shop) { $0.elementsEqual(page) } }
    #expect(slots.map(\.count) == [1, 1, 1])
    try shop.flip("s", at: slots.map { $0[0] + 1234 })

    let verified = try shop.session("verify", "s", ["--json"])
    #expect(verified.status == 1, "\(verified.errors)")
    let report = try parsedJSON(verified.output)
    let findings = try #require(report["findings"] as? [[String: Any]])
    #expect(Set(findings.compactMap { $0["tag"] as? String }) == Set(hit.map { "0x" + String($0, radix: 16) }))
    #expect(findings.allSatisfy { $0["is_damaged"] as? Bool == true && $0["tier"] as? String == "swapfile" })
    let text = try shop.session("verify", "s")
    #expect(text.status == 1 && text.output.contains("(tag 0x4d) in tier 'swapfile' is DAMAGED"), "\(text.output)")
    #expect(text.output.contains("3 of "))

    let resumed = try shop.resume("s")
    #expect(resumed.status == 1)
    for page in hit { #expect(resumed.output.contains("page \(page): "), "\(resumed.output)") }
    #expect(resumed.output.contains("3 were lost") && resumed.output.contains("597 of 600"), "\(resumed.output)")
  }

  @Test("flipped bits in the index are damage, not a wrong key", .timeLimit(.minutes(2)))
  func flippedIndex() throws {
    let shop = try SessionWorkshop(pages: 200)
    try plainSession(shop)
    let pages = Set(try (0..<200).map { try shop.page($0) })
    let index = try places(shop) { slot in !pages.contains(Data(slot)) && slot.contains { $0 != 0 } }
    #expect(!index.isEmpty)
    try shop.flip("s", at: index.map { $0 + 40 })
    for verb in ["info", "verify"] {
      let outcome = try shop.session(verb, "s")
      #expect(outcome.status == 1, "\(verb): \(outcome.output) \(outcome.errors)")
      #expect(outcome.errors.contains("damaged"), "\(verb): \(outcome.errors)")
    }
    let resumed = try shop.resume("s")
    #expect(resumed.status == 1 && resumed.errors.contains("damaged"), "\(resumed.errors)")
  }

  @Test("a file that is cut short", .timeLimit(.minutes(2)), arguments: [100, 20_000, 65_536, 65_536 + 50 * 4096])
  func cutShort(_ length: Int) throws {
    let shop = try SessionWorkshop(pages: 200)
    try plainSession(shop)
    #expect(truncate(shop.path("s"), length) == 0)
    for outcome in [try shop.session("verify", "s"), try shop.resume("s")] {
      #expect(outcome.status == 1 || outcome.status == 3, "\(outcome.output) \(outcome.errors)")
      #expect(!(outcome.errors + outcome.output).contains("good"))
    }
    let erased = try shop.session("erase", "s", ["--force"])
    #expect(erased.status == 0, "\(erased.errors)")
  }

  @Test("a check of pages can fail: altered, of another trial, under another tag")
  func listFails() throws {
    let list = PageList(pageSize: 4096, run: 7)
    let table = PageTable(persistent: [0, 0], discardable: [])
    let bytes = [UInt8](repeating: 3, count: 4096)
    bytes.withUnsafeBytes { table.noteContents($0, of: 1) }
    table.noteStored(1, handle: 99)
    let kept = KeptPages()
    list.write(table) { page, tag in kept.add(Data(page), tag: tag) }
    #expect(kept.pages.count == 1)
    func read(_ list: PageList, _ data: Data, tag: UInt64 = PageList.tagBit) throws -> [PageList.Entry] {
      var data = data
      return try data.withUnsafeMutableBytes { try list.read($0, tag: tag).entries }
    }
    let entries = try read(list, kept.pages[0])
    #expect(entries == [.init(page: 1, handle: 99, hash: table.hash(1))])
    #expect(throws: ListFault.self) { try read(PageList(pageSize: 4096, run: 8), kept.pages[0]) }
    #expect(throws: ListFault.self) { try read(list, kept.pages[0], tag: PageList.tagBit | 1) }
    var altered = kept.pages[0]
    altered[4000] ^= 1
    #expect(throws: ListFault.self) { try read(list, altered) }
  }

  private final class KeptPages {
    var pages: [Data] = []
    func add(_ page: Data, tag: UInt64) { pages.append(page) }
  }

  @Test("Ctrl-C while pages are put leaves nothing, while suspending that or a whole session", .timeLimit(.minutes(3)))
  func interrupted() throws {
    let shop = try SessionWorkshop(pages: 3_000)
    let chain = try shop.chain("lz4", "swapfile")
    for text in ["paced", "suspend:"] {
      let arguments = ["trial", "--suspend-to", "s", "--file", "pages", "--cache-pages", "0", "--config", chain]
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Command.stowage)
      process.arguments = arguments + SessionWorkshop.search
      process.currentDirectoryURL = shop.folder.url
      let pipe = Pipe()
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      var (said, isTold) = ("", false)
      while true {
        let data = pipe.fileHandleForReading.availableData
        if data.isEmpty { break }
        said += String(decoding: data, as: UTF8.self)
        // A second signal would end it at once.
        if !isTold, said.contains(text) {
          process.interrupt()
          isTold = true
        }
      }
      process.waitUntilExit()
      let isThere = FileManager.default.fileExists(atPath: shop.path("s"))
      #expect(process.terminationReason == .exit)
      if process.terminationStatus == 0 || said.contains("can be resumed") {
        #expect(isThere)
        let resumed = try shop.resume("s")
        #expect(resumed.status == 0, "\(said) \(resumed.output) \(resumed.errors)")
      } else {
        #expect(process.terminationStatus == 130, "\(said)")
        #expect(said.contains("nothing is left behind") && !isThere, "\(said)")
      }
      if isThere { try FileManager.default.removeItem(atPath: shop.path("s")) }
    }
  }

  @Test("a line of progress: share, rate and time left")
  func workLine() {
    var line = WorkLine(label: "verify")
    #expect(line.due(WorkSample(done: 0, total: 100 << 20), seconds: 0) == "  0 %  verify: 0 B of 100.0 MiB")
    #expect(line.due(WorkSample(done: 5 << 20, total: 100 << 20), seconds: 1) == nil)
    let half = line.due(WorkSample(done: 50 << 20, total: 100 << 20), seconds: 2)
    #expect(half == " 50 %  verify: 50.0 MiB of 100.0 MiB  25.0 MiB/s  2.0 s left")
    #expect(line.due(WorkSample(done: 0, total: 0), seconds: 3) == "100 %  verify: 0 B of 0 B")
    for width in [1, 20, 60, 80, 200] {
      let bar = line.bar(WorkSample(done: 1 << 30, total: 3 << 30), seconds: 9, width: width, isUnicode: false)
      #expect(bar.count <= max(1, width - 1))
      #expect(bar.contains("[") == (width >= 80))
    }
  }
}
