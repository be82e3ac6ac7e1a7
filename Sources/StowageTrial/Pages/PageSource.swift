// SPDX-License-Identifier: Apache-2.0

/// Something that pages are read from while a trial runs. Used by one thread at a time.
protocol PageSource: AnyObject {
  /// For people, such as "process 812 (postgres)".
  var name: String { get }

  /// Names one page for people.
  func describe(_ position: UInt64) -> String

  /// Reads pages, one after the other, into `buffer`. Allocates nothing.
  /// - Parameters:
  ///   - positions: the numbers of the pages.
  ///   - buffer: has room for all of them.
  ///   - present: gets, for each page, whether it could be read; a page of a living process may be
  ///     gone by now.
  func read(
    _ positions: UnsafeBufferPointer<UInt64>, into buffer: UnsafeMutableRawBufferPointer,
    present: UnsafeMutableBufferPointer<Bool>)
}

extension PageSource {
  /// Reads neighbours with one call of `readRun`, which returns how many bytes it got; 0 or less when
  /// the first page cannot be read.
  func readRuns(
    _ positions: UnsafeBufferPointer<UInt64>, pageSize: Int,
    into buffer: UnsafeMutableRawBufferPointer, present: UnsafeMutableBufferPointer<Bool>,
    readRun: (_ offset: Int, _ target: UnsafeMutableRawPointer, _ length: Int) -> Int
  ) {
    var first = 0
    while first < positions.count {
      var end = first + 1
      while end < positions.count, positions[end] == positions[end - 1] + 1 { end += 1 }
      while first < end {
        let offset = Int(positions[first]) * Int(pageSize)
        let target = buffer.baseAddress! + first * pageSize
        let got = max(0, readRun(offset, target, (end - first) * pageSize)) / pageSize
        for i in first..<first + got { present[i] = true }
        first += got
        if first < end {
          present[first] = false
          first += 1
        }
      }
    }
  }
}
