// SPDX-License-Identifier: Apache-2.0
import CStowageTier
import Synchronization

/// Threads that make the calls into one backing. A thread whose call hangs is replaced, up to a limit, so that others are
/// served meanwhile.
final class IOThreads: @unchecked Sendable {
  private static let ordinary = 2
  private static let most = 16

  private let name: String
  private let calls: TierCalls
  private let run: @Sendable (TierCalls, OpaquePointer?, RequestPointer) -> Void
  private let lock = FutexLock()
  private let added = Event()
  private var first: RequestPointer?
  private var last: RequestPointer?
  private var threads: [EngineThread] = []
  /// By thread: the request whose call it makes.
  private var inCall: [RequestPointer?] = []
  private var isStopping = false

  /// - Parameter run: makes the call and completes the request.
  init(
    name: String, calls: TierCalls,
    run: @escaping @Sendable (TierCalls, OpaquePointer?, RequestPointer) -> Void
  ) throws(StoreError) {
    self.name = name
    self.calls = calls
    self.run = run
    for _ in 0..<Self.ordinary { try spawn() }
  }

  private func spawn() throws(StoreError) {
    let number = lock.withLock { () -> Int in
      inCall.append(nil)
      return inCall.count - 1
    }
    let thread = try EngineThread("io-\(name)", owner: 0) { [self] in serve(number) }
    lock.withLock { threads.append(thread) }
  }

  func add(_ request: RequestPointer) {
    lock.lock()
    request.pointee.queued = nil
    if let last { last.pointee.queued = request } else { first = request }
    last = request
    lock.unlock()
    added.notifyOne()
  }

  /// A request was set aside: if a thread is in its call, that thread is stuck, and another one takes its place.
  func noteStuck(_ request: RequestPointer) {
    let canSpawn = lock.withLock { inCall.contains(request) && threads.count < Self.most }
    // Without one more thread the others still serve; calls then time out while all hang.
    if canSpawn { try? spawn() }
  }

  private func serve(_ number: Int) {
    let context = openContext()
    defer { if let context { calls.threadClose.unsafelyUnwrapped(calls.instance, context) } }
    while true {
      lock.lock()
      inCall[number] = nil
      let ticket = added.ticket
      guard let request = first else {
        let stop = isStopping
        lock.unlock()
        if stop { return }
        added.wait(ticket, timeout: 1_000_000_000)
        continue
      }
      first = request.pointee.queued
      if first == nil { last = nil }
      inCall[number] = request
      lock.unlock()
      if request.pointee.state.pointee.load(ordering: .sequentiallyConsistent) == IORequest.abandoned {
        // Its deadline passed while it was queued: it is not begun any more.
        giveUp(request)
      } else {
        run(calls, context, request)
      }
    }
  }

  private func giveUp(_ request: RequestPointer) {
    let raw = UnsafeMutableRawPointer(request).assumingMemoryBound(to: stowage_request.self)
    raw.pointee.complete(raw, STOWAGE_RETRY)
  }

  /// A context of the thread's own. A tier that cannot give one now is called without, and refuses as it sees fit.
  private func openContext() -> OpaquePointer? {
    guard let open = calls.threadOpen else { return nil }
    var context: OpaquePointer?
    let use = UInt32(STOWAGE_CONTEXT_ENCODE | STOWAGE_CONTEXT_DECODE)
    return open(calls.instance, use, &context) == STOWAGE_OK ? context : nil
  }

  func stop() {
    lock.withLock { isStopping = true }
    added.notify()
    for thread in lock.withLock({ threads }) { thread.join() }
    // Their bodies hold this object.
    lock.withLock { threads = [] }
  }

  deinit {
    lock.deallocate()
    added.deallocate()
  }
}
