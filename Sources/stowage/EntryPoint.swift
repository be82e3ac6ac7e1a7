// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import StowagePlugins
internal import StowageTrial

/// The process begins here: as a helper that probes a plug-in or holds data, or as the command.
@main
enum EntryPoint {
  static func main() {
    ProbeHelper.runIfAsked()
    DataHolder.runIfAsked()
    TierLog.install()
    StowageCommand.main()
  }
}
