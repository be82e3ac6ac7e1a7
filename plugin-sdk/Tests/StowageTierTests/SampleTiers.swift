// SPDX-License-Identifier: Apache-2.0
import StowageTier

/// A transform with everything: options, contexts, a sidecar, state and health.
struct SampleTransform: TransformTier, RekeyTier, ~Copyable {
  static let about = TierDescription(
    name: "sample", version: "1.2.3", summary: "For tests.", priority: 77, access: .transparent, threads: .parallel,
    required: [.mandatory], optional: [.integrity], sidecarLength: 1, offers: [.state, .health],
    options: [
      .number("add", "what to add to each byte", default: 1, in: 0...255),
      .text("word", "a word", secret: true),
      .choice("kind", "a kind", of: ["one", "two"], default: "one"),
      .path("place", "a place", required: true),
      .flag("loud", "says so"),
    ],
    vendor: "v", licence: "Apache-2.0")

  struct Context {
    var calls = 0
  }

  let host: TierHost
  var add: UInt8

  init(_ arguments: TierArguments) throws(TierError) {
    let add = try arguments.number("add")
    if add == 99 { throw arguments.host.fail(.invalid, "99 is\nbad") }
    if add == 98 { _ = try arguments.number("no-such") }
    if let word = try arguments.borrowedText("word") {
      guard word.elementsEqual("open".utf8) else { throw arguments.host.fail(.authentication, "\(word.count) bytes") }
    }
    // A type that cannot be copied gets its fields last, when nothing can throw any more.
    host = arguments.host
    self.add = UInt8(truncatingIfNeeded: add)
  }

  func openContext(for use: TierUse) throws(TierError) -> Context { Context() }

  func health() -> (state: TierHealth, message: String) { (.degraded, String(repeating: "é", count: 300)) }

  func saveState(_ room: inout TierStateRoom) throws(TierError) {
    try room.store([add, add])
  }

  mutating func loadState(_ state: UnsafeRawBufferPointer) throws(TierError) {
    guard state.count == 2 else { throw host.fail(.corrupt, "a state has 2 bytes") }
    add = state[0]
  }

  /// Both numbers, so that a test sees which instance is which.
  func saveState(for other: borrowing SampleTransform, _ room: inout TierStateRoom) throws(TierError) {
    if add == other.add { throw host.fail(.unsupported, "the same key") }
    try room.require(2)
    try room.store([add, other.add])
  }

  func encode(_ job: EncodeJob, _ context: inout Context) throws(TierError) -> Int {
    context.calls += 1
    guard job.output.count >= job.input.count else { throw .tooBig }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte &+ add }
    job.sidecar?.storeBytes(of: UInt8(truncatingIfNeeded: context.calls), as: UInt8.self)
    return job.input.count
  }

  func decode(_ job: DecodeJob, _ context: inout Context) throws(TierError) {
    guard job.input.count == job.output.count else { throw .corrupt }
    for (index, byte) in job.input.enumerated() { job.output[index] = byte &- add }
  }
}

/// A backing with the least, in memory.
struct SampleBacking: BackingTier {
  static let about = TierDescription(
    name: "slots", version: "0.0.1", summary: "For tests.", priority: 900, offers: [.map])

  let host: TierHost
  let slots: UnsafeMutableRawBufferPointer

  init(_ arguments: TierArguments) throws(TierError) {
    host = arguments.host
    slots = try host.allocate(8 * arguments.pageSize)
  }

  mutating func close() { host.free(slots) }
  func slotCount() -> UInt64 { 8 }

  func read(_ run: SlotRun, into buffer: UnsafeMutableRawBufferPointer, _: inout NoContext) {
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: slots[run.offset..<run.offset + run.byteCount]))
  }

  func write(_ run: SlotRun, from buffer: UnsafeRawBufferPointer, _: inout NoContext) throws(TierError) {
    if run.first == 7 { throw host.fail(.full, "slot 7 is full") }
    UnsafeMutableRawBufferPointer(rebasing: slots[run.offset...]).copyMemory(from: buffer)
  }

  func map(_ slot: UInt64) -> UnsafeRawPointer? { slot == 0 ? UnsafeRawPointer(slots.baseAddress) : nil }
}
