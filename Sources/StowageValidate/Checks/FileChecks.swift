// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowagePlugins

/// The file, before any of its code runs.
enum FileChecks {
  static let all = [sharedLibrary, rights, exports, processCalls, libraries]

  static let sharedLibrary = Check(
    "file-shared-library", .file, timeLimit: .seconds(10),
    proves: "The file is a whole ELF shared library for this machine.",
    advice: "Link with -shared for this machine, and install the file again if it was cut short."
  ) { run in
    let file = try elf(run)
    run.summary = "\(file.symbols.count) dynamic symbols, \(file.needed.count) libraries"
    try run.expect(
      file.interpreter == nil, "it is a program (it asks for the dynamic linker \(file.interpreter ?? "")), no library")
  }

  static let rights = Check(
    "file-rights", .file, timeLimit: .seconds(10), isWarning: true,
    proves: "The file and its folder belong to you or to root, and nobody else can write them.",
    advice: "Give the file to the user who runs the store or to root, and take the right to write it from others (chmod go-w)."
  ) { run in
    var status = stat()
    let file = FilePaths.real(run.order.file) ?? run.order.file
    guard stat(file, &status) == 0 else { throw run.notRun("there is no such file any more") }
    let objection = PluginTrust.ownOnly.objection(to: status, of: file)
    try run.expect(objection == nil, objection ?? "")
  }

  static let exports = Check(
    "file-exports", .file, needs: ["file-shared-library"], timeLimit: .seconds(10),
    proves: "The library exports nothing but stowage_tier_entry.",
    advice:
      "Link with -fvisibility=hidden, or with --version-script and plugin-sdk/tier.map: what is exported can collide with another plug-in's."
  ) { run in
    // What linkers define in every library.
    let ordinary: Set = [
      STOWAGE_TIER_ENTRY_NAME, "_init", "_fini", "__bss_start", "__bss_start__", "__bss_end__", "_bss_end__", "_edata",
      "edata", "_end", "__end__", "end", "_etext", "etext", "_start", "__data_start", "data_start",
    ]
    let extra = try elf(run).symbols.filter { $0.isDefined && $0.isVisible && !ordinary.contains($0.name) }.map(\.name)
    try run.expect(
      extra.isEmpty, "it also exports \(extra.sorted().prefix(5).joined(separator: ", "))\(extra.count > 5 ? " and \(extra.count - 5) more" : "")")
  }

  static let processCalls = Check(
    "file-process-calls", .file, needs: ["file-shared-library"], timeLimit: .seconds(10), isWarning: true,
    proves: "The library itself refers to no function that starts a process or ends this one.",
    advice:
      "A tier must not fork, exec, exit or abort: answer an error instead. If the call is never made, or not in this process, this may stay."
  ) { run in
    var ending: Set = ["exit", "_exit", "_Exit", "quick_exit", "abort"]
    let starting: Set = [
      "fork", "vfork", "_Fork", "execl", "execle", "execlp", "execv", "execve", "execveat", "execvp", "execvpe",
      "fexecve",
      "posix_spawn", "posix_spawnp", "system", "popen", "daemon",
    ]
    let undefined = Set(try elf(run).symbols.filter { !$0.isDefined }.map(\.name))
    // A language's runtime that was linked in refers to abort for its own emergencies; it can also unwind, which plain C
    // cannot.
    if undefined.contains("_Unwind_RaiseException") || undefined.contains("_Unwind_Backtrace") {
      ending.remove("abort")
    }
    let found = undefined.intersection(ending.union(starting)).sorted()
    try run.expect(found.isEmpty, "it refers to \(found.joined(separator: ", "))")
  }

  static let libraries = Check(
    "file-libraries", .file, needs: ["file-shared-library"], timeLimit: .seconds(15),
    proves: "Every library that it needs is found.",
    advice: "Install the missing library, or link it statically, or give its folder with -rpath."
  ) { run in
    let needed = try elf(run).needed
    guard let linker = try? ElfFile(contentsOf: "/proc/self/exe").interpreter else {
      throw run.notRun("this program has no dynamic linker to ask")
    }
    let answer = ProcessCopy.output(of: linker, ["--list", run.order.file])
    guard let bytes = answer.bytes else {
      throw run.fail("the dynamic linker cannot list its libraries: \(answer.ended)")
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let missing = lines.filter { $0.hasSuffix("=> not found") }.compactMap { $0.split(separator: " ").first }
      .map { $0.trimmingPrefix("\t") }
    run.summary = "needs \(needed.joined(separator: ", "))"
    try run.expect(missing.isEmpty, "the dynamic linker does not find \(missing.joined(separator: ", "))")
  }

  private static func elf(_ run: CheckRun) throws -> ElfFile {
    do { return try ElfFile(contentsOf: run.order.file) } catch let damage as ElfFile.Damage {
      throw run.fail(damage.reason)
    }
  }
}
