// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine

/// Threads of one connection for requests that wait for a backing or for a checkpoint, so that those behind them go on.
/// They are the connection's own: one whose client takes nothing in any more holds up nobody else.
final class HelperThreads: @unchecked Sendable {
  /// So many requests wait at one time; the next is served by the thread that read it.
  private static let queueMax = 64
  private static let threadsMax = 8
  /// Longer reads are not for helpers.
  static let readBytesMax = 128 << 10

  private let monitor = Monitor()
  private let serve: @Sendable (borrowing Request, inout ReplyWriter) -> Void
  private let makeWriter: @Sendable () throws(StoreError) -> ReplyWriter
  // With the monitor's lock.
  private let queue: UnsafeMutablePointer<Request>
  private var first = 0
  private var count = 0
  private var idle = 0
  private var isEnding = false
  private var threads: [ServiceThread] = []

  init(
    makeWriter: @escaping @Sendable () throws(StoreError) -> ReplyWriter,
    serve: @escaping @Sendable (borrowing Request, inout ReplyWriter) -> Void
  ) {
    self.makeWriter = makeWriter
    self.serve = serve
    queue = .allocate(capacity: Self.queueMax)
    threads.reserveCapacity(Self.threadsMax)
  }

  deinit {
    queue.deallocate()
    monitor.deallocate()
  }

  /// Leaves a request to a helper; false when none can take it.
  func take(_ request: Request) -> Bool {
    monitor.lock()
    defer { monitor.unlock() }
    guard count < Self.queueMax else { return false }
    if idle <= count, threads.count < Self.threadsMax {
      guard let thread = start() else { return false }
      threads.append(thread)
      // It looks at the queue before it waits.
      idle += 1
    }
    (queue + (first + count) % Self.queueMax).initialize(to: request)
    count += 1
    monitor.notifyOne()
    return true
  }

  /// Waits until all that was taken is served, and ends the threads. Called once, by the thread that calls `take`.
  func end() {
    monitor.withLock {
      isEnding = true
      monitor.notifyAll()
    }
    for thread in threads { thread.join() }
    threads = []
  }

  /// A thread with a buffer of its own; nil without memory.
  private func start() -> ServiceThread? {
    guard let made = try? makeWriter() else { return nil }
    let writer = OwnedWriter(made)
    return try? ServiceThread("nbd-helper") { [self] in run(&writer.value) }
  }

  private func run(_ writer: inout ReplyWriter) {
    while let request = next() {
      serve(request, &writer)
      writer.flush()
      monitor.withLock { idle += 1 }
    }
  }

  private func next() -> Request? {
    monitor.lock()
    defer { monitor.unlock() }
    while count == 0 {
      if isEnding { return nil }
      monitor.wait()
    }
    let request = queue[first]
    first = (first + 1) % Self.queueMax
    count -= 1
    idle -= 1
    return request
  }
}

/// A writer on its way to the one thread that uses it, which is why it may be handed over.
private final class OwnedWriter: @unchecked Sendable {
  var value: ReplyWriter
  init(_ value: consuming ReplyWriter) { self.value = value }
}
