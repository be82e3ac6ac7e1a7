// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageEngine
internal import Synchronization

/// One asynchronous request, with what became of it. Never freed: a tier that completes a request twice finds it still
/// there.
final class PendingRequest: @unchecked Sendable {
  let request: UnsafeMutablePointer<stowage_request>
  let room: PlainRoom
  private let objects: UnsafeMutablePointer<stowage_object>
  private let completions = Atomic<Int>(0)
  private let result = Atomic<Int32>(.max)
  /// Called inside of `complete`, on the tier's thread.
  var whenDone: (@Sendable (PendingRequest) -> Void)?

  init(_ bench: BackingBench, _ operation: UInt32, slot: Int, count: Int, deadline: UInt64) {
    let tier = bench.tier
    let isTransfer = operation == STOWAGE_OPERATION_READ || operation == STOWAGE_OPERATION_WRITE
    room = PlainRoom(max(1, isTransfer ? count : 1) * tier.pageSize)
    objects = .allocate(capacity: max(1, count))
    for index in 0..<max(1, count) {
      objects[index] = tier.object(UInt64(slot + index + 1), length: tier.pageSize, flags: UInt32(STOWAGE_OBJECT_FRAME))
    }
    request = .allocate(capacity: 1)
    request.initialize(
      to: stowage_request(
        struct_size: UInt32(MemoryLayout<stowage_request>.size), operation: operation, slot: UInt64(slot),
        slot_count: UInt32(operation == STOWAGE_OPERATION_SYNC ? 0 : count), reserved: 0,
        buffer: isTransfer ? room.base.assumingMemoryBound(to: UInt8.self) : nil, objects: isTransfer ? objects : nil,
        deadline_ns: deadline, complete: { PendingRequest.complete($0, $1) }, host_data: nil, tier_data: nil,
        tier_number: 0))
    request.pointee.host_data = Unmanaged.passRetained(self).toOpaque()
  }

  private static func complete(_ request: UnsafeMutablePointer<stowage_request>, _ result: Int32) {
    guard let data = request.pointee.host_data else { return }
    let pending = Unmanaged<PendingRequest>.fromOpaque(data).takeUnretainedValue()
    pending.result.store(result, ordering: .relaxed)
    pending.completions.add(1, ordering: .releasing)
    pending.whenDone?(pending)
  }

  /// How often it was completed, and with what the last time.
  var completionCount: Int { completions.load(ordering: .acquiring) }
  var resultCode: Int32 { result.load(ordering: .relaxed) }
  var isDone: Bool { completionCount > 0 }
}

/// Offers requests to a backing and waits for them.
struct RequestDriver: Sendable {
  let bench: BackingBench
  /// How long nothing may come of requests that have all the time in the world. Each one that is taken or completed
  /// begins it anew: how long many of them take is the affair of the machine.
  static let patience = Duration.seconds(5)

  /// Not applicable to tiers that take no requests.
  init(_ bench: BackingBench) throws {
    self.bench = bench
    guard bench.tier.backing.pointee.submit != nil else {
      throw bench.run.notApplicable("the tier takes no requests (submit)")
    }
  }

  var now: UInt64 { HostTable.shared.pointee.now_ns() }

  func make(_ operation: UInt32, slot: Int = 0, count: Int = 1, deadlineIn: Duration = .seconds(10)) -> PendingRequest {
    let deadline = now &+ UInt64(max(0, deadlineIn / .nanoseconds(1)))
    return PendingRequest(bench, operation, slot: slot, count: count, deadline: deadline)
  }

  func write(_ slot: Int, _ versions: [Int]) -> PendingRequest {
    let pending = make(UInt32(STOWAGE_OPERATION_WRITE), slot: slot, count: versions.count)
    for (index, version) in versions.enumerated() {
      bench.fill(pending.room.base + index * bench.tier.pageSize, slot: slot + index, version: version)
    }
    return pending
  }

