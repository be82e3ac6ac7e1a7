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

  /// Checkpoints of one size: how much of what they wrote was written again, and how often something was at most.
  @Test("no record is written again more than five times in 100,000 checkpoints with room for 24 deltas")
  func amplification() {
    var deltas: [(note: DeltaNote, length: Int)] = []
    var (rewritten, most) = (0, 0)
    for _ in 0..<100_000 {
      if deltas.count == 24 {
        let first = DeltaNote.firstToMerge(deltas.map(\.note))
        let merged = (
          DeltaNote(merging: deltas[first...].map(\.note)[...]), deltas[first...].reduce(0) { $0 + $1.length }
        )
        deltas.replaceSubrange(first..., with: [merged])
        rewritten += merged.1
        most = max(most, merged.0.rank)
      }
      deltas.append((note(rank: 0), 1))
      #expect(deltas.count <= 24)
    }
    #expect(most <= 5 && rewritten < 500_000, "\(most) times, \(rewritten) in all")
  }
}
