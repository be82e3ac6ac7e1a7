// SPDX-License-Identifier: Apache-2.0
internal import CStowageNet
internal import Glibc
internal import StowageEngine
internal import StowageNBD

/// What a process must be like that the machine's own swap depends on: whatever it does, it must not need memory that the
/// kernel would have to swap out to give.
enum SwapMode {
  /// Tiers that can be used; the others are left out of a default chain, and refused in one that was asked for.
  static func admit(_ chain: [ChainTier], isDefault: Bool) throws(ExportError) -> (chain: [ChainTier], notes: [String])
  {
    let unfit = chain.filter { !$0.table.flags.contains(.swapSafe) }
    // What is mandatory is never left out: data would go on without what protects it.
    guard (isDefault && !unfit.contains { $0.table.isMandatory }) || unfit.isEmpty else {
      throw ExportError(
        "--swap: tier '\(unfit[0].name)' does not declare itself swap-safe, so it may need memory just when there is none; "
          + "leave it out")
    }
    let fit = chain.filter { $0.table.flags.contains(.swapSafe) }
    guard !fit.isEmpty else { throw ExportError("--swap: no tier of the chain is swap-safe") }
    return (fit, unfit.map { "--swap: tier '\($0.name)' is left out, as it does not declare itself swap-safe" })
  }

  /// Before the store is opened: what is allocated from here on is locked, and a file's pages wait for nobody.
  /// - Throws: when memory cannot be locked: then swapping to this process can hang the machine.
  /// - Returns: what was refused and can be done without; for people.
  static func enter() throws(ExportError) -> [String] {
    var notes: [String] = []
    let locked = stowage_lock_all_memory()
    guard locked == 0 else {
      throw ExportError(
        "--swap: the system refuses to lock the memory of this process (\(text(locked))); run it as root, or raise "
          + "RLIMIT_MEMLOCK ('ulimit -l unlimited', LimitMEMLOCK=infinity)")
    }
    let flusher = stowage_become_io_flusher()
    if flusher != 0 {
      notes.append(
        "--swap: the kernel refuses PR_SET_IO_FLUSHER (\(text(flusher))): it may wait for itself when memory is short; "
          + "give CAP_SYS_RESOURCE")
    }
    if !write("-1000", to: "/proc/self/oom_score_adj") {
      notes.append(
        "--swap: the OOM score cannot be lowered (\(text(errno))): the kernel may end this process when memory is short; "
          + "give CAP_SYS_RESOURCE")
    }
    return notes
  }

  private static func text(_ number: Int32) -> String { String(cString: strerror(number)) }

  private static func write(_ text: String, to file: String) -> Bool {
    let descriptor = open(file, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
  }
}
