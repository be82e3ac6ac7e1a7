// SPDX-License-Identifier: Apache-2.0

/// Planning which chunks share a frame.
extension Engine {
  /// Sorts the items into frames. Each frame begins with the longest chunk left; its room is filled by the chunk, or the
  /// pair of chunks, that leaves least of it (after the minimum bin slack heuristic of Gupta and Ho, 1999, kept to two).
  /// Persistent and discardable pages get frames of their own, so that dropping the latter frees whole frames.
  ///
  /// Returns the number of frames; `sorted` then has the items grouped by frame, and each frame's `room` is the place
  /// of its first item there.
  func planBins(_ space: JobSpace, _ count: Int) -> Int {
    var bins = 0
    for discardable in [false, true] {
      var left = sortByLength(space, count, discardable: discardable)
      while left > 0 {
        left -= 1
        let item = space.items + Int(space.sorted[left])
        space.bins[bins] = Bin(
          room: Int32(pageSize), count: 0, idBase: codec.base(for: item.pointee.id), isDiscardable: discardable)
        place(item, in: bins, space)
        fill(bins, space, &left)
        bins += 1
      }
    }
    groupByBin(space, count, bins)
    return bins
  }

  private func place(_ item: UnsafeMutablePointer<Item>, in bin: Int, _ space: JobSpace) {
    space.bins[bin].room -= Int32(item.pointee.length)
    space.bins[bin].count += 1
    item.pointee.bin = Int32(bin)
  }

  /// Fills a frame from `sorted[..<left]`, which is in ascending order of length and stays so.
  private func fill(_ bin: Int, _ space: JobSpace, _ left: inout Int) {
    while left > 0, space.bins[bin].count < Int32(FrameTable.chunksMax) - 1 {
      let room = Int(space.bins[bin].room)
      let fitting = countFitting(space, left, room)
      guard fitting > 0 else { return }
      let (first, second) = bestFill(space, fitting, room)
      // The higher place first, so that the lower one stays what it is.
      for position in [first, second] where position >= 0 {
        let item = space.items + Int(space.sorted[position])
        // Ids too far apart cannot share a frame; a frame of older chunks ends there.
        guard codec.fits(item.pointee.id, base: space.bins[bin].idBase) else { return }
        place(item, in: bin, space)
        (space.sorted + position).update(from: space.sorted + position + 1, count: left - position - 1)
        left -= 1
      }
    }
  }

  /// How many of the items, from the shortest on, are no longer than `room`.
  private func countFitting(_ space: JobSpace, _ left: Int, _ room: Int) -> Int {
    var (low, high) = (0, left)
    while low < high {
      let middle = (low + high) / 2
      if Int(space.items[Int(space.sorted[middle])].length) <= room { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The chunk, or the two chunks, of the first `fitting` that leave least of `room`; -1 for no second one. Looks at a
  /// bounded number of pairs.
  private func bestFill(_ space: JobSpace, _ fitting: Int, _ room: Int) -> (Int, Int) {
    func length(_ position: Int) -> Int { Int(space.items[Int(space.sorted[position])].length) }
    var best = (fitting - 1, -1)
    var slack = room - length(fitting - 1)
    guard slack > 8 else { return best }
    let stride = max(1, fitting / 60)
    var position = fitting - 1
    while position > 0, slack > 4 {
      let rest = room - length(position)
      let other = countFitting(space, position, rest) - 1
      if other >= 0, rest - length(other) < slack {
        slack = rest - length(other)
        best = (position, other)
      }
      position -= stride
    }
    return best
  }

  /// Puts the items of one kind into `sorted`, shortest first: a counting sort in 256 steps, then an insertion sort of
  /// what is nearly in order. The number of them.
  private func sortByLength(_ space: JobSpace, _ count: Int, discardable: Bool) -> Int {
    let shift = pageSize.trailingZeroBitCount - 8
    var total = 0
    withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 258) { starts in
      starts.initialize(repeating: 0)
      for index in 0..<count where space.items[index].place.isDiscardable == discardable {
        starts[Int(space.items[index].length) >> shift] += 1
        total += 1
      }
      var sum: UInt16 = 0
      for key in 0..<258 {
        let size = starts[key]
        starts[key] = sum
        sum += size
      }
      // Backwards: of equal chunks the oldest is last, as frames are begun from the end.
      for index in stride(from: count - 1, through: 0, by: -1)
      where space.items[index].place.isDiscardable == discardable {
        let key = Int(space.items[index].length) >> shift
        space.sorted[Int(starts[key])] = UInt32(index)
        starts[key] += 1
      }
    }
    for index in stride(from: 1, to: total, by: 1) {
      let moved = space.sorted[index]
      let length = space.items[Int(moved)].length
      var at = index
      while at > 0, space.items[Int(space.sorted[at - 1])].length > length {
        space.sorted[at] = space.sorted[at - 1]
        at -= 1
      }
      space.sorted[at] = moved
    }
    return total
  }

  /// Orders `sorted` by frame; each frame's `room` becomes the place of its first item.
  private func groupByBin(_ space: JobSpace, _ count: Int, _ bins: Int) {
    var first: Int32 = 0
    for bin in 0..<bins {
      let size = space.bins[bin].count
      space.bins[bin].room = first
      space.bins[bin].count = 0
      first += size
    }
    for index in 0..<count {
      let bin = Int(space.items[index].bin)
      space.sorted[Int(space.bins[bin].room + space.bins[bin].count)] = UInt32(index)
      space.bins[bin].count += 1
    }
  }
}
