// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import CStowageTier
import Synchronization

/// The engine's way into one backing: slots, requests, deadlines.
///
/// Every call works on buffers of the host's own and is made on I/O threads: the plain form of it, or handing the request
/// to a backing that offers the asynchronous form. So a call that hangs takes neither a caller's nor a worker's thread with
/// it. Past its deadline a request is set aside with its buffer, its slots and its segment until the tier ends it.
final class BackingPort: @unchecked Sendable {
  let level: Int
  let name: String
  let slots: SlotAllocator
  let queue: FrameQueue
  private let calls: TierCalls
  let pageSize: Int
  let deadline: UInt64
  private let now: @Sendable () -> UInt64
  private let isManual: Bool
  private let requests: [RequestPointer]
  private let buffers: Region
  private let freeLock = FutexLock()
  private let freed = Event()
  private var freeList: RequestPointer?
  private var freeCount = 0
  /// Nil when scheduling is manual. Set once, at open.
  private var executor: IOThreads?
  /// Whether requests are handed over; not any more when the asynchronous form turns out to be unusable.
  private let submits = Atomic(false)
  private let failure = Guarded("")
  /// One trim at a time: one that hangs does not take ever more slots with it.
  private let isTrimming = Atomic(false)
  /// One question for the capacity at a time, likewise.
  private let isAsking = Atomic(false)
  /// One call for the root at a time, likewise; the old root and the new one, behind each other.
  let isAtRoot = Atomic(false)
  let roots: Region
  /// Called when a request that was set aside ends.
  private let cleanUp: @Sendable (RequestPointer) -> Void

  static let requestCount = 32
  /// Engine work leaves so many requests to callers' loads.
  static let keptForLoads = 8

  init(
    level: Int, instance: TierInstance, pageSize: Int, framesMax: Int, deadline: UInt64, environment: Environment,
    hasLower: Bool, isSession: Bool = false, cleanUp: @escaping @Sendable (RequestPointer) -> Void
  ) throws(StoreError) {
    self.level = level
    name = instance.name
    calls = instance.calls
    self.pageSize = pageSize
    self.deadline = deadline
    now = environment.now
    isManual = environment.scheduling == .manual
    self.cleanUp = cleanUp
    slots = try SlotAllocator(total: 0, isHeld: isSession)
    queue = try FrameQueue(isKept: hasLower)
    buffers = try Region(byteCount: Self.requestCount * pageSize)
    roots = try Region(byteCount: 2 * Self.rootBytesMax)
    var made: [RequestPointer] = []
    for _ in 0..<Self.requestCount { made.append(.allocate(capacity: 1)) }
    requests = made
    for (index, request) in made.enumerated() {
      request.initialize(
        to: IORequest(port: self, slots: framesMax, buffer: buffers.base + index * pageSize))
      request.pointee.next = freeList
      freeList = request
    }
    freeCount = made.count
    submits.store(calls.backing?.submit != nil, ordering: .relaxed)
    if !isManual { executor = try IOThreads(name: name, calls: calls, run: Self.run) }
  }

  deinit {
    for request in requests {
      request.pointee.deallocate()
      request.deallocate()
    }
    buffers.unmap()
    roots.unmap()
    slots.unmap()
    queue.unmap()
    freeLock.deallocate()
    freed.deallocate()
  }

  var slotsTotal: Int { slots.total }
  var canTrim: Bool { slots.hasTrimmable && !isTrimming.load(ordering: .relaxed) }
  var bufferBytes: Int { buffers.byteCount + slots.byteCount + queue.byteCount }

  // MARK: Calls. Without the engine's lock.

