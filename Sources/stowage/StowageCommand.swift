// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import CStowageTier
internal import StowageEngine

struct StowageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stowage",
    abstract: "Memory that does not fit goes down a chain of plug-in tiers.",
    version: "stowage \(HostTable.version) (tier interface \(STOWAGE_ABI_MAJOR).\(STOWAGE_ABI_MINOR))",
    subcommands: [
      TrialCommand.self, ServeCommand.self, StatusCommand.self, CheckpointCommand.self, SuspendCommand.self,
      TiersCommand.self, SessionCommand.self, CaptureCommand.self, PluginsCommand.self,
    ])
}
