// SPDX-License-Identifier: Apache-2.0
//
// @NAME@: a transform that shortens runs of equal bytes. Put your own codec into encode and decode, and say in `about`
// what it is.
public import StowageTier

/// Yours to fill in: an SPDX expression, such as "MIT".
private let licence: StaticString = "LicenseRef-fill-in"

/// A control byte below 128 stands before that many bytes and one more, as they are. One from 128 on stands before a
/// single byte that is repeated as often as the control byte says, less 125: 3 to 130 times.
struct RunLengthTier: TransformTier {
  static let about = TierDescription(
    name: "@NAME@", version: "0.1.0", summary: "Shortens runs of equal bytes.", priority: 150,
    // Calls may run side by side: nothing changes in an instance after it was opened.
    threads: .parallel, optional: [.swapSafe, .deterministic],
    options: [.number("run-min", "the shortest run that is shortened, in bytes", default: 3, in: 3...130)],
    licence: licence)

  private static var plainMax: Int { 128 }
  private static var runMax: Int { 130 }

  let host: TierHost
  let runMin: Int

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    runMin = try arguments.number("run-min")
  }

  /// How often the byte at a place is there, one after the other.
  private func run(at start: Int, in bytes: UnsafeRawBufferPointer) -> Int {
    let end = min(bytes.count, start + Self.runMax)
    var next = start + 1
    while next < end, bytes[next] == bytes[start] { next += 1 }
    return next - start
  }

  func encode(_ job: EncodeJob, _: inout NoContext) throws(TierError) -> Int {
    let (input, output) = (job.input, job.output)
    var (at, out) = (0, 0)
    while at < input.count {
      let run = run(at: at, in: input)
      if run >= runMin {
        guard output.count - out >= 2 else { throw .tooBig }
        output[out] = UInt8(run + 125)
        output[out + 1] = input[at]
        (at, out) = (at + run, out + 2)
        continue
      }
      // Bytes as they are, up to the next run.
      var end = at
      while end < input.count, end - at < Self.plainMax, self.run(at: end, in: input) < runMin { end += 1 }
      guard output.count - out >= 1 + end - at else { throw .tooBig }
      output[out] = UInt8(end - at - 1)
      for place in at..<end { output[out + 1 + place - at] = input[place] }
      (at, out) = (end, out + 1 + end - at)
    }
    return out
  }

  /// The input may be damaged: nothing in it is believed before it is compared with what is there.
  func decode(_ job: DecodeJob, _: inout NoContext) throws(TierError) {
    let (input, output) = (job.input, job.output)
    var (at, out) = (0, 0)
    while at < input.count {
      let control = Int(input[at])
      at += 1
      let isRun = control >= Self.plainMax
      let count = isRun ? control - 125 : control + 1
      guard count <= output.count - out else { throw host.fail(.corrupt, "it holds more than the object is long") }
      guard (isRun ? 1 : count) <= input.count - at else { throw host.fail(.corrupt, "it ends too early") }
      for place in 0..<count { output[out + place] = input[isRun ? at : at + place] }
      at += isRun ? 1 : count
      out += count
    }
    guard out == output.count else { throw host.fail(.corrupt, "it holds less than the object is long") }
  }
}

@c @implementation
public func stowage_tier_entry(_ host: HostTable) -> TierTable? {
  RunLengthTier.entry(host) { RunLengthTier.open($0, $1) }
}
