// SPDX-License-Identifier: Apache-2.0
@testable import StowageEngine
import Testing

/// Which deltas of a session's index are merged.
struct DeltaNoteTests {
  private func note(rank: Int, pages: [UInt32] = [], frames: [UInt32] = []) -> DeltaNote {
    var note = DeltaNote()
    (note.rank, note.pages, note.frames) = (rank, pages, frames)
    return note
  }

  @Test("the last ones of the lowest rank; a single one goes with those of the next", arguments: [
    ([0, 0], 0), ([1, 0], 0), ([1, 0, 0], 1), ([1, 1, 0], 0), ([2, 1, 1, 0], 1), ([3, 2, 2, 0, 0, 0], 3),
    // As a resume may find them.
    ([0, 1, 0], 0), ([0, 0, 1, 0, 0], 3), ([1, 0, 1], 0),
  ])
  func first(ranks: [Int], first: Int) {
    #expect(DeltaNote.firstToMerge(ranks.map { note(rank: $0) }) == first)
  }

  @Test("together they have what any of them has, once, in order")
  func together() {
    let merged = DeltaNote(merging: [note(rank: 2, pages: [1, 5, 9], frames: [2]), note(rank: 0, pages: [0, 5, 9, 70])])
    #expect(merged.pages == [0, 1, 5, 9, 70] && merged.frames == [2] && merged.rank == 3)
    #expect(DeltaNote(merging: [note(rank: 0)]).pages.isEmpty)
  }

  /// Checkpoints of one size, and room for so many deltas: records that were written once more, and how often one was at
  /// most. As few as they are now: that each is rewritten h times at most still lets most of them be rewritten as often.
  @Test("records are not written again more often than they have to be", arguments: [
    (24, 1000, 1820, 2), (24, 10_000, 28_535, 3), (24, 100_000, 491_806, 5), (8, 1000, 4382, 5), (4, 1000, 12_579, 16),
  ])
  func amplification(room: Int, checkpoints: Int, rewrittenMax: Int, timesMax: Int) {
    var deltas: [(note: DeltaNote, length: Int)] = []
    var (rewritten, times) = (0, 0)
    for _ in 0..<checkpoints {
      if deltas.count == room {
        let first = DeltaNote.firstToMerge(deltas.map(\.note))
        let merged = (
          DeltaNote(merging: deltas[first...].map(\.note)[...]), deltas[first...].reduce(0) { $0 + $1.length }
        )
        deltas.replaceSubrange(first..., with: [merged])
        rewritten += merged.1
        times = max(times, merged.0.rank)
      }
      deltas.append((note(rank: 0), 1))
      #expect(deltas.count <= room)
    }
    #expect(deltas.reduce(0) { $0 + $1.length } == checkpoints)
    #expect(times <= timesMax && rewritten <= rewrittenMax, "\(times) times, \(rewritten) in all")
  }
}
