// SPDX-License-Identifier: Apache-2.0
import StowageEngine
import Synchronization

/// The pages that a store dropped because they cannot be read; written by the engine's threads.
final class UnreadableLog: Sendable {
  private let levels = Mutex<[Handle: Int]>([:])

  func note(_ page: DroppedPage) {
    guard page.reason == .unreadable else { return }
    levels.withLock { $0[page.handle] = page.level }
  }

  /// The level that held the page.
  func level(of handle: Handle) -> Int? { levels.withLock { $0[handle] } }
}
