// SPDX-License-Identifier: Apache-2.0
import Foundation
import StowageEngine
import StowageTestSupport

@testable import StowageNBD

/// A server in this process, over a store with compression and, when asked for, a disk.
final class ServerRig {
  let folder: TemporaryFolder
  let store: Store
  let exports: ExportSet
  let server: NBDServer
  let path: String
  private let drops: Locked<ExportSet?>

  /// - Parameter tiers: below the first compressor; by default none.
  init(
    _ settings: [ExportSettings] = [ExportSettings(name: "disk", size: 64 << 20)], memory: Int = 96 << 20,
    pageSize: Int = 4096, tiers: [ChainTier] = [], server serverSettings: ServerSettings = ServerSettings()
  ) throws {
    folder = try TemporaryFolder()
    var configuration = StoreConfiguration(memoryLimit: memory)
    configuration.pageSize = pageSize
    configuration.storeLimit = 4 << 20
    configuration.workers = 2
    let drops = Locked<ExportSet?>(nil)
    self.drops = drops
    store = try Store(
      configuration: configuration, chain: [ChainTier(try TierLibrary.shipped("lz4"))] + tiers
    ) { page in drops.withLock { $0 }?.noteDrop(page) }
    exports = try ExportSet(settings, store: store)
    let made = exports
    drops.withLock { $0 = made }
    server = try NBDServer(exports, serverSettings)
    path = folder.file("nbd").path
    try server.serve(Listener(.unix(path)))
  }

  deinit {
    server.stop()
    drops.withLock { $0 = nil }
    store.close()
  }

  func client(_ name: String = "disk", structured: Bool = true, contexts: [String] = []) throws -> RawClient {
    let client = try RawClient(path)
    try client.enter(name, structured: structured, contexts: contexts)
    return client
  }

  /// Waits until no client is left.
  func waitUntilIdle(seconds: Int = 30) throws {
    for _ in 0..<seconds * 100 {
      if server.summaries.isEmpty { return }
      usleep(10_000)
    }
    throw TestFailure("\(server.summaries.count) clients are still there after \(seconds) s")
  }
}

/// What of a process must not grow.
struct ProcessFigures: Equatable {
  var descriptors: Int
  var threads: Int

  /// Sockets, and threads of servers: other threads of the process come and go as they like.
  static var now: ProcessFigures {
    func names(_ folder: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
    let sockets = names("/proc/self/fd").filter {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))?.hasPrefix("socket:") ?? false
    }
    let threads = names("/proc/self/task").filter {
      (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8))?.hasPrefix("nbd-") ?? false
    }
    return ProcessFigures(descriptors: sockets.count, threads: threads.count)
  }

  /// Waits until there are no more than these.
  func isReachedAgain(seconds: Int = 20) -> Bool {
    for _ in 0..<seconds * 50 {
      let now = Self.now
      if now.descriptors <= descriptors, now.threads <= threads { return true }
      usleep(20_000)
    }
    return false
  }
}
