// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import Glibc
public import StowageEngine

/// A thread of a server's own. Signals are blocked in it; its stack is small, as there may be many.
///
/// The body is boxed and handed over by a retained reference that the new thread releases; a global function is the
/// thread's entry, so that it inherits no actor.
public final class ServiceThread: @unchecked Sendable {
  private static let stackBytes = 512 << 10
  private var thread = pthread_t()
  private let name: String
  private let body: @Sendable () -> Void

  /// Starts it.
  /// - Throws: `configuration` when the system gives no thread.
  public init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
    self.name = name
    self.body = body
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, Self.stackBytes)
    defer { pthread_attr_destroy(&attributes) }
    let result = pthread_create(&thread, &attributes, serviceThreadEntry, Unmanaged.passRetained(self).toOpaque())
    guard result == 0 else {
      Unmanaged.passUnretained(self).release()
      throw .configuration("cannot start a thread: \(String(cString: strerror(result)))")
    }
  }

  /// Waits for its end; it or `detach` is called once.
  public func join() { pthread_join(thread, nil) }
  /// Its end will not be waited for.
  public func detach() { pthread_detach(thread) }

  fileprivate func run() {
    stowage_thread_begin(name, 0)
    body()
  }
}

private func serviceThreadEntry(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  let thread = Unmanaged<ServiceThread>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
  var all = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_BLOCK, &all, nil)
  thread.run()
  return nil
}
