// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The resident private memory of a living process.
///
/// Read through `/proc/N/mem`, whose open file stays bound to the address space it was opened on: a
/// process that ends, executes another program or has its number reused never gives foreign pages.
final class ProcessPages: PageSource {
  let name: String
  let pid: Int32
  private let memory: OpenFile
  private let pageSize: Int

  /// Opens a process's memory and finds its resident private pages.
  static func plan(pid: Int32, pageSize: Int) throws(TrialError) -> (source: ProcessPages, pages: PageRuns) {
    let memory = try open("mem", of: pid)
    let pagemap = try open("pagemap", of: pid)
    guard let text = OpenFile.contents(of: "/proc/\(pid)/smaps") else {
      throw .input("process \(pid) ended while its memory was looked at")
    }
    var scan = PagemapScan(pagemap: pagemap, pageSize: pageSize)
    for mapping in MemoryMapping.all(in: text) { scan.scan(mapping) }
    return (ProcessPages(pid: pid, memory: memory, pageSize: pageSize), scan.pages)
  }

  private init(pid: Int32, memory: OpenFile, pageSize: Int) {
    self.pid = pid
    self.memory = memory
    self.pageSize = pageSize
    let command = OpenFile.contents(of: "/proc/\(pid)/comm")?.split(separator: "\n").first
    name = "process \(pid)" + (command.map { " (\($0))" } ?? "")
  }

  private static func open(_ file: String, of pid: Int32) throws(TrialError) -> OpenFile {
    switch OpenFile.reading("/proc/\(pid)/\(file)") {
    case .success(let handle): return handle
    case .failure(let error):
      throw .input(explain(error, pid: pid))
    }
  }

  /// What a failure to open a file of /proc/N means, and what to do.
  static func explain(_ error: Errno, pid: Int32) -> String {
    switch error.code {
    case ENOENT, ESRCH:
      return "there is no process \(pid); 'ps' lists those that run"
    case EACCES where geteuid() == 0, EPERM where geteuid() == 0:
      return "the memory of process \(pid) may not be read, even by root here: it is protected, or this is a "
        + "container without CAP_SYS_PTRACE"
    case EACCES, EPERM:
      let scope = OpenFile.contents(of: "/proc/sys/kernel/yama/ptrace_scope")?.prefix(1)
      let here = scope.map { "; it is \($0) here" } ?? ""
      return "the memory of process \(pid) may not be read: run as root, or as the process's user with "
        + "/proc/sys/kernel/yama/ptrace_scope at 0\(here)"
    default:
      return "the memory of process \(pid) cannot be read: \(error)"
    }
  }

  func describe(_ position: UInt64) -> String {
    "\(name), address 0x" + String(position * UInt64(pageSize), radix: 16)
  }

  func read(
    _ positions: UnsafeBufferPointer<UInt64>, into buffer: UnsafeMutableRawBufferPointer,
    present: UnsafeMutableBufferPointer<Bool>
  ) {
    readRuns(positions, pageSize: pageSize, into: buffer, present: present) { offset, target, length in
      memory.read(into: .init(start: target, count: length), at: offset)
    }
  }
}
