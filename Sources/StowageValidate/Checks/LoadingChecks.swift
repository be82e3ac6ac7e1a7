// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import StowagePlugins

/// From the file to the descriptor.
enum LoadingChecks {
  static let all = [entry]

  static let entry = Check(
    "loading-entry", .loading, timeLimit: .seconds(10),
    proves: "The library loads, and its entry function gives a descriptor.",
    advice: "Export stowage_tier_entry from the library itself, return a constant descriptor, and do nothing else there."
  ) { run in
    let tier = try run.load()
    let file = stowage_file_of_address(tier.entryAddress).map { String(cString: $0) }
    try run.expect(
      file.flatMap(FilePaths.real) == FilePaths.real(run.order.file),
      "stowage_tier_entry is not in it but in \(file ?? "no known file"), on which it depends")
  }
}
