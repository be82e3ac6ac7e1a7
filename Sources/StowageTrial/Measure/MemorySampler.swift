// SPDX-License-Identifier: Apache-2.0
import CStowageTrial
import Glibc
import Synchronization

/// Samples what this process uses, every few milliseconds, on a thread of its own.
///
/// Counted are anonymous and shared memory and huge pages that are resident, locked memory where it
/// exceeds these (locked anonymous memory is in both figures), and what of the watched file is in the
/// page cache. Sampling allocates nothing.
final class MemorySampler: Sendable {
  private static let interval: useconds_t = 2_000
  /// The page cache is asked only every so many samples: that walks the whole file.
  private static let cacheEvery = 32

  private let baseline = Atomic<Int>(0)
  private let peak = Atomic<Int>(0)
  private let phasePeak = Atomic<Int>(0)
  private let watched = Atomic<Int32>(-1)
  private let stopping = Atomic<Bool>(false)
  private let status: OpenFile
  /// Used by one thread only: first by the one that starts the sampling, then by its own.
  private nonisolated(unsafe) let text: UnsafeMutableRawBufferPointer
  private let thread = BackgroundThread()

  /// nil where `/proc` is not there to be read.
  init?() {
    guard case .success(let status) = OpenFile.reading("/proc/self/status") else { return nil }
    self.status = status
    text = .allocate(byteCount: 16 << 10, alignment: 16)
    text.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { text.deallocate() }

  /// Takes what the process uses now as the baseline and begins to sample.
  func start() {
    baseline.store(usage() ?? 0, ordering: .relaxed)
    thread.start { [self] in run() }
  }

  /// Counts this open file's share of the page cache too. The file must stay open until `stop`.
  func watch(_ descriptor: Int32) { watched.store(descriptor, ordering: .releasing) }

  func stop() {
    stopping.store(true, ordering: .releasing)
    thread.join()
  }

  /// The highest sample above the baseline, in bytes.
  var peakBytes: Int { max(0, peak.load(ordering: .relaxed) - baseline.load(ordering: .relaxed)) }

  /// The same since the last call.
  func takePhasePeak() -> Int {
    max(0, phasePeak.exchange(0, ordering: .relaxed) - baseline.load(ordering: .relaxed))
  }

  private func run() {
    var round = 0
    var cached = 0
    while !stopping.load(ordering: .acquiring) {
      let file = watched.load(ordering: .acquiring)
      if file >= 0, round % Self.cacheEvery == 0 {
        cached = max(0, Int(stowage_trial_cached_bytes(file)))
      }
      if let bytes = usage() {
        _ = peak.max(bytes + cached, ordering: .relaxed)
        _ = phasePeak.max(bytes + cached, ordering: .relaxed)
      }
      round &+= 1
      usleep(Self.interval)
    }
  }

  private func usage() -> Int? {
    let length = status.read(into: text, at: 0)
    guard length > 0 else { return nil }
    return StatusFields(UnsafeRawBufferPointer(rebasing: text[..<length])).usedBytes
  }
}

/// The fields of `/proc/self/status` that tell what a process uses, read without allocating.
struct StatusFields {
  private(set) var anonymous = 0
  private(set) var shared = 0
  private(set) var huge = 0
  private(set) var locked = 0

  var usedBytes: Int { (max(anonymous + shared, locked) + huge) << 10 }

  init(_ text: UnsafeRawBufferPointer) {
    var line = 0
    while line < text.count {
      if let value = Self.value(of: "RssAnon:", text, line) { anonymous = value }
      if let value = Self.value(of: "RssShmem:", text, line) { shared = value }
      if let value = Self.value(of: "HugetlbPages:", text, line) { huge = value }
      if let value = Self.value(of: "VmLck:", text, line) { locked = value }
      while line < text.count, text[line] != UInt8(ascii: "\n") { line += 1 }
      line += 1
    }
  }

  /// The number after a field's name, when the line is that field's.
  private static func value(of name: StaticString, _ text: UnsafeRawBufferPointer, _ line: Int) -> Int? {
    let length = name.utf8CodeUnitCount
    guard line + length < text.count,
      memcmp(text.baseAddress! + line, name.utf8Start, length) == 0
    else { return nil }
    var place = line + length
    var value = 0
    while place < text.count, text[place] != UInt8(ascii: "\n") {
      let digit = text[place] &- UInt8(ascii: "0")
      if digit < 10 { value = value * 10 + Int(digit) }
      place += 1
    }
    return value
  }
}
