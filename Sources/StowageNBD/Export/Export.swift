// SPDX-License-Identifier: Apache-2.0
internal import CStowageSystem
internal import StowageEngine
internal import Synchronization

/// A disk: blocks of the store's page size, each a page of the store or a hole that reads as zeros.
///
/// Any thread may read and write. Reads take no lock; who changes a block holds the block's lock, so that a part of a
/// block is changed without losing what another client writes beside it. A change of a whole block is atomic, one of
/// several blocks is not.
public final class Export: Sendable {
  public let settings: ExportSettings
  /// The number in its pages' tags; it stays the same as long as its pages live.
  public let number: Int
  let store: Store
  let pageSize: Int
  let pageShift: Int
  let map: BlockMap
  let commits: CommitGroup?
  private let locks = StripeLocks()
  private let quotaBlocks: Int
  /// Never written after `init`, and freed with the object.
  private nonisolated(unsafe) let zeroPage: UnsafeRawBufferPointer

  /// - Parameter commits: what makes it durable; nil for a volatile one.
  init(_ settings: ExportSettings, number: Int, store: Store, commits: CommitGroup?) throws(StoreError) {
    self.settings = settings
    self.number = number
    self.store = store
    self.commits = commits
    pageSize = store.pageSize
    pageShift = store.pageSize.trailingZeroBitCount
    map = try BlockMap(blocks: settings.size / store.pageSize)
    quotaBlocks = settings.capacity / store.pageSize
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: pageSize, alignment: 4096)
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    zeroPage = UnsafeRawBufferPointer(zeros)
  }

  deinit {
    locks.deallocate()
    zeroPage.deallocate()
  }

  var size: Int { settings.size }
  /// Bytes of blocks that are no holes.
  public var usedBytes: Int { map.used << pageShift }
  /// RAM of the map from blocks to handles once every block is written; it is not part of the store's limit.
  public var mapBytes: Int { map.byteCount }

  // MARK: Reading

  /// Reads a whole block.
  @inline(__always) func readBlock(_ block: Int, into page: UnsafeMutableRawBufferPointer) -> NBDStatus {
    while true {
      let word = map.load(block)
      if word.isHole {
        page.baseAddress.unsafelyUnwrapped.initializeMemory(as: UInt8.self, repeating: 0, count: pageSize)
        return .ok
      }
      guard !word.isLost, let handle = word.handle else { return .io }
      do throws(StoreError) {
        try store.peek(handle, into: page)
        return .ok
      } catch {
        // Another client has changed it meanwhile: what it is now counts. Else the page has ended by itself.
        if case .staleHandle = error, map.load(block) != word { continue }
        return Self.status(error)
      }
    }
  }

  /// Reads a part of a block.
  func readPart(
    _ block: Int, _ range: Range<Int>, into target: UnsafeMutableRawPointer, scratch: UnsafeMutableRawBufferPointer
  ) -> NBDStatus {
    let status = readBlock(block, into: scratch)
    guard status == .ok else { return status }
    target.copyMemory(from: scratch.baseAddress.unsafelyUnwrapped + range.lowerBound, byteCount: range.count)
    return .ok
  }

  // MARK: Writing

  /// Writes a whole block; the bytes may lie at any address.
  @inline(__always) func writeBlock(_ block: Int, _ page: UnsafeRawBufferPointer) -> NBDStatus {
    locks.lock(block)
    defer { locks.unlock(block) }
    return writeLocked(block, page)
  }

  /// Writes a part of a block, or zeros when there is no source.
  func writePart(
    _ block: Int, _ range: Range<Int>, from source: UnsafeRawPointer?, scratch: UnsafeMutableRawBufferPointer
  ) -> NBDStatus {
    locks.lock(block)
    defer { locks.unlock(block) }
    if source == nil, map.load(block).isHole { return .ok }
    let status = readBlock(block, into: scratch)
    guard status == .ok else { return status }
    let target = scratch.baseAddress.unsafelyUnwrapped + range.lowerBound
    if let source {
      target.copyMemory(from: source, byteCount: range.count)
    } else {
      target.initializeMemory(as: UInt8.self, repeating: 0, count: range.count)
    }
    return writeLocked(block, UnsafeRawBufferPointer(scratch))
  }

  /// With the block's lock.
  private func writeLocked(_ block: Int, _ page: UnsafeRawBufferPointer) -> NBDStatus {
    let word = map.load(block)
    if !word.isHole, !word.isLost, let handle = word.handle {
      do throws(StoreError) {
        try store.replace(handle, with: page)
        return .ok
      } catch {
        // The page has ended by itself, as it could not be read: what is written now is a new one.
        guard case .staleHandle = error else { return Self.status(error) }
      }
    }
    if word.isHole, !map.claim(limit: quotaBlocks) { return .noSpace }
    do throws(StoreError) {
      let handle = try store.put(page, tag: BlockTag(export: number, block: block).bits)
      discard(map.exchange(block, BlockWord(handle)))
      return .ok
    } catch {
      if word.isHole { map.unclaim() }
      return Self.status(error)
    }
  }

  private func discard(_ word: BlockWord) {
    guard let handle = word.handle else { return }
    // One that is stale already is no loss.
    do throws(StoreError) { try store.discard(handle) } catch {}
  }

  /// Makes a block a hole.
  private func trimBlock(_ block: Int) {
    guard !map.load(block).isHole else { return }
    locks.lock(block)
    defer { locks.unlock(block) }
    discard(map.exchange(block, .hole))
  }

  /// Makes every block that lies wholly in the range a hole; the range is within the export.
  func trim(_ range: Range<Int>) {
    let end = range.upperBound >> pageShift
    var block = (range.lowerBound + pageSize - 1) >> pageShift
    while block < end {
      let group = map.emptyGroup(at: block)
      if group.isEmpty {
        block = group.end
      } else {
        trimBlock(block)
        block += 1
      }
    }
  }

  /// Makes a range zeros. Without `keepsRoom` whole blocks become holes.
  func writeZeroes(
    _ range: Range<Int>, keepsRoom: Bool, scratch: UnsafeMutableRawBufferPointer
  ) -> NBDStatus {
    var at = range.lowerBound
    while at < range.upperBound {
      let block = at >> pageShift
      let start = at & (pageSize - 1)
      let end = min(pageSize, start + range.upperBound - at)
      if end - start < pageSize {
        let status = writePart(block, start..<end, from: nil, scratch: scratch)
        guard status == .ok else { return status }
        at += end - start
      } else if keepsRoom {
        let status = writeBlock(block, zeroPage)
        guard status == .ok else { return status }
        at += pageSize
      } else {
        let whole = at..<(range.upperBound & ~(pageSize - 1))
        trim(whole)
        at = whole.upperBound
      }
    }
    return .ok
  }

  /// Brings pages of a range that are in a backing back to RAM: a hint, so what fails is passed over.
  func prefetch(_ range: Range<Int>) {
    let last = (range.upperBound + pageSize - 1) >> pageShift
    for block in (range.lowerBound >> pageShift)..<last {
      guard let handle = map.load(block).handle, case .backing = store.location(of: handle) else { continue }
      do throws(StoreError) { try store.touch(handle) } catch { return }
    }
  }

  /// Waits until what was written before is as durable as the export promises.
  func commit() -> NBDStatus { commits?.commit() ?? .ok }

  /// Whether reading a range needs a call into a backing, as far as can be told now. For short ranges.
  @inline(__always) func isInMemory(_ range: Range<Int>) -> Bool {
    let last = (range.upperBound + pageSize - 1) >> pageShift
    for block in (range.lowerBound >> pageShift)..<last {
      if let handle = map.load(block).handle, case .backing = store.location(of: handle) { return false }
    }
    return true
  }

  // MARK: Pages that end by themselves

  /// A page could not be read any more: its block is an error from now on, in the sessions to come, too.
  func noteLost(_ block: Int, _ handle: Handle) {
    guard block < map.blocks, map.load(block) == BlockWord(handle) else { return }
    var marker: Handle?
    do throws(StoreError) {
      marker = try store.put(zeroPage, tag: BlockTag(export: number, block: block, isLost: true).bits)
    } catch {
      // Without the marker it is known until the store is suspended.
    }
    if !map.compareExchange(block, BlockWord(handle), .lost(marker)), let marker { discard(BlockWord(marker)) }
  }

  /// A page that a session held.
  /// - Returns: false when the block has one already, or is past the end.
  func adopt(_ handle: Handle, _ tag: BlockTag) -> Bool {
    guard tag.block < map.blocks else { return false }
    let known = map.load(tag.block)
    if known.isHole {
      guard map.claim(limit: .max) else { return false }
      _ = map.exchange(tag.block, tag.isLost ? .lost(handle) : BlockWord(handle))
      return true
    }
    // A block that was lost and written anew just before the checkpoint has both: what was written counts.
    guard known.isLost != tag.isLost else { return false }
    if tag.isLost {
      discard(BlockWord(handle))
    } else {
      discard(map.exchange(tag.block, BlockWord(handle)))
    }
    return true
  }

  private static func status(_ error: StoreError) -> NBDStatus {
    switch error {
    case .full: .noSpace
    case .closed: .shutdown
    default: .io
    }
  }
}
