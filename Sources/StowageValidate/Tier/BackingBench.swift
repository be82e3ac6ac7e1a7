// SPDX-License-Identifier: Apache-2.0
internal import CStowageTier
internal import Glibc
internal import StowageBasics
internal import StowageEngine

/// Pages that tell their slot and version, written to and read from a backing in memory with room to spare.
///
/// It keeps to slots at the beginning, far from the last one where there are enough.
final class BackingBench: @unchecked Sendable {
  let tier: OpenTier
  let context: OpaquePointer?
  /// Slots that it may use, from 0 on.
  let slots: Int
  /// The longest run, in slots.
  static let longest = 16
  let room: PlainRoom
  private let page: PlainRoom
  private let seed: UInt64

  var run: CheckRun { tier.run }

  init(_ tier: OpenTier) throws {
    self.tier = tier
    context = try tier.context()
    let capacity = try tier.capacity()
    slots = capacity > 64 ? min(capacity - 16, 4096) : capacity
    guard slots > 0 else { throw tier.run.fail("capacity says that there are no slots") }
    room = PlainRoom(Self.longest * tier.pageSize)
    page = PlainRoom(tier.pageSize)
    seed = tier.run.order.seed
  }

  func close() {
    tier.end(context)
    tier.close()
  }

  // MARK: Contents

  /// Fills a page's memory with what a version of a slot is.
  func fill(_ memory: UnsafeMutableRawPointer, slot: Int, version: Int) {
    var mixed = SeededRandom(seed: seed ^ UInt64(slot) << 32 ^ UInt64(version))
    let first = mixed.next()
    for index in 0..<tier.pageSize / 8 {
      memory.storeBytes(of: first &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15, toByteOffset: index * 8, as: UInt64.self)
    }
  }

  /// Whether a page in memory is a version of a slot; what a lossy tier gives always is.
  func holds(_ memory: UnsafeRawPointer, slot: Int, version: Int) -> Bool {
    guard !tier.isLossy else { return true }
    fill(page.base, slot: slot, version: version)
    return memcmp(memory, page.base, tier.pageSize) == 0
  }

  /// Fills the room for a run of slots.
  func prepare(_ slot: Int, _ versions: [Int]) {
    for (index, version) in versions.enumerated() {
      fill(room.base + index * tier.pageSize, slot: slot + index, version: version)
    }
  }

  /// Expects that the room holds these versions; nil: anything. One observation.
  func expectRoom(_ slot: Int, _ versions: [Int?], _ about: @autoclosure () -> String) throws {
    for (index, version) in versions.enumerated() {
      guard let version, !holds(room.base + index * tier.pageSize, slot: slot + index, version: version) else {
        continue
      }
      throw run.fail("slot \(slot + index) does not hold what was written to it: \(about())")
    }
    try run.expect(true, "")
  }

  /// Bytes that no version has, so that a page that is not read at all is seen.
  func soil() { memset(room.base, 0xEE, room.count) }

  // MARK: Calls

  /// Writes a run, one version a slot. An error ends the check.
  func write(_ slot: Int, _ versions: [Int]) throws {
    prepare(slot, versions)
    try expectOK(
      tier.write(context, slot: slot, count: versions.count, room.base), "write of \(words(slot, versions.count))")
  }

  /// Reads a run and expects these versions; nil: anything.
  func expect(_ slot: Int, _ versions: [Int?], _ about: @autoclosure () -> String) throws {
    soil()
    let code = tier.read(context, slot: slot, count: versions.count, room.base)
    guard !tier.isLossy else { return try run.expect(true, "") }
    try expectOK(code, "read of \(words(slot, versions.count))")
    try expectRoom(slot, versions, about())
  }

  func trim(_ slot: Int, _ count: Int) throws {
    try expectOK(tier.trim(context, slot: slot, count: count), "trim of \(words(slot, count))")
  }

  func sync() throws { try expectOK(tier.sync(context), "sync") }

  func expectOK(_ code: Int32, _ what: @autoclosure () -> String) throws {
    guard code == STOWAGE_OK else { throw run.fail("\(what()) answered \(OpenTier.said(code))") }
  }

  private func words(_ slot: Int, _ count: Int) -> String {
    count == 1 ? "slot \(slot)" : "slots \(slot) to \(slot + count - 1)"
  }
}

extension CheckRun {
  /// Opens the tier, a backing, for use with pages that tell their slot.
  func openBench() throws -> BackingBench { try BackingBench(try open(.backing)) }
}
