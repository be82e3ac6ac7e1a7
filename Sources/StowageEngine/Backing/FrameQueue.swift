// SPDX-License-Identifier: Apache-2.0

/// Frames of a level in order of arrival, oldest first; kept only where somebody asks for the oldest. Guarded by the
/// engine's lock.
///
/// Frames that have gone meanwhile are not taken out; they are recognised by their ids when they come up. The entries
/// are a ring in reserved address space, which grows in place: nothing is allocated under the lock.
struct FrameQueue: @unchecked Sendable {
  /// What is to be done with a frame that has come up.
  enum Verdict { case gone, take, later }

  private struct State {
    var capacity = 1024
    var first = 0
    var count = 0
    /// How many were found to be for later by a search that found nothing else; 0 when there may be something.
    var passed = 0
  }

  private let region: Region?
  private let state: UnsafeMutablePointer<State>

  init(isKept: Bool) throws(StoreError) {
    region = isKept ? try Region(byteCount: FrameTable.capacity * 8) : nil
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  func unmap() {
    region?.unmap()
    state.deallocate()
  }

  /// Whether a search may find something.
  var hasNext: Bool { state.pointee.count > state.pointee.passed }
  var byteCount: Int { region == nil ? 0 : state.pointee.capacity * 8 }

  private var entries: UnsafeMutablePointer<UInt64> {
    region.unsafelyUnwrapped.base.assumingMemoryBound(to: UInt64.self)
  }

  private func slot(_ place: Int) -> UnsafeMutablePointer<UInt64> {
    entries + ((state.pointee.first + place) & (state.pointee.capacity - 1))
  }

  /// - Parameter isThere: asked of older frames when the queue is full, before it grows.
  func push(_ frame: FrameIndex, id: UInt64, where isThere: (FrameIndex, UInt32) -> Bool) {
    guard region != nil else { return }
    if state.pointee.count == state.pointee.capacity {
      sweep(isThere)
      if state.pointee.count > state.pointee.capacity / 2 { grow() }
    }
    append(UInt64(frame) << 32 | id & 0xFFFF_FFFF)
  }

  private func append(_ entry: UInt64) {
    slot(state.pointee.count).pointee = entry
    state.pointee.count += 1
  }

  /// The oldest frame to take. Those for later go to the young end.
  func pop(_ verdict: (FrameIndex, UInt32) -> Verdict) -> FrameIndex? {
    for _ in 0..<state.pointee.count {
      let entry = slot(0).pointee
      state.pointee.first = (state.pointee.first + 1) & (state.pointee.capacity - 1)
      state.pointee.count -= 1
      let frame = FrameIndex(truncatingIfNeeded: entry >> 32)
      switch verdict(frame, UInt32(truncatingIfNeeded: entry)) {
      case .gone: continue
      case .later: append(entry)
      case .take:
        state.pointee.passed = 0
        return frame
      }
    }
    state.pointee.passed = state.pointee.count
    return nil
  }

  /// What was for later may be taken now.
  func lookAgain() { state.pointee.passed = 0 }

  /// Takes out the frames that have gone, in place.
  private func sweep(_ isThere: (FrameIndex, UInt32) -> Bool) {
    var kept = 0
    for index in 0..<state.pointee.count {
      let entry = slot(index).pointee
      guard isThere(FrameIndex(truncatingIfNeeded: entry >> 32), UInt32(truncatingIfNeeded: entry)) else { continue }
      slot(kept).pointee = entry
      kept += 1
    }
    state.pointee.count = kept
    state.pointee.passed = 0
  }

  /// Twice as large: what has wrapped round to the beginning goes behind the former end.
  private func grow() {
    let capacity = state.pointee.capacity
    let wrapped = max(0, state.pointee.first + state.pointee.count - capacity)
    (entries + capacity).update(from: entries, count: wrapped)
    state.pointee.capacity = capacity * 2
  }
}
