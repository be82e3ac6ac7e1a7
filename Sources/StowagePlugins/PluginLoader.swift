// SPDX-License-Identifier: Apache-2.0
public import StowageEngine
internal import Synchronization

/// Loads plug-ins into this process, for good; each file once.
public enum PluginLoader {
  private struct Loaded {
    var hash: String
    var table: TierTable
  }

  private static let registry = Mutex<[FileIdentity: Loaded]>([:])

  /// Loads a plug-in that was probed. Its contents must still be those that were.
  ///
  /// Safe on any thread; one load at a time. A plug-in is never unloaded.
  /// - Throws: `unusable` when the probe went badly, `refused` when loading does.
  public static func load(_ record: PluginRecord, trust: PluginTrust = .ownOnly) throws(PluginError) -> TierTable {
    guard record.status == .ok || record.status == .unavailable, let hash = record.hash else {
      throw .unusable(
        name: record.name, file: record.file, status: record.status, reason: record.reason ?? "not probed")
    }
    return try registry.withLock { (loaded) throws(PluginError) -> TierTable in
      if let identity = FileIdentity(of: record.file), let known = loaded[identity] {
        guard known.hash == hash else {
          throw .refused(
            file: record.file, reason: "it was written over after this process had loaded it; start the process again")
        }
        return known.table
      }
      let image = try PluginImage(path: record.file, trust: trust, expectedHash: hash)
      loaded[image.identity] = Loaded(hash: hash, table: image.table)
      return image.table
    }
  }
}
