// SPDX-License-Identifier: Apache-2.0
import StowageBasics
import Testing

@testable import StowageTrial

@Suite struct PageRunsTests {
  @Test func neighboursBecomeOneRun() {
    var pages = PageRuns()
    pages.append(3..<5)
    pages.append(5..<6)
    pages.append(9..<9)
    pages.append(10..<12)
    #expect(pages.runs == [3..<6, 10..<12])
    #expect(pages.count == 5)
  }

  @Test(arguments: [0, 1, 2, 7, 99, 100, 1000])
  func samplesAreSpreadEvenly(wanted: Int) {
    var pages = PageRuns()
    pages.append(100..<130)
    pages.append(200..<270)
    let all = Array(UInt64(100)..<130) + Array(200..<270)
    var samples: [UInt64] = []
    pages.forEachEvenly(wanted) { samples.append($0) }
    #expect(samples.count == min(wanted, 100))
    #expect(Set(samples).count == samples.count)
    let places = samples.map { all.firstIndex(of: $0)! }
    #expect(places == places.sorted())
    for (before, after) in zip(places, places.dropFirst()) {
      #expect(abs(Double(after - before) - 100 / Double(samples.count)) < 1)
    }
  }

  @Test func referencesKeepSourceAndPosition() {
    let reference = PageReference(source: 1_048_575, position: 1 << 44 - 1)
    #expect(reference.source == 1_048_575)
    #expect(reference.position == 1 << 44 - 1)
    #expect(PageReference(rawValue: reference.rawValue) == reference)
  }

  @Test func theSameSeedGivesTheSameNumbers() {
    var one = SeededRandom(seed: 1234567)
    var two = SeededRandom(seed: 1234567)
    // The first number is that of the generator's published reference.
    #expect(one.next() == 6_457_827_717_110_365_317)
    _ = two.next()
    #expect((0..<100).allSatisfy { _ in one.next() == two.next() })
  }
}
