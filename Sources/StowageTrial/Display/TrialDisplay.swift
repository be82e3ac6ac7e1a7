// SPDX-License-Identifier: Apache-2.0
import Glibc
internal import StowageBasics
import StowageEngine
import Synchronization

/// Shows a running trial: redrawn in place on a terminal, as lines elsewhere.
public final class TrialDisplay: Sendable {
  /// How a trial is shown.
  public enum Style: Sendable {
    /// Redrawn in place; the closure tells how wide the terminal is now.
    case live(isUnicode: Bool, width: @Sendable () -> Int)
    /// A line at every step.
    case plain
    /// Not at all.
    case none
  }

  private static let interval: useconds_t = 100_000

  private let style: Style
  private let descriptor: Int32
  private let progress: TrialProgress
  private let stopping = Atomic<Bool>(false)
  private let thread = BackgroundThread()

  /// - Parameter descriptor: where to write.
  public init(_ style: Style, to descriptor: Int32, progress: TrialProgress) {
    self.style = style
    self.descriptor = descriptor
    self.progress = progress
  }

  /// Begins to show it, on a thread of its own.
  public func start() {
    switch style {
    case .none: break
    case .plain: thread.start { [self] in showPlain() }
    case .live(let isUnicode, let width):
      thread.start { [self] in showLive(isUnicode: isUnicode, width: width) }
    }
  }

  /// Ends the display; what was redrawn in place is removed and the cursor shown again.
  public func stop() {
    stopping.store(true, ordering: .releasing)
    thread.join()
  }

  private func showLive(isUnicode: Bool, width: @Sendable () -> Int) {
    let start = monotonicNanoseconds()
    var drawn = 0
    Interruption.noteHiddenCursor(on: descriptor)
    put("\u{1B}[?25l")
    while !stopping.load(ordering: .acquiring) {
      let seconds = Double(monotonicNanoseconds() - start) / 1e9
      let frame = LiveFrame(width: width(), isUnicode: isUnicode)
      let lines = frame.lines(progress.snapshot(), seconds: seconds)
      put(rewind(drawn) + lines.map { $0 + "\u{1B}[K\n" }.joined() + Self.clearBelow)
      drawn = lines.count
      usleep(Self.interval)
    }
    put(rewind(drawn) + Self.clearBelow + "\u{1B}[?25h")
    Interruption.noteHiddenCursor(on: -1)
  }

  private static let clearBelow = "\u{1B}[J"

  /// Goes back to the first line drawn.
  private func rewind(_ lines: Int) -> String { lines == 0 ? "" : "\u{1B}[\(lines)A\r" }

  private func showPlain() {
    var lines = PlainLines()
    while !stopping.load(ordering: .acquiring) {
      if lines.isDue(progress.snapshot(withStatistics: false)) {
        put(lines.next(progress.snapshot()) + "\n")
      }
      usleep(Self.interval)
    }
  }

  private func put(_ text: String) { writeAll(text, to: descriptor) }
}

/// Decides when a trial without a terminal gets another line, and writes it.
struct PlainLines {
  private static let percentStep = 10
  private var last = (phase: "", step: "", percent: -1)

  private func key(_ snapshot: TrialProgress.Snapshot) -> (phase: String, step: String, percent: Int) {
    let percent = snapshot.total == 0 ? 0 : min(100, snapshot.done * 100 / snapshot.total)
    return (snapshot.phase, snapshot.step, percent / Self.percentStep * Self.percentStep)
  }

  func isDue(_ snapshot: TrialProgress.Snapshot) -> Bool {
    !snapshot.phase.isEmpty && key(snapshot) != last
  }

  mutating func next(_ snapshot: TrialProgress.Snapshot) -> String {
    last = key(snapshot)
    var line = "\(padded(String(last.percent), 3)) %  \(last.phase)"
    if !last.step.isEmpty { line += ": all pages to \(last.step)" }
    guard let statistics = snapshot.statistics else { return line }
    let levels = statistics.levels.map { "\($0.name) \(grouped($0.pages))" }
    return line + "  (pages: \(levels.joined(separator: ", ")))"
  }
}
