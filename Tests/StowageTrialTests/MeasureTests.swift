// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageBasics
import Testing

@testable import StowageTrial

@Suite struct MeasureTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func percentilesAreRightToOnePercent(seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    let histogram = LatencyHistogram()
    var values: [UInt64] = []
    for _ in 0..<50_000 {
      // Evenly over the magnitudes from 1 ns to 17 s.
      let value = generator.next() >> UInt64.random(in: 30...63, using: &generator)
      values.append(value)
      histogram.record(value)
    }
    values.sort()
    #expect(histogram.count == 50_000)
    #expect(histogram.total == values.reduce(0, +))
    #expect(histogram.maximum == values.last)
    for share in [0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1] {
      let exact = Double(values[Int((share * 50_000).rounded(.up)) - 1])
      #expect(abs(histogram.percentile(share) - exact) <= exact * 0.01 + 0.5)
    }
  }

  @Test func histogramsAdd() {
    let one = LatencyHistogram()
    let two = LatencyHistogram()
    #expect(one.percentile(0.5) == 0)
    for value in 1...100 { one.record(UInt64(value)) }
    for value in 101...200 { two.record(UInt64(value)) }
    one.add(two)
    #expect(one.percentile(0.5) == 100)
    #expect(one.percentile(1) == 200)
    one.record(.max)
    #expect(one.percentile(1) > 1.8e19)
  }

  @Test func readsStatusFields() {
    let text =
      "Name:\tx\nVmLck:\t    8 kB\nRssAnon:\t 100 kB\nRssFile:\t 5 kB\nRssShmem:\t 20 kB\n"
      + "HugetlbPages:\t 2048 kB\n"
    Array(text.utf8).withUnsafeBytes { bytes in
      let fields = StatusFields(bytes)
      #expect(fields.anonymous == 100 && fields.shared == 20 && fields.huge == 2048 && fields.locked == 8)
      #expect(fields.usedBytes == (120 + 2048) << 10)
    }
    Array("RssAnon: 100 kB\nVmLck: 300 kB".utf8).withUnsafeBytes { bytes in
      #expect(StatusFields(bytes).usedBytes == 300 << 10)
    }
  }

  @Test(.timeLimit(.minutes(1))) func theSamplerSeesWhatIsUsed() throws {
    // Other tests in this process use and free memory meanwhile, now and then as much: then it is measured again.
    var seen: (peak: Int, phase: Int) = (0, 0)
    for _ in 0..<10 where seen.peak <= 32 << 20 || seen.phase <= 32 << 20 { seen = try measured(64 << 20) }
    #expect(seen.peak > 32 << 20)
    #expect(seen.phase > 32 << 20)
  }

  /// What the sampler sees while so much memory is used for a moment.
  private func measured(_ length: Int) throws -> (peak: Int, phase: Int) {
    let sampler = try #require(MemorySampler())
    sampler.start()
    let memory = try #require(mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    memset(memory, 1, length)
    usleep(100_000)
    munmap(memory, length)
    sampler.stop()
    return (sampler.peakBytes, sampler.takePhasePeak())
  }

  @Test func destructorCallsAreCountedPageByPage() {
    let drops = DropLedger(count: 4)
    drops.note(tag: 2, reason: 1)
    drops.note(tag: 3, reason: 0)
    drops.note(tag: 3, reason: 2)
    drops.note(tag: 4, reason: 0)
    #expect((0..<4).map(drops.calls(of:)) == [0, 0, 1, 2])
    #expect((0..<4).map(drops.reason(of:)) == [nil, nil, 1, 0])
    #expect(drops.calls == 4)
    #expect(drops.strays == 1)
  }
}
