// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The processes of this machine, for the default input.
enum ProcessList {
  struct Entry: Equatable {
    var pid: Int32
    /// Resident anonymous memory, in bytes.
    var anonymousBytes: Int
  }

  /// Processes younger than this are often gone before their pages' turn comes.
  static let leastAgeSeconds = 20.0

  /// Every process that has resident anonymous memory and has lived for a while, except this one; largest first.
  static func largestFirst(leastAge: Double = leastAgeSeconds) -> [Entry] {
    guard let folder = opendir("/proc") else { return [] }
    defer { closedir(folder) }
    var entries: [Entry] = []
    while let item = readdir(folder) {
      guard let pid = Int32(fileName(item)), pid != getpid(),
        let status = OpenFile.contents(of: "/proc/\(pid)/status"),
        let bytes = anonymousBytes(inStatus: status), bytes > 0, age(pid) >= leastAge
      else { continue }
      entries.append(Entry(pid: pid, anonymousBytes: bytes))
    }
    return entries.sorted { ($1.anonymousBytes, $0.pid) < ($0.anonymousBytes, $1.pid) }
  }

  /// How long a process has lived, in seconds; 0 when it is gone.
  private static func age(_ pid: Int32) -> Double {
    guard let stat = OpenFile.contents(of: "/proc/\(pid)/stat"), let began = startTicks(inStat: stat) else { return 0 }
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    let seconds = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    return max(0, seconds - Double(began) / Double(sysconf(Int32(_SC_CLK_TCK))))
  }

  /// The start time in the text of `/proc/N/stat`: its 22nd field, counted behind the command's name, which may hold
  /// blanks and parentheses.
  static func startTicks(inStat text: String) -> UInt64? {
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[end...].split(separator: " ")
    return fields.count > 20 ? UInt64(fields[20]) : nil
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
