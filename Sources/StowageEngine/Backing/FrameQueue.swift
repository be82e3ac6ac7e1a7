// SPDX-License-Identifier: Apache-2.0

/// The frames of a backing in order of arrival, oldest first; kept only where something stands below. Guarded by the
/// engine's lock.
///
/// Frames that have gone meanwhile are not taken out; they are recognised by their ids when they come up.
struct FrameQueue: @unchecked Sendable {
  private struct State {
    var entries: UnsafeMutablePointer<UInt64>
    var capacity: Int
    var first = 0
    var count = 0
  }

  private let state: UnsafeMutablePointer<State>?

  init(isKept: Bool) {
    guard isKept else {
      state = nil
      return
    }
    state = .allocate(capacity: 1)
    state?.initialize(to: State(entries: .allocate(capacity: 1024), capacity: 1024))
  }

  func deallocate() {
    state?.pointee.entries.deallocate()
    state?.deallocate()
  }

  var isKept: Bool { state != nil }
  var isEmpty: Bool { (state?.pointee.count ?? 0) == 0 }
  var byteCount: Int { (state?.pointee.capacity ?? 0) * 8 }

  /// - Parameter isThere: asked of older frames when the queue is full, before it grows.
  func push(_ frame: FrameIndex, id: UInt64, where isThere: (FrameIndex, UInt32) -> Bool) {
    guard let state else { return }
    if state.pointee.count == state.pointee.capacity {
      sweep(state, isThere)
      if state.pointee.count > state.pointee.capacity / 2 { grow(state) }
    }
    let at = (state.pointee.first + state.pointee.count) & (state.pointee.capacity - 1)
    state.pointee.entries[at] = UInt64(frame) << 32 | id & 0xFFFF_FFFF
    state.pointee.count += 1
  }

  /// The oldest frame that is still there as it was queued.
  func pop(where isThere: (FrameIndex, UInt32) -> Bool) -> FrameIndex? {
    guard let state else { return nil }
    while state.pointee.count > 0 {
      let entry = state.pointee.entries[state.pointee.first]
      state.pointee.first = (state.pointee.first + 1) & (state.pointee.capacity - 1)
      state.pointee.count -= 1
      let frame = FrameIndex(truncatingIfNeeded: entry >> 32)
      if isThere(frame, UInt32(truncatingIfNeeded: entry)) { return frame }
    }
    return nil
  }

  /// Takes out the frames that have gone, in place.
  private func sweep(_ state: UnsafeMutablePointer<State>, _ isThere: (FrameIndex, UInt32) -> Bool) {
    let mask = state.pointee.capacity - 1
    var kept = 0
    for index in 0..<state.pointee.count {
      let entry = state.pointee.entries[(state.pointee.first + index) & mask]
      guard isThere(FrameIndex(truncatingIfNeeded: entry >> 32), UInt32(truncatingIfNeeded: entry)) else { continue }
      state.pointee.entries[(state.pointee.first + kept) & mask] = entry
      kept += 1
    }
    state.pointee.count = kept
  }

  private func grow(_ state: UnsafeMutablePointer<State>) {
    let capacity = state.pointee.capacity * 2
    let entries = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    for index in 0..<state.pointee.count {
      entries[index] = state.pointee.entries[(state.pointee.first + index) & (state.pointee.capacity - 1)]
    }
    state.pointee.entries.deallocate()
    state.pointee.entries = entries
    state.pointee.capacity = capacity
    state.pointee.first = 0
  }
}
