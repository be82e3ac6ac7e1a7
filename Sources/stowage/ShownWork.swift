// SPDX-License-Identifier: Apache-2.0
internal import StowageTrial

/// A display that is begun in the middle of a work.
final class ShownWork {
  private let style: TrialDisplay.Style
  private let target: Int32
  private var display: WorkDisplay?

  init(_ style: TrialDisplay.Style, to target: Int32) {
    self.style = style
    self.target = target
  }

  func start(_ label: String, _ sample: @escaping @Sendable () -> WorkSample) {
    stop()
    display = WorkDisplay(style, to: target, label: label, sample: sample)
    display?.start()
  }

  func stop() {
    display?.stop()
    display = nil
  }
}
