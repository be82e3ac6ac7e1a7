// SPDX-License-Identifier: Apache-2.0
public import StowageEngine
internal import Synchronization

/// The exports of one store, and what the store itself keeps of them: one page each with the export's name, so that a
/// resumed store gives its pages to the same export, whatever the order of the configuration.
public final class ExportSet: Sendable {
  /// In the order that they were asked for.
  public let exports: [Export]
  /// What was found in the session and belongs to none of them, or was dropped; for people.
  public let notes: [String]

  /// Makes exports over a store, and fills them with what its session holds.
  /// - Parameters:
  ///   - wasSuspended: false when the session was left by a crash: then volatile exports begin empty, as clients have been
  ///     told that later writes were kept.
  ///   - forgets: whether pages of exports that are not asked for are given up; else they are an error.
  /// - Throws: `ExportError` when exports are impossible or do not fit what the session holds; `StoreError`.
  public convenience init(
    _ settings: [ExportSettings], store: Store, wasSuspended: Bool = true, forgets: Bool = false
  ) throws {
    try ExportCheck.run(settings, store)
    var filling = SessionFilling(store: store, wasSuspended: wasSuspended, forgets: forgets)
    try self.init(exports: filling.run(settings), notes: filling.notes)
  }

  private init(exports: [Export], notes: [String]) {
    self.exports = exports
    self.notes = notes
  }

  /// The export of a name; the first for the empty name, unless one has that name.
  public func named(_ name: String) -> Export? {
    exports.first { $0.settings.name == name } ?? (name.isEmpty ? exports.first : nil)
  }

  /// For the store's destructor: a page ended without its owner asking for it. On an engine thread.
  public func noteDrop(_ page: DroppedPage) {
    guard page.reason == .unreadable else { return }
    let tag = BlockTag(bits: page.tag)
    guard !tag.isLost, let export = exports.first(where: { $0.number == tag.export }) else { return }
    export.noteLost(tag.block, page.handle)
  }

  /// Blocks that are written, of all exports.
  public var usedBlocks: Int { exports.reduce(0) { $0 + $1.map.used } }
}

/// What must be so of exports, before there are any.
enum ExportCheck {
  static func run(_ settings: [ExportSettings], _ store: Store) throws(ExportError) {
    guard !settings.isEmpty else { throw ExportError("there is no export; name one with --export NAME=SIZE") }
    var names: Set<String> = []
    for export in settings {
      guard names.insert(export.name).inserted else {
        throw ExportError("two exports are named '\(export.name)'; give one of them another name")
      }
      try check(export, store)
    }
    try checkReserved(settings, store)
  }

  private static func check(_ export: ExportSettings, _ store: Store) throws(ExportError) {
    let page = store.pageSize
    guard export.name.utf8.count <= NBD.nameBytesMax, !export.name.utf8.contains(0) else {
      throw ExportError("the name of an export has more than \(NBD.nameBytesMax) bytes, or a NUL in it; choose another")
    }
    guard export.size > 0, export.size % page == 0, export.size / page < BlockTag.blockMax else {
      throw ExportError(
        "export '\(export.name)': its size of \(export.size) bytes is no multiple of the page of \(page) bytes; round it")
    }
    if let quota = export.quota, quota < page {
      throw ExportError("export '\(export.name)': a quota of \(quota) bytes has no room for one page of \(page) bytes")
    }
    if export.durability == .durable, store.sessionSummary == nil {
      throw ExportError(
        "export '\(export.name)' is to be durable, but the store has no session to keep it in; end the chain in a swap "
          + "file and name a session, or make it volatile")
    }
  }

  /// Room for everything that exports may hold, should nothing compress: a frame of a page goes to a slot each.
  private static func checkReserved(_ settings: [ExportSettings], _ store: Store) throws(ExportError) {
    guard let reserved = settings.first(where: \.isReserved) else { return }
    let statistics = store.statistics()
    let needed = settings.reduce(0) { $0 + $1.capacity }
    guard let last = statistics.levels.last, last.kind == .backing else {
      throw ExportError(
        "export '\(reserved.name)' is to be reserved, but the chain does not end in a backing whose room is certain")
    }
    // With a session the slots of the last checkpoint are held until the next one has completed, and one in sixteen is
    // kept for the index.
    let (room, why) =
      store.sessionSummary == nil
      ? (last.limitBytes, "")
      : (last.limitBytes / 16 * 15 / 2, ", half of it for the last checkpoint and a sixteenth for its index")
    guard needed <= room else {
      throw ExportError(
        "export '\(reserved.name)' is to be reserved, but all exports together may hold \(needed) bytes, and tier "
          + "'\(last.name)' has room for \(room) of \(last.limitBytes)\(why); make it larger, or give the others quotas"
      )
    }
    // Entry, frame record and place of each page stay in RAM.
    let tables = needed / statistics.pageSize * 64
    guard tables <= statistics.memoryLimit / 2 else {
      throw ExportError(
        "export '\(reserved.name)' is to be reserved, but tables for \(needed) bytes of pages take \(tables) bytes of "
          + "RAM, more than half of the memory limit of \(statistics.memoryLimit); raise the limit")
    }
  }
}
