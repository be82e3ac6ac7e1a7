// SPDX-License-Identifier: Apache-2.0

/// What a plug-in that was built with a sanitizer needs of the process that loads it: the sanitizer's library, there from
/// the start.
struct SanitizerRuntime: Sendable {
  let library: String
  let isForThreads: Bool

  /// The one that a file needs; nil when it was built without, or is no library.
  init?(of file: String) {
    guard let needed = try? ElfFile(contentsOf: file).needed,
      let library = needed.first(where: { name in Self.names.contains { name.contains($0) } })
    else { return nil }
    self.library = library
    isForThreads = library.contains("tsan")
  }

  /// As GCC and Clang name them, without versions and machines.
  private static let names = ["libasan.so", "libtsan.so", "libclang_rt.asan", "libclang_rt.tsan"]

  /// For the process of a check. A finding ends it; leaks are the affair of checks of their own, and would be looked for
  /// too late. Memory that cannot be had is null, as without a sanitizer: a tier that says so has done nothing wrong.
  var environment: [String] {
    [
      "LD_PRELOAD=\(library)", "ASAN_OPTIONS=detect_leaks=0:exitcode=66:allocator_may_return_null=1",
      "TSAN_OPTIONS=halt_on_error=1:exitcode=66:allocator_may_return_null=1",
    ]
  }

  /// Why a check cannot be run under it; nil when it can.
  func objection(to check: Check) -> String? {
    isForThreads && check.opensStore
      ? "it opens a store, which is not built with ThreadSanitizer, so that the sanitizer would not see its locks" : nil
  }

  /// How much longer a check may take.
  static let patience = 5.0
}
