// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageBasics
internal import StowageControl
internal import StowageEngine
internal import StowagePlugins
internal import StowageTrial

struct SessionVerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Read the index and every page of a session, and change nothing.",
    discussion: """
      Every page is read, deciphered, unpacked and checked against its checksums; each one that cannot be read is \
      named. The chain is the one that the session names.

      Ends with 0 if all is well, with 1 if something is damaged, and with 3 if it cannot be told: the key is missing \
      or wrong, a plug-in is missing, the file is in use.
      """)

  @Argument(help: ArgumentHelp("The file that the session is in.", valueName: "file")) var file: String
  @Flag(help: "Write JSON; progress goes to the standard error, if that is a terminal.") var json = false
  @OptionGroup(title: "Keys") var keys: KeyOptions
  @OptionGroup(title: "Chain") var chain: SessionChainOptions

  /// How it ends when nothing can be said.
  private static let unknown: Int32 = 3

  func run() throws {
    Interruption.install()
    let status: Int32
    do {
      status = try verify()
    } catch TrialError.interrupted(let signal) {
      Terminal.complain("stopped by signal \(signal): not every page was read; the session is as it was")
      throw ExitCode(128 + signal)
    } catch {
      guard !(error is ValidationError) else { throw error }
      status = refuse(error)
    }
    if status != 0 { throw ExitCode(status) }
  }

  private func verify() throws -> Int32 {
    var opening = try SessionOpening(file, for: .readOnly, chain)
    let key = try keys.read(isNew: false)
    try key?.apply(to: &opening.resolved.chain)
    opening.resolved.configuration.session = opening.session(.inspect)
    let target = json ? Terminal.errors : Terminal.output
    let shown = ShownWork(.fit(for: target, isPlainWanted: !json), to: target)
    defer { shown.stop() }
    let check = PageCheck(configuration: opening.resolved.configuration, chain: opening.resolved.chain)
    let result: PageCheck.Result
    do {
      result = try check.run { shown.start("verify", $0) }
    } catch let error as StoreError {
      throw SessionOpening.explained(error, key: key, opening.resolved.chain)
    }
    shown.stop()
    if json { print(Self.json(result, opening).rendered()) } else { show(result) }
    if result.findings.contains(where: \.isDamaged) { return 1 }
    return result.findings.isEmpty ? 0 : Self.unknown
  }

  /// Damage that leaves nothing to be read counts as damage, everything else as not known.
  private func refuse(_ error: any Error) -> Int32 {
    var isDamage = false
    if case StoreError.session(.damaged, _) = error { isDamage = true }
    let reason = DisplayText.plain("\(error)")
    if json {
      print(
        JSONValue.object([
          "file": .text(FilePaths.absolute(file)), "is_good": .flag(false),
          "fault": .text(isDamage ? "damaged" : "unknown"),
          "reason": .text(reason),
        ]).rendered())
    }
    Terminal.complain(isDamage ? "DAMAGED: \(reason)" : reason)
    return isDamage ? 1 : Self.unknown
  }

  private func show(_ result: PageCheck.Result) {
    let bytes = result.checked * result.pageSize
    let rate = result.seconds > 0 ? Double(bytes) / result.seconds : 0
    for finding in result.findings {
      let tier = finding.tier.isEmpty ? "" : " in tier '\(finding.tier)'"
      print(
        "page \(finding.handle) (tag 0x\(String(finding.tag, radix: 16)))\(tier) is "
          + "\(finding.isDamaged ? "DAMAGED" : "not readable now"): \(DisplayText.plain(finding.reason))")
    }
    let figures = "\(SizeLabel(bytes)) in \(decimal(result.seconds, 2)) s, \(SizeLabel(Int(rate)))/s"
    let bad = result.findings.count
    print(
      bad == 0
        ? "All \(grouped(result.pages)) pages of \(DisplayText.plain(file)) are good: \(figures)."
        : "\(grouped(bad)) of \(grouped(result.pages)) pages of \(DisplayText.plain(file)) cannot be read; "
          + "the others are good: \(figures).")
  }

  private static func json(_ result: PageCheck.Result, _ opening: SessionOpening) -> JSONValue {
    let bytes = Double(result.checked * result.pageSize)
    return .object([
      "file": .text(opening.file.path), "name": .text(opening.description.name),
      "is_good": .flag(result.findings.isEmpty), "pages": .number(result.pages), "page_size": .number(result.pageSize),
      "seconds": .decimal(result.seconds, digits: 3),
      "bytes_per_s": .decimal(result.seconds > 0 ? bytes / result.seconds : 0, digits: 0),
      "findings": .list(
        result.findings.map {
          .object([
            "handle": .text("\($0.handle)"), "tag": .text("0x" + String($0.tag, radix: 16)), "tier": .text($0.tier),
            "reason": .text($0.reason), "is_damaged": .flag($0.isDamaged),
          ])
        }),
    ])
  }
}
