// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import StowageBasics
import StowageEngine
import StowageTestSupport

/// Uses a store with a session over a real file, with checkpoints all the while, until it is killed.
///
///     session-churn FILE BYTES SEED [KEYFILE]
@main struct SessionChurn {
  static func say(_ record: ChurnJournal.Record) {
    var words = record.words
    // Less than a pipe takes at once, so records do not mix.
    guard write(1, &words, 24) == 24 else { exit(3) }
  }

  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count >= 4, let size = Int64(arguments[2]), let seed = UInt64(arguments[3]) else { exit(2) }
    let chain = try ChurnJournal.chain(
      file: arguments[1], size: size, keyFile: arguments.count > 4 ? arguments[4] : nil)
    var environment = Environment.system
    environment.atCut = { say(.init(.cut, subject: $0)) }
    let store = try open(chain, environment)
    say(.init(.opened, subject: store.sessionSummary?.sequence ?? 0))
    let checkpoints = Thread {
      var random = SeededRandom(seed, "pauses")
      while true {
        if let report = try? store.checkpoint() { say(.init(.completed, subject: report.sequence)) }
        usleep(UInt32(random.below(4000)))
      }
    }
    checkpoints.start()
    try churn(store, seed)
  }

  /// Goes on with the session that is there, else begins one.
  static func open(_ chain: [ChainTier], _ environment: Environment) throws -> Store {
    func attempt(_ start: SessionConfiguration.Start) -> Result<Store, StoreError> {
      Result { () throws(StoreError) -> Store in
        try Store(configuration: ChurnJournal.configuration(start), chain: chain, environment: environment)
      }
    }
    let resumed = attempt(.resume(force: false))
    if case .failure(.session(.none, _)) = resumed { return try attempt(.create(replacing: true)).get() }
    return try resumed.get()
  }

  static func churn(_ store: Store, _ seed: UInt64) throws(StoreError) -> Never {
    let page = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
    var handles: [Handle] = []
    try store.forEachPage { handles.append($0.handle) }
    var random = SeededRandom(seed, "operations")
    var version = seed << 32 | 1
    while true {
      version += 1
      let choice = random.below(8)
      let done = Result { () throws(StoreError) -> Void in
        if handles.count < 200 || (choice < 4 && handles.count < 3000) {
          ChurnJournal.fill(page, version: version)
          say(.init(.begins, .put, subject: 0, version: version))
          let handle = try store.put(UnsafeRawBufferPointer(page), tag: version)
          handles.append(handle)
          say(.init(.ended, .put, subject: handle.rawValue, version: version))
        } else if choice < 6 {
          let handle = handles[random.below(handles.count)]
          ChurnJournal.fill(page, version: version)
          say(.init(.begins, .replace, subject: handle.rawValue, version: version))
          try store.replace(handle, with: UnsafeRawBufferPointer(page))
          say(.init(.ended, .replace, subject: handle.rawValue, version: version))
        } else {
          let at = random.below(handles.count)
          let handle = handles[at]
          let operation: ChurnJournal.Operation = choice == 6 ? .take : .discard
          say(.init(.begins, operation, subject: handle.rawValue))
          if choice == 6 { try store.take(handle, into: page) } else { try store.discard(handle) }
          handles.swapAt(at, handles.count - 1)
          handles.removeLast()
          say(.init(.ended, operation, subject: handle.rawValue))
        }
      }
      switch done {
      // Not done for want of room: the next operation begins.
      case .success, .failure(.full): break
      case .failure(let error): throw error
      }
    }
  }
}
