// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Glibc
internal import StowagePlugins
internal import StowageTrial
internal import StowageValidate

/// The process begins here: as a helper that probes or checks a plug-in or holds data, or as the command.
@main
enum EntryPoint {
  static func main() {
    ProbeHelper.runIfAsked()
    CheckHelper.runIfAsked()
    BenchHelper.runIfAsked()
    DataHolder.runIfAsked()
    TierLog.install()
    run()
  }

  /// A wrong use ends with 2, as most commands do it.
  private static func run() {
    do {
      var command = try StowageCommand.parseAsRoot()
      try command.run()
    } catch {
      let code = StowageCommand.exitCode(for: error)
      guard code == .validationFailure else { StowageCommand.exit(withError: error) }
      FileHandle.standardError.write(Data((StowageCommand.fullMessage(for: error) + "\n").utf8))
      Glibc.exit(2)
    }
  }
}
