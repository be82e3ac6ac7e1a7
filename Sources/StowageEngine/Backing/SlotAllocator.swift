// SPDX-License-Identifier: Apache-2.0

/// Which slots of a backing are in use: one bit each. Guarded by the engine's lock.
///
/// Slots are handed out in runs that are as long as possible near a cursor that moves on (next fit), so that frames
/// that go down together lie together and are written by one call.
struct SlotAllocator: @unchecked Sendable {
  private let region: Region
  private let state: UnsafeMutablePointer<State>
  /// Of a session's tier, by word: the slots that the last completed checkpoint needs, those that the one under way needs,
  /// and those of both that nobody else needs any more.
  private let holds: Region?

  private struct State {
    var total: Int
    var used = 0
    /// In words of 64 slots.
    var cursor = 0
    var touchedWords = 0
    /// Words all of whose slots became free since they were last trimmed, at most.
    var trimmable = 0
    var trimCursor = 0
    /// Slots that are in use for the sake of a checkpoint only.
    var released = 0
  }

  /// Slots of one store's backing at most: positions have 32 bits.
  static let capacity = 1 << 32
  /// Where a frame is whose slot the backing does not have any more. No backing has this slot.
  static let nowhere = capacity - 1

  /// - Parameter isHeld: whether checkpoints hold slots.
  init(total: Int, isHeld: Bool = false) throws(StoreError) {
    // A word for use and a word for "was written since the last trim", side by side.
    region = try Region(byteCount: Self.capacity / 64 * 16)
    holds = isHeld ? try Region(byteCount: Self.capacity / 64 * 32) : nil
    state = .allocate(capacity: 1)
    state.initialize(to: State(total: min(total, Self.nowhere)))
  }

  func unmap() {
    region.unmap()
    holds?.unmap()
    state.deallocate()
  }

  var total: Int { state.pointee.total }
  var used: Int { state.pointee.used }
  var byteCount: Int { state.pointee.touchedWords * (holds == nil ? 16 : 48) }
  /// Slots that only the last checkpoint needs: the next one frees them.
  var released: Int { state.pointee.released }
  var hasTrimmable: Bool { state.pointee.trimmable > 0 }

  func setTotal(_ total: Int) { state.pointee.total = min(total, Self.nowhere) }

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
    guard slot != Self.nowhere else { return }
    let index = slot / 64
    if let hold = hold(index), (hold[0] | hold[1]) >> UInt64(slot % 64) & 1 != 0 {
      hold[2] |= 1 << UInt64(slot % 64)
      state.pointee.released += 1
      return
    }
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

/// Slots that checkpoints need: until the next one has completed they are not used again, whatever becomes of the pages.
extension SlotAllocator {
  private func hold(_ index: Int) -> UnsafeMutablePointer<UInt64>? {
    holds.map { $0.base.assumingMemoryBound(to: UInt64.self) + index * 4 }
  }

  /// The checkpoint under way needs all slots that are in use now, those of the last one only that are not.
  func beginHolding() {
    for index in 0..<state.pointee.touchedWords {
      guard let hold = hold(index) else { return }
      hold[1] = word(index).pointee & ~hold[2]
    }
  }

  /// The checkpoint under way does not need this slot; the last one does, until it has completed.
  func leaveToLast(_ slot: Int) { hold(slot / 64)?[1] &= ~(1 << UInt64(slot % 64)) }

  /// The checkpoint under way needs this slot, which is in use.
  func holdForNext(_ slot: Int) { hold(slot / 64)?[1] |= 1 << UInt64(slot % 64) }

  /// Whether the last completed checkpoint needs the slot.
  func isHeld(_ slot: Int) -> Bool { hold(slot / 64).map { $0[0] >> UInt64(slot % 64) & 1 != 0 } ?? false }

  /// The checkpoint under way has completed, or was given up. Slots that neither needs any more are free: how many.
  /// - Parameter keepsBoth: it is not known which of the two holds: what either needs stays.
  @discardableResult func endHolding(completed: Bool, keepsBoth: Bool = false) -> Int {
    var count = 0
    for index in 0..<state.pointee.touchedWords {
      guard let hold = hold(index) else { return 0 }
      if keepsBoth { hold[0] |= hold[1] } else if completed { hold[0] = hold[1] }
      hold[1] = 0
      var freed = hold[2] & ~hold[0]
      hold[2] &= ~freed
      count += freed.nonzeroBitCount
      while freed != 0 {
        state.pointee.released -= 1
        free(index * 64 + freed.trailingZeroBitCount)
        freed &= freed - 1
      }
    }
    return count
  }

  /// Marks a slot as in use, and needed by the last completed checkpoint: what is found in a session that is resumed. False
  /// when it is not there, or in use already.
  func adopt(_ slot: Int) -> Bool {
    let index = slot / 64
    let bit: UInt64 = 1 << UInt64(slot % 64)
    guard slot < state.pointee.total, word(index).pointee & bit == 0 else { return false }
    if written(index).pointee != 0, word(index).pointee == 0 { state.pointee.trimmable -= 1 }
    word(index).pointee |= bit
    written(index).pointee |= bit
    hold(index)?[0] |= bit
    state.pointee.touchedWords = max(state.pointee.touchedWords, index + 1)
    state.pointee.used += 1
    return true
  }

}
