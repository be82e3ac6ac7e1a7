// SPDX-License-Identifier: Apache-2.0
internal import StowageEngine
internal import StowagePlugins
internal import Synchronization

/// Where the command puts what tiers log: errors and warnings to the standard error, the rest nowhere.
enum TierLog {
  static func install() {
    HostTable.logger.withLock { logger in
      logger = { level, text in
        guard let word = [1: "error", 2: "warning"][level] else { return }
        Terminal.complain("\(word): \(DisplayText.plain(text))")
      }
    }
  }
}
