// SPDX-License-Identifier: Apache-2.0

/// How a checkpoint writes the index.
enum IndexWriting: Equatable {
  /// What has changed since the last one.
  case delta
  /// The same, and before it one delta in place of those from this one on.
  case merged(first: Int)
  case whole
}

/// What is known of one delta of the index, so that it can be replaced together with others.
struct DeltaNote: Equatable {
  var bytes = 0
  var slots: [UInt32] = []
  /// Numbers of the pages and frames of which it has records, each ascending.
  var pages: [UInt32] = []
  var frames: [FrameIndex] = []
  /// How often records of it have been written once more, at most.
  var rank = 0

  init() {}

  /// What some deltas have together.
  init(merging deltas: ArraySlice<DeltaNote>) {
    pages = Self.union(deltas.map(\.pages))
    frames = Self.union(deltas.map(\.frames))
    rank = (deltas.map(\.rank).max() ?? 0) + 1
  }

  private static func union(_ lists: [[UInt32]]) -> [UInt32] {
    // Ascending runs, which is what sorting is fast with.
    var numbers = Array(lists.joined())
    numbers.sort()
    var kept = 0
    for number in numbers where kept == 0 || numbers[kept - 1] != number {
      numbers[kept] = number
      kept += 1
    }
    numbers.removeLast(numbers.count - kept)
    return numbers
  }

  /// Takes no more RAM than there is in it.
  mutating func shrink() {
    pages = pages.withUnsafeBufferPointer(Array.init)
    frames = frames.withUnsafeBufferPointer(Array.init)
  }

  /// RAM that it takes.
  var byteCount: Int { (slots.capacity + pages.capacity + frames.capacity) * 4 }

  /// About how long a delta with so many records is.
  static func length(pages: Int, frames: Int) -> Int { pages * 24 + frames * 80 }

  /// From which delta on they are merged when there is no room for one more: the last ones of the lowest rank; a single one
  /// together with those of the next. So with room for k of them each record is written h times at most until there were
  /// more than "k + h over h" checkpoints: with 24, five times in a hundred thousand.
  ///
  /// Expects two at least.
  static func firstToMerge(_ deltas: [DeltaNote]) -> Int {
    var first = deltas.count - 1
    func reach(_ rank: Int) { while first > 0, deltas[first - 1].rank <= rank { first -= 1 } }
    reach(deltas[first].rank)
    if first == deltas.count - 1 { reach(deltas[first - 1].rank) }
    return first
  }

  /// The rank of one that an earlier run left, which nobody knows: a long one is not to be written again with the next few.
  static func rank(ofLength bytes: Int) -> Int { bytes > 65536 ? 1 : 0 }
}
