// SPDX-License-Identifier: Apache-2.0
internal import CStowageProbe
internal import Foundation
internal import Glibc
internal import Synchronization

/// What this process has of what can be left behind.
enum Footprint {
  /// Bytes that malloc gave out, with what the tier has of the host's memory.
  static var heapBytes: Int {
    // What the books note of a tier's mistakes is not the tier's.
    CheckHost.books.withLock { $0.violations.removeAll() }
    return Int(stowage_heap_bytes())
  }

  static var descriptors: Int { count("/proc/self/fd") }
  static var threads: Int { count("/proc/self/task") }

  /// Pages of address space, whatever they are for.
  static var mappedBytes: Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").first.flatMap({ Int($0) })
    else { return 0 }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  private static func count(_ folder: String) -> Int {
    guard let list = opendir(folder) else { return 0 }
    defer { closedir(list) }
    var count = 0
    while let entry = readdir(list) {
      // "." and ".."; every other name is a number.
      if entry.pointee.d_name.0 != 46 { count += 1 }
    }
    return count
  }
}

/// Looks for growth that goes on for as long as something is repeated.
struct GrowthWatch {
  let run: CheckRun
  /// What grows, for messages: "bytes of malloc".
  let what: String
  let measure: () -> Int
  /// Growth for each time that is no leak: how an allocator or a cache breathes.
  let allowed: Double

  /// Repeats the body `cycles` times, in eight parts, after a ninth part that fills caches and pools.
  ///
  /// A leak grows in every part; a cache or a pool that is still being filled does in some.
  func expectNone(_ cycles: Int, _ about: String, _ body: () throws -> Void) throws {
    // Enough that what each part costs by itself, some dozen bytes, is less than is allowed for each time.
    let part = max(24, cycles / 8)
    for _ in 0..<part { try body() }
    var marks = [measure()]
    for index in 0..<8 where !run.isLate || index < 3 {
      for _ in 0..<part { try body() }
      marks.append(measure())
    }
    let steps = zip(marks, marks.dropFirst()).map { Double($1 - $0) / Double(part) }
    let least = steps.min() ?? 0
    try run.expect(
      least <= allowed,
      "\(about) leaves \(String(format: "%.1f", least)) \(what) behind each time: "
        + "\(marks[0]) before and \(marks[marks.count - 1]) after \(steps.count * part) times")
    run.summary = "\((steps.count + 1) * part) times"
  }
}
