// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The processes of this machine, for the default input.
enum ProcessList {
  struct Entry: Equatable {
    var pid: Int32
    /// Resident anonymous memory, in bytes.
    var anonymousBytes: Int
  }

  /// Every process that has resident anonymous memory, except this one; largest first.
  static func largestFirst() -> [Entry] {
    guard let folder = opendir("/proc") else { return [] }
    defer { closedir(folder) }
    var entries: [Entry] = []
    while let item = readdir(folder) {
      guard let pid = Int32(fileName(item)), pid != getpid(),
        let status = OpenFile.contents(of: "/proc/\(pid)/status"),
        let bytes = anonymousBytes(inStatus: status), bytes > 0
      else { continue }
      entries.append(Entry(pid: pid, anonymousBytes: bytes))
    }
    return entries.sorted { ($1.anonymousBytes, $0.pid) < ($0.anonymousBytes, $1.pid) }
  }

  /// The value of `RssAnon` in the text of `/proc/N/status`, in bytes; kernel threads have none.
  static func anonymousBytes(inStatus text: String) -> Int? {
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first,
      let count = Int(kilobytes)
    else { return nil }
    return count * 1024
  }
}

/// The name in a folder entry.
func fileName(_ entry: UnsafeMutablePointer<dirent>) -> String {
  // The name may be longer than the array that the type declares; so it is reached by its offset.
  let start = UnsafeRawPointer(entry) + MemoryLayout<dirent>.offset(of: \.d_name)!
  return String(cString: start.assumingMemoryBound(to: CChar.self))
}