  /// Asks the tier how many slots there are. At open, and when slots run out. What comes back is for `slots.setTotal`; nil
  /// when the tier does not answer in time or has not yet answered an earlier question: what was known holds then.
  func readCapacity(isOpening: Bool = false) throws(StoreError) -> Int? {
    guard isAsking.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return nil }
    let patience = isOpening ? deadline : min(deadline, 1_000_000_000)
    let asked = ask(IORequest.capacity, slot: 0, frame: .max, patience: patience)
    // One that is set aside is still asked.
    if !asked.isSetAside { isAsking.store(false, ordering: .releasing) }
    if asked.code == STOWAGE_OK { return Int(min(asked.answer, UInt64(SlotAllocator.capacity))) }
    if asked.code == STOWAGE_RETRY, !isOpening { return nil }
    throw .configuration("tier '\(name)' does not tell its capacity: \(lastFailure(asked.code))")
  }

  /// The page of a slot in place, when the backing is mapped memory; nil when this one cannot be had so. RETRY past the
  /// deadline: the end of the call takes the frame's pin back then.
  func map(_ slot: UInt64, frame: FrameIndex) -> (code: Int32, page: UnsafeRawPointer?, isSetAside: Bool) {
    guard calls.backing.unsafelyUnwrapped.map != nil else { return (STOWAGE_OK, nil, false) }
    let asked = ask(IORequest.map, slot: slot, frame: frame, patience: deadline)
    return (asked.code, UnsafeRawPointer(bitPattern: UInt(asked.answer)), asked.isSetAside)
  }

  func ask(_ question: UInt32, slot: UInt64, frame: FrameIndex, patience: UInt64)
    -> (code: Int32, answer: UInt64, isSetAside: Bool)
  {
    guard let request = acquire(keep: 0, waits: frame != .max) else {
      return (timedOut("no request is free: earlier calls hang"), 0, false)
    }
    request.pointee.frame = frame
    request.pointee.holder = noSegment
    request.pointee.slotsKept = false
    set(request, question, slot: slot, count: 0, buffer: nil, patience: patience)
    start(nil, request)
    let result = wait(request)
    guard result.isDone else { return (result.code, 0, true) }
    let answer = request.pointee.answer
    release(request)
    return (result.code, answer, false)
  }

  /// Reads one slot into `page` (aligned to 4096). The tier's result; RETRY past the deadline, with the request set
  /// aside: the end of the call takes the frame's pin back then.
  func read(
    _ context: Context, slot: UInt64, id: UInt64, _ kind: ObjectKind, frame: FrameIndex = .max,
    into page: UnsafeMutableRawPointer
  ) -> (code: Int32, isSetAside: Bool) {
    // Engine work leaves some to callers.
    guard let request = acquire(keep: context.pointee.isWorker ? Self.keptForLoads : 0) else {
      return (timedOut("no request is free: earlier calls hang"), false)
    }
    request.pointee.frame = frame
    request.pointee.holder = noSegment
    request.pointee.slotsKept = false
    request.pointee.objects[0] = object(id, kind)
    set(request, STOWAGE_OPERATION_READ, slot: slot, count: 1, buffer: request.pointee.buffer)
    start(context, request)
    let result = wait(request)
    guard result.isDone else { return (result.code, true) }
    if result.code == STOWAGE_OK { page.copyMemory(from: request.pointee.buffer, byteCount: pageSize) }
    release(request)
    return (result.code, false)
  }

  /// Begins to write frames from their addresses to their positions, neighbours together: as many as requests are free for
  /// now. `endWrite` has to follow.
  func beginWrite(_ write: inout FrameWrite, _ context: Context, pin: () -> Void, epochs: (UInt8) -> UInt32) {
    beginSome(&write, context, waits: false, pin: pin, epochs: epochs)
  }

  /// Waits for all, and begins what is left. A frame whose write was set aside is marked `failed`: its slot stays taken
  /// until the call ends.
  func endWrite(_ write: inout FrameWrite, _ context: Context, pin: () -> Void, epochs: (UInt8) -> UInt32) -> Int32 {
    while true {
      let ended = waitAll(write.started, write.space, write.count)
      write.started = nil
      if write.outcome == STOWAGE_OK { write.outcome = ended }
      guard write.first < write.count, write.outcome == STOWAGE_OK else { return write.outcome }
      beginSome(&write, context, waits: true, pin: pin, epochs: epochs)
    }
  }

  private func beginSome(
    _ write: inout FrameWrite, _ context: Context, waits: Bool, pin: () -> Void, epochs: (UInt8) -> UInt32
  ) {
    var last: RequestPointer? = nil
    var runs = 0
    while write.first < write.count, runs < 16 {
      let length = runLength(write.space, write.first, write.count)
      guard let request = acquire(
        keep: runs == 0 ? Self.keptForLoads : Self.keptForLoads + 4, waits: waits && runs == 0)
      else {
        if waits, runs == 0 { write.outcome = timedOut("no request is free: earlier calls hang") }
        return
      }
      prepareWrite(request, write.space, write.first, length, write.holder, epochs)
      pin()
      start(context, request)
      request.pointee.next = nil
      if let last { last.pointee.next = request } else { write.started = request }
      last = request
      runs += 1
      write.first += length
    }
  }

  private func runLength(_ space: JobSpace, _ first: Int, _ count: Int) -> Int {
    var length = 1
    let start = space.outgoing[first]
    while first + length < count {
      let next = space.outgoing[first + length]
      guard next.position == start.position &+ UInt32(length),
        next.address == start.address + length * pageSize
      else { break }
      length += 1
    }
    return length
  }

  private func prepareWrite(
    _ request: RequestPointer, _ space: JobSpace, _ first: Int, _ length: Int, _ holder: SegmentIndex,
    _ epochs: (UInt8) -> UInt32
  ) {
    request.pointee.frame = .max
    request.pointee.holder = holder
    request.pointee.slotsKept = true
    for index in 0..<length {
      let sent = space.outgoing[first + index]
      request.pointee.objects[index] = object(sent.id, sent.kind)
      request.pointee.objects[index].epoch = epochs(sent.transforms)
    }
    let buffer = UnsafeMutableRawPointer(mutating: space.outgoing[first].address)
    set(
      request, STOWAGE_OPERATION_WRITE, slot: UInt64(space.outgoing[first].position), count: length,
      buffer: buffer)
  }

  private func waitAll(_ started: RequestPointer?, _ space: JobSpace, _ count: Int) -> Int32 {
    var outcome = STOWAGE_OK
    var next = started
    while let request = next {
      next = request.pointee.next
      let slot = UInt32(truncatingIfNeeded: request.pointee.request.slot)
      let length = request.pointee.request.slot_count
      let result = wait(request)
      if result.code != STOWAGE_OK, outcome == STOWAGE_OK { outcome = result.code }
      if result.isDone {
        request.pointee.slotsKept = false
        endPinned(request)
      } else {
        for index in 0..<count
        where space.outgoing[index].position >= slot && space.outgoing[index].position < slot + length {
          space.outgoing[index].failed = true
        }
      }
    }
    return outcome
  }

  /// Tells the tier that slots may be forgotten. False when the call was set aside: its end frees the slots.
  func trim(_ context: Context, first: Int, count: Int) -> Bool {
    guard calls.backing.unsafelyUnwrapped.trim != nil else { return true }
    isTrimming.store(true, ordering: .relaxed)
    let ended = simple(context, STOWAGE_OPERATION_TRIM, slot: UInt64(first), count: count, keeps: true)
    if !ended.isSetAside { isTrimming.store(false, ordering: .relaxed) }
    return !ended.isSetAside
  }

  /// Everything written so far outlives the power when this gives OK.
  func sync(_ context: Context) -> Int32 {
    guard calls.backing.unsafelyUnwrapped.sync != nil else { return STOWAGE_UNSUPPORTED }
    return simple(context, STOWAGE_OPERATION_SYNC, slot: 0, count: 0, keeps: false).code
  }

  private func simple(_ context: Context, _ operation: UInt32, slot: UInt64, count: Int, keeps: Bool)
    -> (code: Int32, isSetAside: Bool)
  {
    guard let request = acquire(keep: 0) else {
      return (timedOut("no request is free: earlier calls hang"), false)
    }
    request.pointee.frame = .max
    request.pointee.holder = noSegment
    request.pointee.slotsKept = keeps
    set(request, operation, slot: slot, count: count, buffer: nil)
    start(context, request)
    let result = wait(request)
    if result.isDone { release(request) }
    return (result.code, !result.isDone)
  }

  func lastFailure(_ code: Int32) -> String {
    let said = failure.withLock { $0 }
    return said.isEmpty ? TierResult.name(code) : "\(said) (\(TierResult.name(code)))"
  }

  /// True when nothing is under way any more and the tier may be closed.
  func shutDown() -> Bool {
    let until = now() &+ min(deadline, 5_000_000_000)
    while freeLock.withLock({ freeCount }) < requests.count {
      guard !isManual, now() < until else { return false }
      freed.wait(freed.ticket, timeout: 10_000_000)
    }
    executor?.stop()
    return true
  }

  // MARK: Requests

  func object(_ id: UInt64, _ kind: ObjectKind) -> stowage_object {
    stowage_object(id: id, epoch: 0, length: UInt32(pageSize), flags: kind.flags, reserved: 0)
  }

  func set(
    _ request: RequestPointer, _ operation: UInt32, slot: UInt64, count: Int, buffer: UnsafeMutableRawPointer?,
    patience: UInt64? = nil
  ) {
    request.pointee.request.operation = operation
    request.pointee.request.slot = slot
    request.pointee.request.slot_count = UInt32(count)
    request.pointee.request.buffer = buffer?.assumingMemoryBound(to: UInt8.self)
    request.pointee.request.objects =
      operation <= STOWAGE_OPERATION_WRITE ? UnsafePointer(request.pointee.objects) : nil
    request.pointee.request.deadline_ns = now() &+ (patience ?? deadline)
    request.pointee.state.pointee.store(IORequest.pending, ordering: .releasing)
  }

  func acquire(keep: Int, waits: Bool = true) -> RequestPointer? {
    let until = now() &+ deadline
    while true {
      freeLock.lock()
      if freeCount > keep, let request = freeList {
        freeList = request.pointee.next
        freeCount -= 1
        freeLock.unlock()
        return request
      }
      let ticket = freed.ticket
      freeLock.unlock()
      guard waits, !isManual, now() < until else { return nil }
      freed.wait(ticket, timeout: 50_000_000)
    }
  }

  func release(_ request: RequestPointer) {
    request.pointee.state.pointee.store(IORequest.idle, ordering: .relaxed)
    freeLock.lock()
    request.pointee.next = freeList
    freeList = request
    freeCount += 1
    freeLock.unlock()
    freed.notify()
  }

  /// Lets the call of a request be made: on an I/O thread, or here when scheduling is manual.
  func start(_ context: Context?, _ request: RequestPointer) {
    if let executor { return executor.add(request) }
    Self.call(calls, context?.pointee.tiers[level], request)
  }

  /// Waits until the request is done or its deadline has passed; then it is set aside.
  func wait(_ request: RequestPointer) -> (isDone: Bool, code: Int32) {
    let state = request.pointee.state
    while true {
      let value = state.pointee.load(ordering: .acquiring)
      if value == IORequest.done { break }
      let left = Int64(bitPattern: request.pointee.request.deadline_ns &- now())
      if left <= 0 || isManual {
        let set = state.pointee.compareExchange(
          expected: IORequest.pending, desired: IORequest.abandoned, ordering: .sequentiallyConsistent)
        if set.exchanged {
          executor?.noteStuck(request)
          return (false, timedOut("a call did not return within \(Double(deadline) / 1e9) s"))
        }
        continue
      }
      _ = stowage_futex_wait(request.pointee.word, IORequest.pending, min(left, 1_000_000_000))
    }
    if request.pointee.result != STOWAGE_OK { noteFailure(request.pointee.said) }
    return (true, request.pointee.result)
  }

  func timedOut(_ reason: String) -> Int32 {
    noteFailure(reason)
    return STOWAGE_RETRY
  }

  func noteFailure(_ text: String) { failure.withLock { $0 = text } }

  /// Ends a request that kept a segment.
  func endPinned(_ request: RequestPointer) {
    cleanUp(request)
    release(request)
  }

  /// A request that was set aside has ended, on the tier's thread.
  func lateEnd(_ request: RequestPointer) {
    if request.pointee.request.operation == STOWAGE_OPERATION_TRIM { isTrimming.store(false, ordering: .relaxed) }
    if request.pointee.request.operation == IORequest.capacity { isAsking.store(false, ordering: .releasing) }
    if request.pointee.request.operation >= IORequest.rootRead { isAtRoot.store(false, ordering: .releasing) }
    cleanUp(request)
    release(request)
  }

  // MARK: On I/O threads

  /// Makes the call of a request, or hands it over.
  private static func run(_ calls: TierCalls, _ context: OpaquePointer?, _ request: RequestPointer) {
    let isQuestion = request.pointee.request.operation >= IORequest.firstQuestion
    let isTaken = !isQuestion && request.pointee.port._withUnsafeGuaranteedRef { $0.submit(context, request) }
    if !isTaken { call(calls, context, request) }
  }

  /// Hands a request to a tier with the asynchronous form, which completes it; false when its plain form is to be called.
  private func submit(_ context: OpaquePointer?, _ request: RequestPointer) -> Bool {
    guard submits.load(ordering: .relaxed), let submit = calls.backing?.submit else { return false }
    let until = request.pointee.request.deadline_ns
    var delay: UInt64 = 100_000
    while true {
      var taken: UInt32 = 0
      var pointer = UnsafeMutableRawPointer(request).assumingMemoryBound(to: stowage_request.self)
      guard calls.enter() else {
        Self.complete(request, STOWAGE_RETRY)
        return true
      }
      let result = submit(calls.instance, context, &pointer, 1, &taken)
      calls.leave()
      // From here on it may be another call's.
      if taken == 1 { return true }
      if result == STOWAGE_UNSUPPORTED {
        submits.store(false, ordering: .relaxed)
        return false
      }
      guard result == STOWAGE_OK || result == STOWAGE_RETRY, now() &+ delay < until else {
        Self.complete(request, result == STOWAGE_OK ? STOWAGE_RETRY : result)
        return true
      }
      freed.wait(freed.ticket, timeout: delay)
      delay = min(delay * 2, 10_000_000)
    }
  }

  /// Calls the plain form, or asks, and completes the request.
  private static func call(_ calls: TierCalls, _ context: OpaquePointer?, _ request: RequestPointer) {
    let backing = calls.backing.unsafelyUnwrapped
    let wanted = request.pointee.request
    guard calls.enter() else { return complete(request, STOWAGE_RETRY) }
    let result: Int32
    switch wanted.operation {
    case STOWAGE_OPERATION_READ:
      result = backing.read(
        calls.instance, context, wanted.slot, wanted.slot_count, wanted.buffer.unsafelyUnwrapped, wanted.objects)
    case STOWAGE_OPERATION_WRITE:
      result = backing.write(
        calls.instance, context, wanted.slot, wanted.slot_count, wanted.buffer.unsafelyUnwrapped, wanted.objects)
    case STOWAGE_OPERATION_TRIM:
      result = backing.trim.map { $0(calls.instance, context, wanted.slot, wanted.slot_count) } ?? STOWAGE_UNSUPPORTED
    case IORequest.capacity:
      var capacity = stowage_capacity(
        struct_size: UInt32(MemoryLayout<stowage_capacity>.size), reserved: 0, slots_total: 0)
      result = backing.capacity(calls.instance, &capacity)
      request.pointee.answer = capacity.slots_total
    case IORequest.rootRead, IORequest.rootSwap: result = callRoot(calls, backing, request)
    case IORequest.map:
      let page = backing.map.flatMap { $0(calls.instance, wanted.slot) }
      request.pointee.answer = UInt64(UInt(bitPattern: page))
      result = STOWAGE_OK
    default: result = backing.sync.map { $0(calls.instance, context) } ?? STOWAGE_UNSUPPORTED
    }
    calls.leave()
    complete(request, result)
  }

  private static func complete(_ request: RequestPointer, _ result: Int32) {
    let raw = UnsafeMutableRawPointer(request).assumingMemoryBound(to: stowage_request.self)
    raw.pointee.complete(raw, result)
  }
}
