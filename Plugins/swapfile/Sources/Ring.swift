// SPDX-License-Identifier: Apache-2.0
import CUring
import Glibc
import StowageTier

/// Asynchronous transfers through io_uring: any thread submits, one thread of our own (the reaper) takes the
/// completions and answers the host.
///
/// The memory is shared between these threads. The submission side of `ring` and `inFlight` are touched only with
/// `lock` held; the completion side only by the reaper; everything else is constant. A request is the tier's from
/// `submit` to `complete`, and is in the kernel's hands or the reaper's in between, never in both.
struct Ring {
  /// The fields, at an address that does not move: the kernel's rings and the lock need that.
  struct State {
    var ring = io_uring()
    var lock = pthread_mutex_t()
    var inFlight = 0
    var reaper = pthread_t()
    let file: SwapFile
    let host: TierHost
  }

  /// Entries of the submission queue: the longest batch that goes to the kernel in one call.
  private static let batch: UInt32 = 256
  /// The kernel keeps as many completions, so none is ever lost.
  private static let limit = 1024
  /// What one operation moves at most: the kernel's own limit is a little under 2 GiB.
  private static let longest = 1 << 30

  private let state: UnsafeMutablePointer<State>

  // MARK: Opening and closing

  /// Nil, with the reason in `refusal`, where the system does not let us have a ring.
  init?(_ file: SwapFile, _ host: TierHost, refusal: inout String) throws(TierError) {
    let memory = try host.allocate(MemoryLayout<State>.stride, alignment: 64)
    state = memory.bindMemory(to: State.self).baseAddress.unsafelyUnwrapped
    state.initialize(to: State(file: file, host: host))
    let result = stowage_ring_open(&state.pointee.ring, Ring.batch, UInt32(Ring.limit))
    guard result == 0 else {
      refusal = String(cString: stowage_error_text(-result))
      Ring.release(state)
      return nil
    }
    pthread_mutex_init(&state.pointee.lock, nil)
    let started = Ring.startReaper(state)
    guard started == 0 else {
      refusal = "no thread: \(String(cString: stowage_error_text(started)))"
      io_uring_queue_exit(&state.pointee.ring)
      pthread_mutex_destroy(&state.pointee.lock)
      Ring.release(state)
      return nil
    }
  }

  private static func release(_ state: UnsafeMutablePointer<State>) {
    let host = state.pointee.host
    state.deinitialize(count: 1)
    host.free(UnsafeMutableRawBufferPointer(start: state, count: MemoryLayout<State>.stride))
  }

