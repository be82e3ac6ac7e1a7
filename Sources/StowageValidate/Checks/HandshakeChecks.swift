// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import StowageEngine

/// The entry function before hosts of other versions: each may be declined, none may do harm.
enum HandshakeChecks {
  static let all = [older, newer, otherMajor, short]

  static let older = Check(
    "descriptor-older-host", .descriptor, needs: DescriptorChecks.base, timeLimit: .seconds(10),
    proves: "A host of an older minor version gets a descriptor, or null.",
    advice: "Compare host->abi_minor with minor_required, and return null with set_error if the host is too old."
  ) { run in
    let minor = UInt16(STOWAGE_ABI_MINOR)
    guard minor > 0 else { throw run.notApplicable("this is the first minor version") }
    try meet(run, .init(abiMinor: minor - 1))
  }

  static let newer = Check(
    "descriptor-newer-host", .descriptor, needs: DescriptorChecks.base, timeLimit: .seconds(10),
    proves: "A host of a newer minor version, whose table is longer, gets a descriptor, or null.",
    advice: "Copy only the smaller of host->struct_size and sizeof(stowage_host), and accept newer minor versions."
  ) { run in
    try meet(run, .init(structSize: MemoryLayout<stowage_host>.size + 256, abiMinor: UInt16(STOWAGE_ABI_MINOR) + 1))
  }

  static let otherMajor = Check(
    "descriptor-other-major", .descriptor, needs: DescriptorChecks.base, timeLimit: .seconds(10),
    proves: "A host of another major version gets a descriptor, or null.",
    advice: "Look at host->abi_major first, and return null if it is not STOWAGE_ABI_MAJOR."
  ) { run in
    try meet(run, .init(abiMajor: UInt16(STOWAGE_ABI_MAJOR) + 1))
  }

  static let short = Check(
    "descriptor-short-host", .descriptor, needs: DescriptorChecks.base, timeLimit: .seconds(10),
    proves: "Nothing beyond the end of a shorter host table is read.",
    advice: "Copy only host->struct_size bytes of the table, and take the rest as null."
  ) { run in
    try meet(run, .init(structSize: MemoryLayout<stowage_host>.offset(of: \stowage_host.get_extension)!))
  }

  private static func meet(_ run: CheckRun, _ settings: CheckHost.Settings) throws {
    let library = try LoadedTier.link(run)
    let entry = try LoadedTier.entry(run, library)
    let host = CheckHost.make(settings)
    run.notes.note(.entry)
    HostTable.clearError()
    let answer = entry(host)
    let said = HostTable.lastError()
    run.summary = answer == nil ? "it declines" + (said.isEmpty ? "" : ": \(said)") : "it gives a descriptor"
    let magic = answer.map { UnsafeRawPointer($0).load(as: UInt64.self) }
    try run.expect(magic == nil || magic == 0x3152_4549_5457_5453, "it gave something else than a descriptor")
  }
}
