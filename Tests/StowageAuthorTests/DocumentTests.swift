// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageTestSupport
import Testing

/// The shell blocks of the pages for authors and users are run as they stand. One page after the other, as they build things.
@Suite(.serialized) struct DocumentTests {
  /// A block between fences.
  private struct Block {
    var language: String
    var text: String
    var line: Int
    /// Why it is not run: from `<!-- not run: ... -->` on the line before.
    var excuse: String?
  }

  static let pages: [String] = {
    let folders = ["docs", "plugin-sdk/docs"]
    return folders.flatMap { folder in
      let files = try? FileManager.default.contentsOfDirectory(
        atPath: TierCompiler.checkout.appendingPathComponent(folder).path)
      return (files ?? []).filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }
    }.sorted() + ["plugin-sdk/README.md"]
  }()

  private func blocks(_ page: String) throws -> [Block] {
    let text = try String(contentsOf: TierCompiler.checkout.appendingPathComponent(page), encoding: .utf8)
    var (blocks, open, before) = ([Block](), false, Substring(""))
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if line.hasPrefix("```") {
        if !open {
          let excuse = before.wholeMatch(of: /<!-- not run: (.+) -->/).map { String($0.1) }
          blocks.append(Block(language: String(line.dropFirst(3)), text: "", line: index + 1, excuse: excuse))
        }
        open.toggle()
      } else if open {
        blocks[blocks.count - 1].text += line + "\n"
      }
      before = line
    }
    #expect(!open, "\(page): a block does not end")
    return blocks
  }

  @Test("every block says what it is in, and only shell needs an excuse", arguments: pages)
  func languages(_ page: String) throws {
    for block in try blocks(page) {
      #expect(["sh", "c", "swift", "rust", "toml", "text", "json"].contains(block.language), "\(page):\(block.line)")
      #expect(
        block.excuse == nil || (block.language == "sh" && (block.excuse?.count ?? 0) > 20), "\(page):\(block.line)")
    }
  }

  @Test("the shell blocks of a page run, one after the other", arguments: pages)
  func run(_ page: String) throws {
    let folder = try TemporaryFolder()
    let run = try blocks(page).filter { $0.language == "sh" && $0.excuse == nil }
    guard !run.isEmpty else { return }
    // One shell for the page, so that a block begins where the one before it ended.
    let script = run.map { "echo '== line \($0.line)'\n\($0.text)" }.joined()
    try folder.write("set -eu\n" + script, to: ".page.sh")
    if ["docs/commands.md", "docs/serve.md"].contains(page) { try installTiers(into: folder) }
    // A command that reads would wait for ever; what is installed goes into the folder.
    let outcome = try Workshop.run("exec sh .page.sh </dev/null", in: folder.url, seconds: 240, home: folder.path)
    #expect(outcome.status == 0, "\(page): \(outcome.output.suffix(1500)) \(outcome.errors.suffix(1500))")
  }

  /// The shipped tiers, where `stowage` looks for those of a user whose home is the folder.
  private func installTiers(into folder: TemporaryFolder) throws {
    let plugins = folder.file(".local/lib/stowage/plugins")
    try FileManager.default.createDirectory(at: plugins, withIntermediateDirectories: true)
    let built = URL(fileURLWithPath: StowageTestSupport.Command.stowage).deletingLastPathComponent()
    for tier in ["lz4", "zstd", "brotli", "aes-gcm", "swapfile"] {
      let target = plugins.appendingPathComponent("\(tier).tier.so")
      try FileManager.default.copyItem(at: built.appendingPathComponent("lib\(tier)-tier.so"), to: target)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: target.path)
    }
  }

  @Test("links between the pages lead somewhere", arguments: pages)
  func links(_ page: String) throws {
    let file = TierCompiler.checkout.appendingPathComponent(page)
    let text = try String(contentsOf: file, encoding: .utf8)
    for link in text.matches(of: /\]\(([^)#]+)[^)]*\)/) where !link.1.hasPrefix("http") {
      let target = file.deletingLastPathComponent().appendingPathComponent(String(link.1)).standardized
      #expect(FileManager.default.fileExists(atPath: target.path), "\(page): \(link.1)")
    }
  }
}
