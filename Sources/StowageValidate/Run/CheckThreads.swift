// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// Threads of a check.
enum CheckThreads {
  /// Runs a body on several threads at once, each told its number, and waits for all of them.
  /// - Throws: the error with which one of them ended, the first to come.
  static func run(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let work = Work(body)
    var threads: [pthread_t] = []
    for number in 0..<count {
      let start = Unmanaged.passRetained(Start(number, work)).toOpaque()
      var thread = pthread_t()
      guard pthread_create(&thread, nil, checkThreadEntry, start) == 0 else {
        Unmanaged<Start>.fromOpaque(start).release()
        for thread in threads { pthread_join(thread, nil) }
        throw CheckEnd.notRun("no thread could be started")
      }
      threads.append(thread)
    }
    for thread in threads { pthread_join(thread, nil) }
    if let error = work.error.withLock({ $0 }) { throw error }
  }

  fileprivate final class Work: Sendable {
    let body: @Sendable (Int) throws -> Void
    let error = Mutex<(any Error)?>(nil)
    init(_ body: @escaping @Sendable (Int) throws -> Void) { self.body = body }
  }

  fileprivate final class Start {
    let number: Int
    let work: Work
    init(_ number: Int, _ work: Work) { (self.number, self.work) = (number, work) }

    func run() {
      do { try work.body(number) } catch { work.error.withLock { $0 = $0 ?? error } }
    }
  }
}

private func checkThreadEntry(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  Unmanaged<CheckThreads.Start>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue().run()
  return nil
}
