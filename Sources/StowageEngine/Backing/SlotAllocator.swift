// SPDX-License-Identifier: Apache-2.0

/// Which slots of a backing are in use: one bit each. Guarded by the engine's lock.
///
/// Slots are handed out in runs that are as long as possible near a cursor that moves on (next fit), so that frames
/// that go down together lie together and are written by one call.
struct SlotAllocator: @unchecked Sendable {
  private let region: Region
  private let state: UnsafeMutablePointer<State>

  private struct State {
    var total: Int
    var used = 0
    /// In words of 64 slots.
    var cursor = 0
    var touchedWords = 0
    /// Words all of whose slots became free since they were last trimmed, at most.
    var trimmable = 0
    var trimCursor = 0
  }

  /// Slots of one store's backing at most: positions have 32 bits.
  static let capacity = 1 << 32

  init(total: Int) throws(StoreError) {
    // A word for use and a word for "was written since the last trim", side by side.
    region = try Region(byteCount: Self.capacity / 64 * 16)
    state = .allocate(capacity: 1)
    state.initialize(to: State(total: min(total, Self.capacity)))
  }

  func unmap() {
    region.unmap()
    state.deallocate()
  }

  var total: Int { state.pointee.total }
  var used: Int { state.pointee.used }
  var byteCount: Int { state.pointee.touchedWords * 16 }
  var hasTrimmable: Bool { state.pointee.trimmable > 0 }

  func setTotal(_ total: Int) { state.pointee.total = min(total, Self.capacity) }

  private func word(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    region.base.assumingMemoryBound(to: UInt64.self) + index * 2
  }

  private func written(_ index: Int) -> UnsafeMutablePointer<UInt64> { word(index) + 1 }

  private var words: Int { (state.pointee.total + 63) / 64 }

  /// The free slots of a word, those past the end not among them.
  private func freeBits(_ index: Int) -> UInt64 {
    let left = state.pointee.total - index * 64
    let mask: UInt64 = left >= 64 ? .max : (1 << UInt64(max(0, left))) - 1
    return ~word(index).pointee & mask
  }

  /// Hands out up to `count` slots, in order; each is told to `body` with its number in the call. Returns how many.
  func allocate(_ count: Int, _ body: (Int, Int) -> Void) -> Int {
    guard state.pointee.used < state.pointee.total else { return 0 }
    var got = 0
    // Whole free words first, for long runs; then whatever is free.
    for wholeOnly in [count >= 32, false] {
      var visited = 0
      while got < count, visited <= words {
        if state.pointee.cursor >= words { state.pointee.cursor = 0 }
        let index = state.pointee.cursor
        let free = freeBits(index)
        if free != 0, !wholeOnly || free == .max { got = take(index, free, got, count, body) }
        guard got < count else { break }
        state.pointee.cursor += 1
        visited += 1
      }
      if got == count { break }
    }
    return got
  }

  private func take(_ index: Int, _ free: UInt64, _ got: Int, _ count: Int, _ body: (Int, Int) -> Void) -> Int {
    var free = free
    var got = got
    if written(index).pointee != 0, word(index).pointee == 0 { state.pointee.trimmable -= 1 }
    state.pointee.touchedWords = max(state.pointee.touchedWords, index + 1)
    while free != 0, got < count {
      let bit = free.trailingZeroBitCount
      free &= free - 1
      word(index).pointee |= 1 << UInt64(bit)
      written(index).pointee |= 1 << UInt64(bit)
      state.pointee.used += 1
      body(got, index * 64 + bit)
      got += 1
    }
    return got
  }

  func free(_ slot: Int) {
    let index = slot / 64
    word(index).pointee &= ~(1 << UInt64(slot % 64))
    state.pointee.used -= 1
    if word(index).pointee == 0, written(index).pointee != 0 { state.pointee.trimmable += 1 }
  }

  /// The next 64 slots that are all free and were written: taken, until `endTrim` gives them back.
  func beginTrim() -> Int? {
    guard state.pointee.trimmable > 0 else { return nil }
    let limit = state.pointee.touchedWords
    for _ in 0..<limit {
      if state.pointee.trimCursor >= limit { state.pointee.trimCursor = 0 }
      let index = state.pointee.trimCursor
      state.pointee.trimCursor += 1
      if word(index).pointee == 0, written(index).pointee != 0, (index + 1) * 64 <= state.pointee.total {
        word(index).pointee = .max
        written(index).pointee = 0
        state.pointee.used += 64
        state.pointee.trimmable -= 1
        return index * 64
      }
    }
    state.pointee.trimmable = 0
    return nil
  }

  func endTrim(_ first: Int) {
    word(first / 64).pointee = 0
    state.pointee.used -= 64
  }
}
