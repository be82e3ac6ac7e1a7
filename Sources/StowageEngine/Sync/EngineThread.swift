// SPDX-License-Identifier: Apache-2.0
import CStowageSystem
import Glibc

/// A thread of the engine's own.
///
/// The body is boxed and handed over by a retained reference that the new thread releases; a global function is
/// the thread's entry, so that it inherits no actor.
final class EngineThread: @unchecked Sendable {
  private var thread = pthread_t()
  private let name: String
  private let owner: UInt
  private let body: @Sendable () -> Void

  /// - Parameter owner: by which `stowage_thread_owner` knows the thread.
  init(_ name: String, owner: UInt, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
    self.name = name
    self.owner = owner
    self.body = body
    let result = pthread_create(&thread, nil, engineThreadEntry, Unmanaged.passRetained(self).toOpaque())
    guard result == 0 else {
      Unmanaged.passUnretained(self).release()
      throw .configuration("cannot start an engine thread: \(String(cString: strerror(result)))")
    }
  }

  func join() { pthread_join(thread, nil) }
  func detach() { pthread_detach(thread) }

  fileprivate func run() {
    stowage_thread_begin(name, owner)
    body()
  }
}

private func engineThreadEntry(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  let thread = Unmanaged<EngineThread>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
  // Signals belong to the program's own threads.
  var all = sigset_t()
  sigfillset(&all)
  pthread_sigmask(SIG_BLOCK, &all, nil)
  thread.run()
  return nil
}
