// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// How far a piece of work is, in bytes.
public struct WorkSample: Sendable, Equatable {
  public var done: Int
  public var total: Int

  public init(done: Int, total: Int) {
    self.done = done
    self.total = total
  }
}

/// Shows how far a piece of work is, with its rate and the time left: a bar on a terminal, a line now and then
/// elsewhere.
public final class WorkDisplay: Sendable {
  private static let interval: useconds_t = 100_000

  private let style: TrialDisplay.Style
  private let descriptor: Int32
  private let label: String
  private let sample: @Sendable () -> WorkSample
  private let stopping = Atomic<Bool>(false)
  private let thread = BackgroundThread()

  /// - Parameters:
  ///   - label: what is done, such as "verify".
  ///   - sample: called on the display's thread, until `stop` returns.
  public init(
    _ style: TrialDisplay.Style, to descriptor: Int32, label: String, sample: @escaping @Sendable () -> WorkSample
  ) {
    self.style = style
    self.descriptor = descriptor
    self.label = label
    self.sample = sample
  }

  public func start() {
    if case .none = style { return }
    thread.start { [self] in run() }
  }

  /// Ends the display; a bar is removed.
  public func stop() {
    stopping.store(true, ordering: .releasing)
    thread.join()
  }

  private func run() {
    let start = monotonicNanoseconds()
    var line = WorkLine(label: label)
    var isDrawn = false
    while !stopping.load(ordering: .acquiring) {
      let seconds = Double(monotonicNanoseconds() - start) / 1e9
      switch style {
      case .live(let isUnicode, let width):
        let width = width()
        isDrawn = true
        let bar = line.bar(sample(), seconds: seconds, width: width, isUnicode: isUnicode)
        writeAll("\r\(bar)\u{1B}[K", to: descriptor)
      case .plain:
        if let text = line.due(sample(), seconds: seconds) { writeAll(text + "\n", to: descriptor) }
      case .none: break
      }
      usleep(Self.interval)
    }
    if isDrawn { writeAll("\r\u{1B}[K", to: descriptor) }
  }
}

/// One look at a piece of work as a line.
struct WorkLine {
  private static let percentStep = 10
  private static let widestBar = 40

  let label: String
  private var last = -1

  init(label: String) { self.label = label }

  /// "12.0 of 96.0 MiB  180.2 MiB/s  3 s left".
  private func figures(_ sample: WorkSample, seconds: Double) -> String {
    var text = "\(SizeLabel(sample.done)) of \(SizeLabel(sample.total))"
    guard seconds > 0.05, sample.done > 0 else { return text }
    let rate = Double(sample.done) / seconds
    text += "  \(SizeLabel(Int(rate)))/s"
    let left = Double(sample.total - sample.done) / rate
    if sample.done < sample.total { text += "  \(decimal(left, left < 10 ? 1 : 0)) s left" }
    return text
  }

  private func percent(_ sample: WorkSample) -> Int {
    sample.total <= 0 ? 100 : min(100, max(0, sample.done) * 100 / sample.total)
  }

  func bar(_ sample: WorkSample, seconds: Double, width: Int, isUnicode: Bool) -> String {
    let percent = percent(sample)
    let head = "\(label) "
    let tail = " \(padded(String(percent), 3)) %  \(figures(sample, seconds: seconds))"
    // One column stays free: some terminals wrap when the last one is written.
    let room = min(Self.widestBar, width - 1 - head.count - max(48, tail.count))
    guard room >= 8 else { return String((head + tail).prefix(max(1, width - 1))) }
    let filled = (room - 2) * percent / 100
    let (full, empty) = isUnicode ? ("█", "░") : ("#", ".")
    let bar = "[" + String(repeating: full, count: filled) + String(repeating: empty, count: room - 2 - filled) + "]"
    return String((head + bar + tail).prefix(max(1, width - 1)))
  }

  /// A line at every tenth; nil in between.
  mutating func due(_ sample: WorkSample, seconds: Double) -> String? {
    let percent = percent(sample) / Self.percentStep * Self.percentStep
    guard percent != last else { return nil }
    last = percent
    return "\(padded(String(percent), 3)) %  \(label): \(figures(sample, seconds: seconds))"
  }
}

/// Writes all of a text, as far as that is possible.
func writeAll(_ text: String, to descriptor: Int32) {
  var text = text
  text.withUTF8 { bytes in
    var done = 0
    while done < bytes.count {
      let written = write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      if written < 0, errno == EINTR { continue }
      if written <= 0 { return }
      done += written
    }
  }
}
