// SPDX-License-Identifier: Apache-2.0
import Foundation

func sleepBriefly(milliseconds: Int = 2) { usleep(UInt32(milliseconds * 1000)) }

/// How long something took, in milliseconds.
func milliseconds(_ body: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  let took = try clock.measure(body)
  return Double(took.components.seconds) * 1000 + Double(took.components.attoseconds) / 1e15
}

/// Threads of this process now that make the calls into an instance: the kernel keeps 15 bytes of their names, so that
/// instances whose names begin alike count as one.
func callingThreads(of instance: String) -> Int {
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
  let name = "io-\(instance)".prefix(15)
  return tasks.count { task in
    let said = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
    return (said ?? "").trimmingCharacters(in: .newlines) == name
  }
}

/// Threads of this process now.
func threadCount() -> Int {
  guard let folder = opendir("/proc/self/task") else { return 0 }
  defer { closedir(folder) }
  var count = 0
  while let entry = readdir(folder) { if entry.pointee.d_name.0 != 46 { count += 1 } }
  return count
}

/// Gives the heap's free memory back to the kernel.
func trimHeap() {
  typealias Trim = @convention(c) (Int) -> Int32
  if let trim = dlsym(nil, "malloc_trim") { _ = unsafeBitCast(trim, to: Trim.self)(0) }
}
