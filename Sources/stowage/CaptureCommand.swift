// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Glibc
internal import StowageBasics
internal import StowageTrial

struct CaptureCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Keep the memory of a process in a file, for 'stowage trial --file'.",
    discussion: """
      Writes the resident private pages of the process, one after the other. The process goes on running, so pages \
      are from slightly different moments.

      Memory holds secrets, such as keys and passwords: the file is readable for you only. Take care where it goes.
      """)

  /// Captured pages are as small as pages can be: a trial may join them to larger ones.
  private static let pageSize = 4096

  @Option(help: ArgumentHelp("The process.", valueName: "number")) var pid: Int32
  @Option(help: ArgumentHelp("The file to be made.", valueName: "file")) var out: String
  @Option(help: ArgumentHelp("Take at most so many pages, evenly (default: all).", valueName: "count"))
  var pages: Int?
  @Flag(help: "Replace the file if it exists.") var force = false

  func validate() throws {
    if let pages, pages < 1 { throw ValidationError("--pages is \(pages); expected 1 or more") }
    if pid < 1 { throw ValidationError("--pid \(pid): process numbers begin with 1") }
    if out.isEmpty { throw ValidationError("--out is empty; name the file to be made") }
  }

  func run() throws {
    Interruption.install()
    do {
      let result = try Capture.run(
        pid: pid, to: out, pages: pages, pageSize: Self.pageSize, overwrites: force)
      print("\(result.written) pages of process \(pid) are in \(out); try: stowage trial --file \(out)")
      if result.absent > 0 {
        Terminal.complain("\(result.absent) pages were gone before they could be read")
      }
    } catch TrialError.interrupted(let signal) {
      Terminal.complain("\(TrialError.interrupted(signal: signal))")
      throw ExitCode(128 + signal)
    }
  }
}
