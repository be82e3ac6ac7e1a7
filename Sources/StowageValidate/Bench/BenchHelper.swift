// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import StowagePlugins

/// The process in which one tier is measured: a crash of it is a line in the table.
public enum BenchHelper {
  static let argument = "__bench"
  static let kind = "stowage-bench"
  private static let argumentCount = 7

  /// What the process answers.
  struct Answer: Codable {
    var result: BenchResult?
    var failure: String?
  }

  /// To be called early in the main function of an executable that measures with itself as the helper. Comes back only
  /// in a process that is no helper.
  public static func runIfAsked() {
    let arguments = CommandLine.arguments
    guard arguments.count > 1, arguments[1] == argument else { return }
    guard arguments.count == argumentCount, let parent = Int32(arguments[2]), let notesNumber = Int32(arguments[5]),
      let order = try? JSONDecoder().decode(BenchOrder.self, from: Data(arguments[6].utf8)),
      let notes = CallNotes(parent: parent, descriptor: notesNumber)
    else {
      HelperSide.refuse("\(argument) is for stowage itself; try 'stowage plugins bench NAME'")
    }
    let helper = HelperSide(kind: kind, token: arguments[3])
    helper.begin(parent: parent, memoryBytes: 0)
    var answer = Answer()
    do {
      answer.result = try TierBench(order, notes).result()
    } catch CheckEnd.failed(let reason), CheckEnd.late(let reason), CheckEnd.notRun(let reason),
      CheckEnd.notApplicable(let reason)
    {
      answer.failure = reason
    } catch {
      answer.failure = "\(error)"
    }
    helper.end(answer)
  }

  /// Measures a tier in a process of its own.
  /// - Parameters:
  ///   - timeLimit: past it the process is killed.
  ///   - interruption: asked while it runs: the signal that is to end it; nil: none.
  ///   - program: an executable whose main function calls `runIfAsked`.
  /// - Throws: `refused` with what the tier did wrong; `helper` when measuring itself does not work; `interrupted`.
  public static func measure(
    file: String, options: [String: String], pages: String?, pageCount: Int, rounds: Int, threads: Int, seed: UInt64,
    timeLimit: Duration, interruption: () -> Int32? = { nil }, program: String = "/proc/self/exe"
  ) throws(PluginError) -> BenchResult {
    guard let folder = FilePaths.temporaryFolder(), let notes = CallNotes() else {
      throw .helper("no temporary folder can be made: \(errnoText(errno))")
    }
    defer {
      UserFile.removeThose(of: folder, options)
      try? FileManager.default.removeItem(atPath: folder)
    }
    let order = BenchOrder(
      file: file, options: options, pages: pages, pageCount: pageCount, rounds: rounds, threads: threads, seed: seed,
      folder: folder)
    let encoded: Data
    do { encoded = try JSONEncoder().encode(order) } catch { throw .helper("the order cannot be written: \(error)") }
    let process = try HelperProcess(
      program: program, kind: kind, argument: argument,
      ["0", String(notes.number), String(decoding: encoded, as: UTF8.self)])
    return try wait(for: process, file: file, notes, timeLimit, interruption)
  }

  private static func wait(
    for process: HelperProcess, file: String, _ notes: CallNotes, _ timeLimit: Duration, _ interruption: () -> Int32?
  ) throws(PluginError) -> BenchResult {
    var isLate = false
    while !process.answer.isComplete, !process.hasEnded, !isLate {
      HelperProcess.wait(for: [process])
      process.readAll()
      if let signal = interruption() {
        process.kill()
        throw .interrupted(signal: signal)
      }
      isLate = ContinuousClock.now - process.startedAt > timeLimit
    }
    process.readAll()
    let status = process.kill()
    let during = notes.last.map { "; last call \($0)" } ?? ""
    if let answer = process.answer.result(Answer.self) {
      if let result = answer.result { return result }
      throw .refused(file: file, reason: answer.failure ?? "no result")
    }
    throw .refused(
      file: file,
      reason: (isLate ? "it was not done within \(timeLimit)" : HelperProcess.text(ofStatus: status)) + during
        + process.said)
  }
}
