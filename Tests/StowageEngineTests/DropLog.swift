// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import StowageTestSupport

/// What a store's destructor was told.
final class DropLog: Sendable {
  private let state = Locked<(drops: [Handle: DroppedPage], calls: Int)>(([:], 0))

  var destructor: Destructor {
    { [self] page in
      state.withLock {
        $0.drops[page.handle] = page
        $0.calls += 1
      }
    }
  }

  var drops: [Handle: DroppedPage] { state.withLock { $0.drops } }
  /// Calls; more than there are drops when a handle was told twice.
  var calls: Int { state.withLock { $0.calls } }
}

/// What went wrong in a run, from any thread; the first few.
final class Failures: Sendable {
  private let list = Locked<[String]>([])

  func add(_ text: @autoclosure () -> String) {
    list.withLock { if $0.count < 12 { $0.append(text()) } }
  }

  var all: [String] { list.withLock { $0 } }
  var isEmpty: Bool { list.withLock { $0.isEmpty } }
}