  /// The thread gets no signals: handlers of the program do not expect to run on it.
  private static func startReaper(_ state: UnsafeMutablePointer<State>) -> Int32 {
    var every = sigset_t()
    var before = sigset_t()
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)
    let result = pthread_create(&state.pointee.reaper, nil, reap, state)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    if result == 0 { pthread_setname_np(state.pointee.reaper, "stowage-swap") }
    return result
  }

  /// Every request is answered by now, so the reaper is idle.
  func close() {
    pthread_mutex_lock(&state.pointee.lock)
    let queued = stowage_ring_stop(&state.pointee.ring)
    assert(queued, "the queue is empty between calls")
    Ring.send(state)
    pthread_mutex_unlock(&state.pointee.lock)
    pthread_join(state.pointee.reaper, nil)
    io_uring_queue_exit(&state.pointee.ring)
    pthread_mutex_destroy(&state.pointee.lock)
    Ring.release(state)
  }

  // MARK: Submitting

  /// Takes as many requests as there is room for, up to one that goes past the last slot: that one is refused when it
  /// is the first.
  func submit(_ requests: SlotRequests) throws(TierError) -> Int {
    pthread_mutex_lock(&state.pointee.lock)
    defer { pthread_mutex_unlock(&state.pointee.lock) }
    var count = min(requests.count, Ring.limit - state.pointee.inFlight)
    guard count > 0 || requests.isEmpty else { throw .retry }
    if let wrong = requests.prefix(count).firstIndex(where: { !Ring.isAllowed($0, state) }) {
      if wrong == 0 { try Ring.refuse(requests[wrong], state) }
      count = wrong
    }
    for request in requests.prefix(count) {
      request.pointee.tier_number = 0
      state.pointee.inFlight += 1
      Ring.queue(request, state)
    }
    Ring.send(state)
    return count
  }

  private static func isAllowed(
    _ request: UnsafeMutablePointer<stowage_request>, _ state: UnsafeMutablePointer<State>
  ) -> Bool {
    let file = state.pointee.file
    let operation = request.pointee.operation
    if operation == STOWAGE_OPERATION_SYNC { return !file.hasLostWrites }
    if file.isReadOnly && operation != STOWAGE_OPERATION_READ { return false }
    return file.has(SlotRun(request, slotSize: file.slotSize))
  }

  /// Throws why a request is not taken.
  private static func refuse(
    _ request: UnsafeMutablePointer<stowage_request>, _ state: UnsafeMutablePointer<State>
  ) throws(TierError) {
    let (file, host) = (state.pointee.file, state.pointee.host)
    if request.pointee.operation == STOWAGE_OPERATION_SYNC {
      if let loss = file.earlierLoss(host) { throw loss }
      return
    }
    let run = SlotRun(request, slotSize: file.slotSize)
    if request.pointee.operation != STOWAGE_OPERATION_READ {
      try file.checkWritable(words(request.pointee.operation, run), host)
    }
    try file.check(run, host)
  }

  /// Queues what is left of a request; `tier_number` says how many bytes are done. With the lock held.
  private static func queue(_ request: UnsafeMutablePointer<stowage_request>, _ state: UnsafeMutablePointer<State>) {
    while !tryQueue(request, state) { send(state) }
  }

  private static func tryQueue(
    _ request: UnsafeMutablePointer<stowage_request>, _ state: UnsafeMutablePointer<State>
  ) -> Bool {
    let descriptor = state.pointee.file.descriptor
    let run = SlotRun(request, slotSize: state.pointee.file.slotSize)
    let done = Int(request.pointee.tier_number)
    let offset = UInt64(state.pointee.file.offset(of: run) + done)
    let length = UInt32(min(run.byteCount - done, longest))
    let buffer = request.pointee.buffer.map { $0 + done }
    switch request.pointee.operation {
    case STOWAGE_OPERATION_READ:
      return stowage_ring_read(&state.pointee.ring, descriptor, buffer, length, offset, request)
    case STOWAGE_OPERATION_WRITE:
      return stowage_ring_write(&state.pointee.ring, descriptor, buffer, length, offset, request)
    case STOWAGE_OPERATION_TRIM:
      return stowage_ring_punch(&state.pointee.ring, descriptor, offset, UInt64(run.byteCount), request)
    default:
      return stowage_ring_sync(&state.pointee.ring, descriptor, request)
    }
  }

  /// Hands what is queued to the kernel. It takes everything, but when it is short of memory for a moment. With
  /// the lock held.
  private static func send(_ state: UnsafeMutablePointer<State>) {
    while stowage_ring_unsent(&state.pointee.ring) > 0 {
      if io_uring_submit(&state.pointee.ring) < 0 { usleep(50) }
    }
  }

  // MARK: Completing

  /// The reaper's life.
  fileprivate static func serve(_ state: UnsafeMutablePointer<State>) {
    while true {
      var data: UnsafeMutableRawPointer?
      var result: Int32 = 0
      let error = stowage_ring_wait(&state.pointee.ring, &data, &result)
      if error < 0 {
        if error != -EINTR { usleep(1000) }
        continue
      }
      // Only the operation that `close` queues carries no request.
      guard let data else { return }
      finish(data.assumingMemoryBound(to: stowage_request.self), result, state)
    }
  }

  private static func finish(
    _ request: UnsafeMutablePointer<stowage_request>, _ result: Int32, _ state: UnsafeMutablePointer<State>
  ) {
    switch outcome(request, result, state) {
    case .more:
      pthread_mutex_lock(&state.pointee.lock)
      queue(request, state)
      send(state)
      pthread_mutex_unlock(&state.pointee.lock)
    case .done(let code):
      pthread_mutex_lock(&state.pointee.lock)
      state.pointee.inFlight -= 1
      pthread_mutex_unlock(&state.pointee.lock)
      // Without the lock: the host may submit more from inside.
      request.pointee.complete(request, code)
    }
  }

  private enum Outcome {
    case more
    case done(Int32)
  }

  private static func outcome(
    _ request: UnsafeMutablePointer<stowage_request>, _ result: Int32, _ state: UnsafeMutablePointer<State>
  ) -> Outcome {
    let operation = request.pointee.operation
    let isTransfer = operation == STOWAGE_OPERATION_READ || operation == STOWAGE_OPERATION_WRITE
    let done = Int(request.pointee.tier_number)
    let run = SlotRun(request, slotSize: state.pointee.file.slotSize)
    let isLate = { request.pointee.deadline_ns != 0 && state.pointee.host.now > request.pointee.deadline_ns }
    if result == -EINTR || result == -EAGAIN {
      return isLate() ? .done(STOWAGE_RETRY) : .more
    }
    let isBrokenEnd = result == -EINVAL && done % SwapFile.blockSize != 0
    if operation == STOWAGE_OPERATION_READ && (result == 0 || isBrokenEnd) {
      return .done(state.pointee.file.cutShort(state.pointee.host).rawValue)
    }
    if result < 0 && operation == STOWAGE_OPERATION_SYNC {
      let failure = FileFailure(state.pointee.file.path, -result)
      return .done(state.pointee.file.lost(failure, state.pointee.host).rawValue)
    }
    if result < 0 {
      let action = words(operation, run)
      return .done(FileFailure(state.pointee.file.path, -result).told(to: state.pointee.host, action).rawValue)
    }
    if operation == STOWAGE_OPERATION_SYNC, let loss = state.pointee.file.earlierLoss(state.pointee.host) {
      return .done(loss.rawValue)
    }
    guard isTransfer else { return .done(STOWAGE_OK) }
    request.pointee.tier_number += UInt64(result)
    if done + Int(result) == run.byteCount { return .done(STOWAGE_OK) }
    return isLate() ? .done(STOWAGE_RETRY) : .more
  }

  private static func words(_ operation: UInt32, _ run: SlotRun) -> String {
    switch operation {
    case STOWAGE_OPERATION_READ: "read \(run.words)"
    case STOWAGE_OPERATION_WRITE: "write \(run.words)"
    case STOWAGE_OPERATION_TRIM: "give back \(run.words)"
    default: "bring it to the disk"
    }
  }
}

extension SlotRun {
  fileprivate init(_ request: UnsafeMutablePointer<stowage_request>, slotSize: Int) {
    self.init(first: request.pointee.slot, count: Int(request.pointee.slot_count), slotSize: slotSize)
  }
}

/// The reaper's start. `argument` is the ring's state, which outlives the thread: `close` joins it first.
private func reap(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  if let argument { Ring.serve(argument.assumingMemoryBound(to: Ring.State.self)) }
  return nil
}
