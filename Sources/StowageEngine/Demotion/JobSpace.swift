// SPDX-License-Identifier: Apache-2.0
import CStowageTier

/// One chunk that a piece of work has in hand.
struct Item {
  var owner: UInt32
  var length: UInt32
  /// Where it is, as the page table has it; compared before it is changed.
  var place: Place
  var id: UInt64
  var address: UnsafeRawPointer
  var checksum: UInt32
  /// The frame planned for it.
  var bin: Int32
  /// The number of its codec.
  var codec: UInt8 = 0
  /// Its new place.
  var target: Place
}

/// One frame on its way.
struct Outgoing {
  var id: UInt64 = 0
  /// Its bytes now.
  var address: UnsafeRawPointer
  /// An existing frame that moves; `.max` for a new one.
  var frame: FrameIndex = .max
  /// A new one: its items.
  var firstItem = 0
  var itemCount = 0
  var chunkBase: UInt64 = 0
  var isDiscardable = false
  /// A page of the index, no frame.
  var isMetadata = false
  var checksum: UInt32 = 0
  /// Where it arrived.
  var position: UInt32 = 0
  var transforms: UInt8 = 0
  var failed = false
}

/// What an object of a full page is, as tiers are told.
enum ObjectKind {
  case frame, discardableFrame, metadata

  init(discardable: Bool) { self = discardable ? .discardableFrame : .frame }

  var flags: UInt32 {
    switch self {
    case .frame: UInt32(STOWAGE_OBJECT_FRAME)
    case .discardableFrame: UInt32(STOWAGE_OBJECT_FRAME) | UInt32(STOWAGE_OBJECT_DISCARDABLE)
    case .metadata: UInt32(STOWAGE_OBJECT_METADATA)
    }
  }
}

extension Outgoing {
  var kind: ObjectKind { isMetadata ? .metadata : ObjectKind(discardable: isDiscardable) }
}

/// A frame being planned.
struct Bin {
  var room: Int32
  var count: Int32
  var idBase: UInt64
  var isDiscardable: Bool
}

/// The preallocated tables of one worker, so that engine work allocates nothing.
struct JobSpace: @unchecked Sendable {
  static let itemsMax = 2048
  static let batchMax = 32
  static let segmentsMax = 8
  /// Of those that are compacted together: the more, the less is left of holes.
  static let compactedMax = 128
  /// Transfers that one piece of work may have under way.
  static let turns = 4

  private(set) var items: UnsafeMutablePointer<Item>
  private(set) var sorted: UnsafeMutablePointer<UInt32>
  private(set) var bins: UnsafeMutablePointer<Bin>
  private let allOutgoing: UnsafeMutablePointer<Outgoing>
  private let allSidecars: UnsafeMutablePointer<UInt8>
  private var turn = 0
  let segments: UnsafeMutablePointer<SegmentIndex>
  let framesMax: Int
  let sidecarLength: Int
  private let region: Region

  init(_ setting: Setting) throws(StoreError) {
    framesMax = setting.segmentSize / setting.pageSize
    sidecarLength = setting.plan.sidecarLength
    let sizes = [
      Self.itemsMax * MemoryLayout<Item>.stride, Self.itemsMax * 4,
      Self.itemsMax * MemoryLayout<Bin>.stride, Self.turns * framesMax * MemoryLayout<Outgoing>.stride,
      Self.turns * framesMax * max(8, sidecarLength), Self.compactedMax * 4,
    ].map { ($0 + 63) & ~63 }
    region = try Region(byteCount: sizes.reduce(0, +))
    var at = region.base
    func next(_ index: Int) -> UnsafeMutableRawPointer {
      defer { at += sizes[index] }
      return at
    }
    items = next(0).bindMemory(to: Item.self, capacity: Self.itemsMax)
    sorted = next(1).bindMemory(to: UInt32.self, capacity: Self.itemsMax)
    bins = next(2).bindMemory(to: Bin.self, capacity: Self.itemsMax)
    allOutgoing = next(3).bindMemory(to: Outgoing.self, capacity: Self.turns * framesMax)
    allSidecars = next(4).bindMemory(to: UInt8.self, capacity: Self.turns * framesMax * max(8, sidecarLength))
    segments = next(5).bindMemory(to: SegmentIndex.self, capacity: Self.compactedMax)
  }

  /// Frames on their way, and their sidecars; `framesMax` of them.
  var outgoing: UnsafeMutablePointer<Outgoing> { allOutgoing + turn * framesMax }
  var sidecars: UnsafeMutablePointer<UInt8> { allSidecars + turn * framesMax * max(8, sidecarLength) }

  /// The same space with the next one of its tables of frames on their way: while some are on their way to slots, or back,
  /// others are got ready. After `turns` it is this one again.
  var turned: JobSpace {
    var space = self
    space.turn = (turn + 1) % Self.turns
    return space
  }

  /// The tables of chunks cut in two, each of `itemsMax / 2`: while frames of the one's chunks are on their way, the
  /// other's are gathered. Of the whole space, not of a half.
  var halves: (JobSpace, JobSpace) {
    var second = self
    second.items += Self.itemsMax / 2
    second.sorted += Self.itemsMax / 2
    second.bins += Self.itemsMax / 2
    return (self, second)
  }

  /// These tables of frames on their way, with that space's tables of chunks.
  func with(chunksOf other: JobSpace) -> JobSpace {
    var space = self
    (space.items, space.sorted, space.bins) = (other.items, other.sorted, other.bins)
    return space
  }

  var byteCount: Int { region.byteCount }

  func unmap() { region.unmap() }
}