  func read(_ slot: Int, _ count: Int) -> PendingRequest {
    make(UInt32(STOWAGE_OPERATION_READ), slot: slot, count: count)
  }

  /// One call of submit: its result and *taken.
  func offer(_ requests: ArraySlice<PendingRequest>) -> (code: Int32, taken: Int) {
    var taken: UInt32 = 0
    let pointers = requests.map(\.request)
    bench.run.notes.note(.submit, UInt64(pointers.count))
    HostTable.clearError()
    let code = pointers.withUnsafeBufferPointer {
      bench.tier.backing.pointee.submit!(
        bench.tier.instance, bench.context, $0.baseAddress!, UInt32(pointers.count), &taken)
    }
    return (code, Int(taken))
  }

  /// Offers requests, again and again as the host does, until all are taken.
  func submit(_ requests: [PendingRequest]) throws {
    var rest = requests[...]
    var end = ContinuousClock.now + Self.patience * 2
    while !rest.isEmpty {
      let (code, taken) = offer(rest)
      guard taken <= rest.count else { throw bench.run.fail("submit of \(rest.count) requests took \(taken)") }
      rest = rest.dropFirst(taken)
      if taken > 0 { end = ContinuousClock.now + Self.patience * 2 }
      if code == STOWAGE_UNSUPPORTED, rest.count == requests.count {
        throw bench.run.notApplicable("submit answers UNSUPPORTED with these options")
      }
      guard code == STOWAGE_OK || code == STOWAGE_RETRY else {
        throw bench.run.fail("submit answered \(OpenTier.said(code))")
      }
      guard ContinuousClock.now < end else {
        throw bench.run.late(
          "submit took none of \(rest.count) requests (of \(requests.count)) for \(Self.patience * 2)")
      }
      if !rest.isEmpty, taken == 0 { usleep(100) }
    }
  }

  /// Waits until all are completed, or none has been for as long as patience lasts.
  /// - Returns: how many are not.
  func wait(_ requests: [PendingRequest]) -> Int {
    var (end, missing) = (ContinuousClock.now + Self.patience, requests.count)
    while missing > 0, ContinuousClock.now < end {
      usleep(50)
      let left = requests.count { !$0.isDone }
      if left < missing { (end, missing) = (ContinuousClock.now + Self.patience, left) }
    }
    return missing
  }

  /// Waits until all are completed, at most so long.
  /// - Returns: how many are not.
  func wait(_ requests: [PendingRequest], atMost patience: Duration) -> Int {
    let end = ContinuousClock.now + patience
    while ContinuousClock.now < end {
      if requests.allSatisfy(\.isDone) { return 0 }
      usleep(50)
    }
    return requests.count { !$0.isDone }
  }

  /// Submits and waits; every one must be completed with OK.
  func perform(_ requests: [PendingRequest]) throws {
    try submit(requests)
    let missing = wait(requests)
    guard missing == 0 else {
      throw bench.run.late(
        "\(missing) of \(requests.count) requests were not completed: nothing came of them for \(Self.patience)")
    }
    for pending in requests {
      let result = pending.resultCode
      guard result == STOWAGE_OK else {
        let request = pending.request.pointee
        throw bench.run.fail(
          "a request (operation \(request.operation), slot \(request.slot)) ended with \(TierResult.name(result))")
      }
    }
  }

  /// Expects that a read that was performed gave these versions. One observation.
  func expect(_ pending: PendingRequest, _ versions: [Int], _ about: String) throws {
    let slot = Int(pending.request.pointee.slot)
    for (index, version) in versions.enumerated() {
      guard !bench.holds(pending.room.base + index * bench.tier.pageSize, slot: slot + index, version: version) else {
        continue
      }
      throw bench.run.fail("slot \(slot + index) does not hold what was written to it: \(about)")
    }
    try bench.run.expect(true, "")
  }
}
